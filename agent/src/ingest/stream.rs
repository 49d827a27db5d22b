//! JSON lines over the Unix stream socket.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    budget::{Budget, LINES, READS},
    hub::Hub,
    lines::Lines,
    socket::Bound,
};

/// The most connections at the same time: more are closed at once.
const MAX_CONNECTIONS: usize = 32;
/// A connection that is silent for this long is closed.
const IDLE: Duration = Duration::from_mins(15);
/// How much is read at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// Who may speak over the stream socket, besides whom the file's mode lets in.
#[derive(Debug)]
pub(super) struct Peers {
    users: Vec<u32>,
    groups: Vec<u32>,
}

impl Peers {
    pub(super) fn new(group: Option<u32>, mut users: Vec<u32>) -> Self {
        users.extend([0, rustix::process::geteuid().as_raw()]);
        let groups = group.into_iter().chain([rustix::process::getegid().as_raw()]).collect();
        Self { users, groups }
    }

    fn admit(&self, stream: &UnixStream) -> bool {
        stream
            .peer_cred()
            .is_ok_and(|peer| self.users.contains(&peer.uid()) || self.groups.contains(&peer.gid()))
    }
}

/// What all connections share, so that many cost no more than one.
struct Budgets(Mutex<(Budget, Budget)>);

impl Budgets {
    fn new() -> Self {
        Self(Mutex::new((Budget::new(READS), Budget::new(LINES))))
    }

    /// How long until something may be read again; `None` when it may be now, which is spent thereby.
    fn wait_to_read(&self, now: Duration) -> Option<Duration> {
        let mut both = self.both();
        let wait = both.0.wait(now);
        if wait.is_none() {
            both.0.spend(1);
        }
        wait
    }

    /// Whether one more line may be parsed in this tick.
    fn may_parse(&self, now: Duration) -> bool {
        let mut both = self.both();
        let may = both.1.left(now) > 0;
        both.1.spend(1);
        may
    }

    fn both(&self) -> MutexGuard<'_, (Budget, Budget)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes connections for ever.
pub(super) async fn run(listener: Option<&Bound<UnixListener>>, hub: &Arc<Hub>, peers: &Peers) {
    let Some(listener) = listener else { return };
    let shared = Arc::new(Budgets::new());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let stream = match listener.inner.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                hub.trouble("socket", Some(format!("can not accept: {error}")));
                sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            hub.dropped(1);
            // Whoever opens and closes in a circle is slowed down.
            sleep(Duration::from_millis(5)).await;
            continue;
        };
        if !peers.admit(&stream) {
            hub.trouble("socket", Some(refusal(&stream)));
            hub.dropped(1);
            continue;
        }
        let (hub, shared) = (hub.clone(), shared.clone());
        connections.spawn(async move {
            let _place = place;
            let _ = serve(&stream, &hub, &shared).await;
        });
    }
}

fn refusal(stream: &UnixStream) -> String {
    match stream.peer_cred() {
        Ok(peer) => format!(
            "refused user {} (group {}): put the plugin's group in telemetry.group or its user in telemetry.users",
            peer.uid(),
            peer.gid()
        ),
        Err(error) => format!("refused a connection without credentials: {error}"),
    }
}

/// Reads lines until the other side is done, silent for too long, or the agent stops.
async fn serve(stream: &UnixStream, hub: &Hub, budgets: &Budgets) -> io::Result<()> {
    let mut lines = Lines::default();
    loop {
        let Ok(ready) = timeout(IDLE, stream.readable()).await else {
            return Ok(());
        };
        ready?;
        while let Some(wait) = budgets.wait_to_read(hub.elapsed()) {
            sleep(wait).await;
        }
        // On the heap only while something is read: an idle connection costs next to nothing.
        let mut chunk = vec![0; CHUNK];
        let length = match stream.try_read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let mut dropped = 0;
        let mut take = |line: &[u8]| {
            if budgets.may_parse(hub.elapsed()) {
                hub.event(line);
            } else {
                dropped += 1;
            }
        };
        let too_long = lines.feed(chunk.get(..length).unwrap_or_default(), &mut take);
        hub.refused(too_long);
        hub.dropped(dropped);
    }
    lines.finish(&mut |line| hub.event(line));
    Ok(())
}
