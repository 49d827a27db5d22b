//! Closes windows and keeps them.

use std::collections::VecDeque;

use jiff::Timestamp;
use plugmend_shared::telemetry::{Rolling, Window};

use crate::{
    ingest::Hub,
    store::{Counted, Kept, Sequence, StoreError},
};

/// Windows held in memory while the disk takes none.
const MAX_HELD: usize = 16;

/// Closes windows: a number first, then the window, then the disk. Without a number the window stays open.
#[derive(Debug)]
pub(super) struct Closer {
    pub(super) sequence: Sequence,
    pub(super) rolling: Rolling,
    /// Until they are on disk.
    held: VecDeque<Window>,
    /// How many of these are in the rolling day.
    remembered: usize,
}

impl Closer {
    /// Takes up where the last life of the agent left.
    pub(super) fn open(sequence: Sequence, rolling: Rolling, hub: &Hub, now: Timestamp) -> Self {
        hub.set_last_hour(rolling.last_hour(now));
        Self {
            sequence,
            rolling,
            held: VecDeque::new(),
            remembered: 0,
        }
    }

    /// Closes the open window, and the hours of late events before it.
    pub(super) fn close(&mut self, hub: &Hub, kept: &Kept, now: Timestamp) -> Result<(), StoreError> {
        while hub.has_late() && self.held.len() < MAX_HELD {
            let seq = self.sequence.next(Counted::Window, kept)?;
            self.held.extend(hub.close_late(seq, now));
        }
        if self.held.len() < MAX_HELD {
            let seq = self.sequence.next(Counted::Window, kept)?;
            self.held.push_back(hub.close(seq, now));
        }
        let result = self.keep(kept, now);
        hub.set_last_hour(self.rolling.last_hour(now));
        result
    }

    fn keep(&mut self, kept: &Kept, now: Timestamp) -> Result<(), StoreError> {
        for (n, window) in self.held.iter().enumerate() {
            kept.spool(window, now)?;
            if n >= self.remembered {
                self.remembered += 1;
                kept.remember(&mut self.rolling, window, now)?;
            }
        }
        kept.flush()?;
        self.held.clear();
        self.remembered = 0;
        Ok(())
    }
}
