//! What the plugin of the smallest shop says of itself: how its webhooks go. Whether they fail lies in its files, like
//! everything else about a release.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;

use super::shelf;

/// The file that says how the code behaves.
const CODE: &str = "webhooks";
/// Twenty webhooks a second.
const PAUSE: Duration = Duration::from_millis(50);

/// Writes a version whose webhooks fail, three of five, once the shop is busy: nobody saw it when it was released.
pub fn write_fragile(folder: &Path, version: &str) -> Result<()> {
    shelf::write(folder, version)?;
    Ok(fs::write(folder.join(CODE), "fail when busy\n")?)
}

/// Writes a version whose webhooks all fail in a shop. Nothing of it shows before.
pub fn write_failing(folder: &Path, version: &str) -> Result<()> {
    shelf::write(folder, version)?;
    Ok(fs::write(folder.join(CODE), "fail\n")?)
}

/// A plugin at work: every answer to a webhook is counted to the agent by UDP, as plugins do.
pub struct Chatter {
    busy: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Chatter {
    /// Begins to work with whatever is installed at `plugin`; the agent listens at `agent`.
    pub fn start(plugin: PathBuf, agent: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        let (busy, stop) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (is_busy, stopped) = (busy.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let mut count = 0_u32;
            while !stopped.load(Ordering::Relaxed) {
                let fails = match fs::read_to_string(plugin.join(CODE)).as_deref().map(str::trim) {
                    Ok("fail") => true,
                    Ok("fail when busy") => is_busy.load(Ordering::Relaxed) && count % 5 < 3,
                    _ => false,
                };
                let error = if fails { "\nerrors:1|c" } else { "" };
                let line = format!("requests:1|c|#ok:true\nwebhook:1|c|#ok:{}\nlatency:9|ms{error}", !fails);
                // An agent that is away misses it, as it would in a shop.
                let _ = socket.send_to(line.as_bytes(), agent);
                count = count.wrapping_add(1);
                thread::sleep(PAUSE);
            }
        });
        Ok(Self {
            busy,
            stop,
            thread: Some(thread),
        })
    }

    /// The shop is busy from now on, or no longer.
    pub fn busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }
}

impl Drop for Chatter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only counts.
            let _ = thread.join();
        }
    }
}
