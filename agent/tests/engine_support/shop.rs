//! A shop with releases to choose from, and what became of an order.

use std::{fs, future::Future, path::PathBuf, pin::Pin};

use plugmend_agent::{
    domain::installed::LayoutKind,
    engine::{Ended, LastWord},
};
use plugmend_shared::{
    ids::CommandId,
    protocol::command::{Command, CommandKind, Go, Outcome},
};

use super::{Host, Releases, command, files, manifest};

/// A shop.
pub struct Shop {
    pub _top: tempfile::TempDir,
    pub host: Host,
}

/// A shop whose repository has 1.1.0 and 1.2.0.
pub fn shop(layout: LayoutKind) -> Shop {
    shop_with(layout, |_| {})
}

pub fn shop_with(layout: LayoutKind, more: impl FnOnce(&mut Releases)) -> Shop {
    let top = tempfile::tempdir().unwrap();
    let host = Host::new(top.path(), layout);
    let mut releases = Releases::new();
    for version in ["1.1.0", "1.2.0"] {
        let files = files(version, version);
        releases.add(manifest(version, &files), files);
    }
    more(&mut releases);
    releases.save(&host.repository());
    Shop { _top: top, host }
}

pub fn acked(ended: Ended) -> Outcome {
    match ended {
        Ended::Ack(outcome) => outcome,
        other => panic!("not carried out: {other:?}"),
    }
}

pub fn failed(ended: Ended) -> (String, bool, Outcome) {
    match ended {
        Ended::Fail {
            error,
            retryable,
            result,
        } => (error, retryable, result),
        other => panic!("it should have failed: {other:?}"),
    }
}

pub fn update(n: u64, version: &str) -> Command {
    command(n, CommandKind::Update, Some(version))
}

/// A control plane whose last word stands in a file; one that is no word is no answer.
pub struct Said(pub PathBuf);

impl LastWord for Said {
    fn ask<'a>(&'a self, _: CommandId) -> Pin<Box<dyn Future<Output = Result<Go, String>> + Send + 'a>> {
        let said = fs::read(&self.0)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Box::pin(std::future::ready(
            said.ok_or_else(|| "it can not be reached".to_owned()),
        ))
    }
}
