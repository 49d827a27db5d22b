//! Floor 3: performs one effect of an update; recovery settles the ledger at boot.
//!
//! The engine blocks on files and programs: run it on a thread of its own. It has one change at a time; what it does
//! next is decided by [`crate::domain::machine`], and every stage is in the ledger before it is begun.

mod activate;
mod answer;
mod back;
mod blocks;
mod contents;
mod doctor;
mod evidence;
mod fetch;
mod integrity;
mod last_word;
mod materialise;
mod open;
mod options;
mod order;
mod plan;
mod preflight;
mod recognise;
mod recover;
mod run;
mod settings;
mod status;
mod swap;
mod tidy;
mod watch;

use std::{sync::Arc, time::Duration};

use plugmend_shared::{
    bundle::{manifest::Manifest, path::RelPath},
    clock::Clock,
    ids::CommandId,
    protocol::command::CommandPayload,
};
use ring::rand::SecureRandom;

use crate::{
    domain::{change::Failure, trial::LiveCounters},
    platform::{
        beneath::Dir,
        capability::Capabilities,
        layout::{Exchange, Layout, Site, Stub, Symlink},
        lock::Lock,
    },
    store::ledger::{Ledger, LedgerFile},
    upstream::repo::Repository,
};

pub use {
    answer::Ended,
    doctor::{Finding, Level},
    integrity::Integrity,
    last_word::{Always, LastWord},
    open::OpenError,
    options::{EngineDeps, EngineOptions, NoProgress, ProgressSink, Signals},
    status::Status,
};

/// One plugin's engine. While it lives, no other can serve the plugin.
pub struct Engine<T> {
    options: EngineOptions,
    repository: Repository<T>,
    clock: Arc<dyn Clock>,
    counters: Arc<dyn LiveCounters>,
    signals: Arc<Signals>,
    last_word: Arc<dyn LastWord>,
    random: Arc<dyn SecureRandom + Send + Sync>,
    site: Site,
    state: Dir,
    capabilities: Capabilities,
    file: LedgerFile,
    ledger: Ledger,
    /// The ledger could not be written; it must be before anything else is begun.
    unsaved: bool,
    /// The change in progress can be settled by a person only.
    is_stuck: bool,
    /// The payload of the order in hand: approvals are judged once the manifest is known.
    payload: CommandPayload,
    /// When that order was received; absent when a person on the host asks.
    received_at: Option<jiff::Timestamp>,
    /// What was told of data that both sides of a swap changed.
    notes: Vec<String>,
    settled: Vec<(CommandId, Ended)>,
    /// Bytes that the order in hand fetched before its change was begun.
    fetched_before: u64,
    /// The adopted tree and the release that it was compared with and is not.
    unlike: Option<(String, plugmend_shared::ids::Digest)>,
    /// The release whose contents are worth keeping for another try.
    coming: Option<plugmend_shared::ids::Digest>,
    _locks: [Lock; 2],
}

impl<T> Engine<T> {
    /// The host's layout.
    fn layout(&self) -> Box<dyn Layout + '_> {
        layout(&self.options, &self.site, &self.ledger.preserved)
    }

    /// A manifest that was kept, by its digest; `None` when it was not.
    fn manifest(&self, digest: &plugmend_shared::ids::Digest) -> Result<Option<(Manifest, Vec<u8>)>, Failure> {
        contents::read_manifest(&self.state, digest)
    }

    /// The manifest of what runs; `None` for an adopted folder.
    fn installed_manifest(&self) -> Result<Option<Manifest>, Failure> {
        match &self.ledger.installed.digest {
            Some(digest) => Ok(self.manifest(digest)?.map(|(manifest, _)| manifest)),
            None => Ok(None),
        }
    }

    /// Adds to what will be told of the change in hand.
    pub(super) fn note(&mut self, words: String) {
        tracing::warn!(words, "note on the change in progress");
        if self.notes.len() < 20 {
            self.notes.push(words);
        }
    }

    /// What the plugin has said since of what it runs on. The host's own word stands.
    pub fn know_env(&mut self, said: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in said {
            if !self.options.host_env.contains_key(&name) {
                self.options.env.insert(name, value);
            }
        }
    }

    /// Orders that ended while the agent was down or starting; each is told once.
    pub fn take_settled(&mut self) -> Vec<(CommandId, Ended)> {
        std::mem::take(&mut self.settled)
    }

    /// The counters that trials read.
    pub fn counters(&self) -> &dyn LiveCounters {
        self.counters.as_ref()
    }
}

fn layout<'a>(options: &'a EngineOptions, site: &'a Site, preserve: &'a [RelPath]) -> Box<dyn Layout + 'a> {
    use crate::domain::installed::LayoutKind;
    match options.layout {
        LayoutKind::Exchange => Box::new(Exchange(site)),
        LayoutKind::Symlink => Box::new(Symlink(site)),
        LayoutKind::Stub => Box::new(Stub {
            site,
            entries: &options.stub_entries,
            preserve,
        }),
    }
}

/// An error with all that lies behind it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// A failure of the filesystem, told as a full disk when it is one.
fn fs_failure(error: &crate::platform::error::FsError) -> Failure {
    if error.is_no_space() {
        return no_space(&chain(error));
    }
    Failure::passing("filesystem", chain(error))
}

fn no_space(words: &str) -> Failure {
    Failure::passing(
        "disk_full",
        format!("{words}. Nothing is lost; make room and send the order again"),
    )
}

fn swap_failure(error: &crate::platform::layout::SwapError) -> Failure {
    match error {
        crate::platform::layout::SwapError::Fs(inner) if inner.is_no_space() => no_space(&chain(error)),
        // rename(2) on overlayfs, for a folder that lies in a lower layer.
        crate::platform::layout::SwapError::Fs(inner) if inner.source.kind() == std::io::ErrorKind::CrossesDevices => {
            Failure::passing(
                "swap_refused",
                format!(
                    "{}: the plugin lies in a lower layer of its filesystem (a container's image), whose folders can not \
                     change places; keep it on a volume, or replace the folder by a copy of itself",
                    chain(error)
                ),
            )
        }
        _ => Failure::passing("swap_refused", chain(error)),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
