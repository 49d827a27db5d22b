//! What a plugin costs that says far more than anybody wants to know: a million datagrams a second.

use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use sqlx::Connection as _;

use super::{
    agent::{cpu_seconds, host, resident_bytes},
    table::Table,
};
use crate::{
    ports,
    shop::shelf::{self, Shelf},
    system::{AgentHost, Backstage, Terms},
    wait,
};

/// How long the flood lasts: the agent closes a window every five seconds meanwhile.
const FLOOD: Duration = Duration::from_secs(30);
const HEARTBEAT_S: u32 = 5;
/// So many datagrams a second are to be offered, at least.
const OFFERED: f64 = 1_000_000.0;
/// One datagram of the flood.
const DATAGRAM: &[u8] = b"requests:1|c|#ok:true";
/// So many datagrams go out with one system call, cut apart by the kernel (`UDP_SEGMENT`, udp(7): 64 at most). With a
/// call each, two cores reach a tenth of what is to be offered, and the senders' calls are what is measured.
const BATCH: usize = 64;

/// Measures one agent under a flood of datagrams by UDP, and asks the control plane what it heard of it.
pub async fn measure(table: &mut Table) -> Result<()> {
    let terms = Terms::with_heartbeat(HEARTBEAT_S);
    let backstage = Backstage::start("shelf", "", terms).await?;
    let plugin = backstage.folder("site")?.join("shelf");
    shelf::write(&plugin, "1.0.0")?;
    let shop = Shelf::start(plugin.clone()).await?;
    let mut host = host(&plugin, &shop);
    let udp = ([127, 0, 0, 1], ports::free()?).into();
    host.udp = Some(udp);
    let agent = backstage.agent(&backstage.folder("agent")?, &host).await?;
    let pid = agent.pid().context("the agent runs")?;
    heard(&backstage, &agent, "the first heartbeat", |told| told.windows > 0).await?;

    let flood = Flood::start(udp)?;
    let (before, begun) = (cpu_seconds(pid)?, Instant::now());
    let mut most = 0.0_f64;
    while begun.elapsed() < FLOOD {
        tokio::time::sleep(Duration::from_millis(500)).await;
        most = most.max(resident_bytes(pid)?);
    }
    let during = told(&backstage, &agent).await?;
    let spent = (cpu_seconds(pid)? - before) / begun.elapsed().as_secs_f64() * 100.0;
    let offered = flood.stop(begun)?;

    table.at_least("flood: datagrams offered", offered, OFFERED, "a second");
    table.at_most(
        "agent in the flood: resident memory, most",
        most,
        8.0 * 1_048_576.0,
        "MiB",
    );
    table.at_most("agent in the flood: processor", spent, 10.0, "%");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let windows = during.windows as f64;
    table.at_least(
        "flood: heartbeats' windows that came through it",
        windows,
        3.0,
        "windows",
    );
    // What the kernel dropped is read every ten seconds; it goes out with the next window.
    let after = heard(&backstage, &agent, "what was dropped", |told| told.dropped > 0).await?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let dropped = after.dropped as f64;
    table.at_least(
        "flood: dropped, as the control plane was told",
        dropped,
        1.0,
        "datagrams",
    );
    ensure!(after.requests > 0, "of the flood nothing was counted");
    Ok(())
}

/// What the control plane was told of one plugin.
struct Told {
    windows: i64,
    requests: i64,
    dropped: i64,
}

async fn told(backstage: &Backstage, agent: &AgentHost) -> Result<Told> {
    let mut database = sqlx::PgConnection::connect(backstage.control_plane.database_url()).await?;
    let (windows, requests, dropped) = sqlx::query_as(
        "SELECT count(*), coalesce(sum(requests), 0)::bigint, coalesce(sum(dropped), 0)::bigint \
         FROM plugin_telemetry WHERE plugin_id = $1::uuid",
    )
    .bind(agent.plugin_id())
    .fetch_one(&mut database)
    .await?;
    Ok(Told {
        windows,
        requests,
        dropped,
    })
}

async fn heard(backstage: &Backstage, agent: &AgentHost, what: &str, enough: impl Fn(&Told) -> bool) -> Result<Told> {
    wait::until_async(what, Duration::from_mins(1), async || {
        Ok(Some(told(backstage, agent).await?).filter(&enough))
    })
    .await
}

/// A sender that waits for nobody.
struct Flood {
    on: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
}

impl Flood {
    fn start(to: std::net::SocketAddr) -> Result<Self> {
        let on = Arc::new(AtomicBool::new(true));
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.connect(to)?;
        let length = i32::try_from(DATAGRAM.len())?;
        setsockopt(&socket, UdpGsoSegment, &length).context("the kernel cuts batches of datagrams apart")?;
        let batch = DATAGRAM.repeat(BATCH);
        let going = on.clone();
        let sender = std::thread::spawn(move || {
            let mut sent = 0;
            while going.load(Ordering::Relaxed) {
                if socket.send(&batch).is_ok() {
                    sent += BATCH as u64;
                }
            }
            sent
        });
        Ok(Self { on, sender })
    }

    /// Ends it; how many were sent a second.
    fn stop(self, begun: Instant) -> Result<f64> {
        self.on.store(false, Ordering::Relaxed);
        let lasted = begun.elapsed().as_secs_f64();
        let sent = self.sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        Ok(sent as f64 / lasted)
    }
}
