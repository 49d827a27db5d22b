//! Real sockets and files.

use std::{
    io::Write as _,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::{UnixDatagram, UnixStream},
    },
    path::Path,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    telemetry::Window,
};
use tokio::time::{sleep, timeout};

use super::*;
use crate::domain::trial::{LiveCounters as _, RequestCounts};

struct Running {
    hub: Arc<Hub>,
    stop: watch::Sender<bool>,
    udp: Option<SocketAddr>,
    task: tokio::task::JoinHandle<()>,
}

fn start(options: &IngestOptions) -> Running {
    let ingest = Ingest::bind(options).unwrap();
    let hub = Arc::new(Hub::default());
    let (stop, stopped) = watch::channel(false);
    Running {
        udp: ingest.udp_addr(),
        task: tokio::spawn(ingest.run(hub.clone(), stopped)),
        hub,
        stop,
    }
}

fn options(dir: &Path) -> IngestOptions {
    IngestOptions {
        socket: Some(dir.join("shop.sock")),
        udp: Some("127.0.0.1:0".parse().unwrap()),
        spool_dir: Some(dir.join("spool")),
        ..IngestOptions::default()
    }
}

async fn until(hub: &Hub, what: impl Fn(&RequestCounts) -> bool) {
    let wait = async {
        while !what(&hub.counts()) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), wait)
        .await
        .unwrap_or_else(|_| panic!("not counted: {:?}", hub.counts()));
}

fn close(hub: &Hub) -> Window {
    let window = hub.close(1, SystemClock.now());
    window.check().unwrap();
    window
}

#[tokio::test]
async fn each_way_in_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("spool")).unwrap();
    let running = start(&options(dir.path()));
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"requests:1|c|#version:9.9.9", running.udp.unwrap())
        .unwrap();
    until(&running.hub, |counts| counts.requests == 1).await;
    assert_eq!(running.hub.counts().version_seen, None, "UDP proves nothing");

    let datagrams = UnixDatagram::unbound().unwrap();
    datagrams
        .send_to(
            b"requests:10|c|#version:1.0.0\nerrors:1|c",
            dir.path().join("shop.sock.dgram"),
        )
        .unwrap();
    until(&running.hub, |counts| counts.requests == 11 && counts.errors == 1).await;
    assert_eq!(running.hub.counts().version_seen.as_deref(), Some("1.0.0"));

    let mut stream = UnixStream::connect(dir.path().join("shop.sock")).unwrap();
    stream.write_all(b"{\"type\":\"hello\",\"version\":\"1.0.1\",\"env\":{\"php\":\"8.2\"}}\n{\"type\":\"webhook\",\"ok\":false}\n").unwrap();
    until(&running.hub, |counts| counts.webhook_failed == 1).await;
    assert_eq!(running.hub.heard().env["php"], "8.2");

    std::fs::write(
        dir.path().join("spool/open"),
        "{\"type\":\"error\",\"message\":\"gone\"}\n",
    )
    .unwrap();
    std::fs::rename(dir.path().join("spool/open"), dir.path().join("spool/1.ndjson")).unwrap();
    until(&running.hub, |counts| counts.errors == 2).await;
    assert_eq!(running.hub.heard().last_error.as_deref(), Some("gone"));
    assert!(!dir.path().join("spool/1.ndjson").exists());

    let window = close(&running.hub);
    assert_eq!((window.requests, window.errors, window.webhook_total), (11, 2, 1));
    running.stop.send(true).unwrap();
    running.task.await.unwrap();
    assert!(!dir.path().join("shop.sock").exists(), "sockets are removed at the end");
}

#[tokio::test]
async fn sockets_are_for_the_agents_user_and_group_only() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(&options(dir.path()));
    for name in ["shop.sock", "shop.sock.dgram"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
    }
    drop(running.stop);
}

#[tokio::test]
async fn a_socket_of_a_killed_agent_is_taken_over_and_one_of_a_living_is_not() {
    let dir = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("shop.sock")).unwrap());
    let options = options(dir.path());
    let first = Ingest::bind(&options).unwrap();
    assert!(matches!(Ingest::bind(&options), Err(IngestError::InUse(_))));
    drop(first);
    std::fs::write(dir.path().join("shop.sock"), "data").unwrap();
    assert!(matches!(Ingest::bind(&options), Err(IngestError::NotASocket(_))));
    assert_eq!(std::fs::read(dir.path().join("shop.sock")).unwrap(), b"data");
}

#[tokio::test]
async fn udp_beyond_loopback_is_refused() {
    let options = IngestOptions {
        udp: Some("0.0.0.0:0".parse().unwrap()),
        ..IngestOptions::default()
    };
    assert!(matches!(Ingest::bind(&options), Err(IngestError::NotLoopback(_))));
}

#[tokio::test]
async fn a_hostile_spool_is_cleared_and_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    std::fs::create_dir_all(spool.join("folder.ndjson")).unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "{\"type\":\"error\"}\n").unwrap();
    symlink(&secret, spool.join("a-link.ndjson")).unwrap();
    std::fs::hard_link(&secret, spool.join("b-hard.ndjson")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        spool.join("c-pipe.ndjson"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let mut long = vec![b'x'; 100_000];
    long.extend_from_slice(b"\n\xff\xfe\n{\"type\":\"request\"}\n{\"type\":\"request\"}");
    std::fs::write(spool.join("d-good.ndjson"), long).unwrap();

    let running = start(&options(dir.path()));
    until(&running.hub, |counts| counts.requests == 2).await;
    let window = close(&running.hub);
    assert_eq!((window.errors, window.dropped), (0, 3), "links and pipes are dropped");
    assert_eq!(window.custom["agent.refused"].to_bits(), 2f64.to_bits());
    assert!(secret.exists() && spool.join("folder.ndjson").exists());
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 1);
}

#[tokio::test]
async fn a_spool_that_was_swapped_for_a_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, other) = (dir.path().join("spool"), dir.path().join("other"));
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("1.ndjson"), "{\"type\":\"request\"}\n").unwrap();
    symlink(&other, &spool).unwrap();
    let hub = Hub::default();
    assert!(spool_dir_scan(&spool, &hub).await.is_err());
    assert!(other.join("1.ndjson").exists());
}

async fn spool_dir_scan(dir: &Path, hub: &Hub) -> std::io::Result<()> {
    super::spool_dir::scan(dir, hub).await
}

#[test]
fn late_events_keep_their_own_hour_and_ancient_ones_are_dropped() {
    let hub = Hub::default();
    let now: Timestamp = "2026-11-22T12:30:00Z".parse().unwrap();
    let line = |ago: i64| {
        let at = now - SignedDuration::from_hours(ago);
        format!("{{\"type\":\"error\",\"at\":\"{at}\"}}")
    };
    for ago in [3, 2, 2, 100, -48] {
        hub.spooled_event(line(ago).as_bytes(), now);
    }
    hub.spooled_event(b"{\"type\":\"error\"}", now);
    let first = hub.close_late(1, now).unwrap();
    assert_eq!(
        (first.errors, first.from.to_string().as_str()),
        (1, "2026-11-22T09:00:00Z")
    );
    assert_eq!(hub.close_late(2, now).unwrap().errors, 2);
    assert!(!hub.has_late());
    let window = hub.close(3, now);
    assert_eq!(
        (window.errors, window.dropped),
        (2, 1),
        "the future counts now, the ancient not at all"
    );
}

#[test]
fn late_events_of_the_hour_that_is_not_over_count_at_once() {
    let hub = Hub::default();
    let now: Timestamp = "2026-11-22T12:30:00Z".parse().unwrap();
    hub.spooled_event(b"{\"type\":\"error\",\"at\":\"2026-11-22T12:10:00Z\"}", now);
    let window = hub.close_late(1, now).unwrap();
    assert_eq!(
        (window.errors, window.from.to_string().as_str()),
        (1, "2026-11-22T12:00:00Z")
    );
    assert!(window.to <= now);
    let mut rolling = plugmend_shared::telemetry::Rolling::default();
    rolling.add(&window, now);
    assert_eq!(rolling.errors_last_24h(now), 1);
}

#[test]
fn the_last_hour_is_the_closed_windows_and_the_open_one() {
    let hub = Hub::default();
    let error = b"{\"type\":\"error\"}";
    hub.set_last_hour(plugmend_shared::telemetry::Bucket {
        requests: 100,
        errors: 3,
        ..Default::default()
    });
    hub.event(error);
    assert_eq!((hub.recent().requests, hub.recent().errors), (100, 4));
    hub.close(1, SystemClock.now());
    assert_eq!((hub.recent().errors, hub.counts().errors), (3, 1));
    hub.event(error);
    assert_eq!((hub.recent().errors, hub.counts().errors), (4, 2));
}

#[test]
fn a_clock_that_is_set_back_bends_no_window() {
    let hub = Hub::default();
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    for wall in [
        now,
        now - SignedDuration::from_hours(24),
        now + SignedDuration::from_hours(24),
    ] {
        let window = hub.close(1, wall);
        window.check().unwrap();
        assert_eq!(window.to, wall);
    }
}

/// A thread that sends as fast as it can, as a process of the plugin would.
fn flood(send: impl Fn() + Send + 'static) -> (Arc<std::sync::atomic::AtomicBool>, std::thread::JoinHandle<u64>) {
    let on = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let flag = on.clone();
    let thread = std::thread::spawn(move || {
        let mut count = 0;
        while flag.load(std::sync::atomic::Ordering::Relaxed) {
            send();
            count += 1;
        }
        count
    });
    (on, thread)
}

#[tokio::test]
async fn a_flooding_plugin_gets_its_budget_and_others_are_still_heard() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(&options(dir.path()));
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = running.udp.unwrap();
    let (on, thread) = flood(move || {
        let _ = udp.send_to(b"requests:1|c\nrequests:1|c", addr);
    });
    until(&running.hub, |counts| counts.requests > 2_000).await;
    let before = running.hub.elapsed();
    let mut stream = UnixStream::connect(dir.path().join("shop.sock")).unwrap();
    stream.write_all(b"{\"type\":\"webhook\",\"ok\":true}\n").unwrap();
    until(&running.hub, |counts| counts.webhook_total == 1).await;
    on.store(false, std::sync::atomic::Ordering::Relaxed);
    let offered = thread.join().unwrap() * 2;
    let counted = running.hub.counts().requests;
    let ticks = running.hub.elapsed().as_millis() / budget::TICK.as_millis() + 2;
    assert!(
        u128::from(counted) <= ticks * u128::from(budget::LINES),
        "{counted} of {offered} in {ticks} ticks"
    );
    assert!(running.hub.elapsed() >= before);
}
