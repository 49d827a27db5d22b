//! A plugin that writes orders all the while, opening its file anew for each, as PHP does.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use crate::engine_support::{Host, ORDERS};

pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Writer {
    pub fn start(path: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut n = 0;
            while !stopped.load(Ordering::SeqCst) {
                // No second try: an order that can not be written is lost.
                let mut file = OpenOptions::new()
                    .append(true)
                    .open(&path)
                    .unwrap_or_else(|e| panic!("order {n}: {e}"));
                file.write_all(format!("{n}\n").as_bytes()).unwrap();
                n += 1;
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
            n
        });
        Self { stop, thread }
    }

    /// Every order is there, once, in its order.
    pub fn assert_each_once(self, host: &Host) {
        self.stop.store(true, Ordering::SeqCst);
        let written = self.thread.join().unwrap();
        let found = fs::read_to_string(host.plugin().join(ORDERS)).unwrap();
        let mut wanted = (0..written).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        wanted.push('\n');
        assert!(written > 100, "only {written} orders were written");
        assert!(
            found == wanted,
            "{} of {written} orders were found",
            found.lines().count()
        );
    }
}
