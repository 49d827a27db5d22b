//! The last word before the plugin is changed: whoever gave the order is asked whether it still stands, so that a kill
//! switch thrown while the release was fetched and tested still counts. Who can not be asked has not said yes.

use std::{future::Future, pin::Pin, time::Duration};

use plugmend_shared::{ids::CommandId, protocol::command::Go};
use tokio::time::{sleep, timeout};

use super::{Engine, ProgressSink};
use crate::domain::change::{Change, ChangeKind, Failure};

/// How long one answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pauses between the tries; with them the order waits at most 11 s.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Asks whether an order still stands.
pub trait LastWord: Send + Sync {
    /// The answer; in words, why there is none.
    fn ask<'a>(&'a self, command: CommandId) -> Pin<Box<dyn Future<Output = Result<Go, String>> + Send + 'a>>;
}

/// For an engine without a control plane: whoever gives it an order is there.
#[derive(Debug, Clone, Copy)]
pub struct Always;

impl LastWord for Always {
    fn ask<'a>(&'a self, _: CommandId) -> Pin<Box<dyn Future<Output = Result<Go, String>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(Go { go: true, reason: None })))
    }
}

impl<T> Engine<T> {
    /// Whether the change may be activated. A way back, and what a person on the host wants, is nobody's to withdraw.
    pub(super) async fn last_word(&self, change: &Change, sink: &dyn ProgressSink) -> Result<(), Failure> {
        let Some(command) = change.command.filter(|_| change.kind != ChangeKind::Rollback) else {
            return Ok(());
        };
        sink.progress(Some(command), "confirm", "asking whether the order still stands", None);
        let mut pauses = PAUSES.into_iter();
        loop {
            let answer = timeout(PATIENCE, self.last_word.ask(command)).await;
            let why = match answer {
                Ok(Ok(Go { go: true, .. })) => return Ok(()),
                Ok(Ok(Go { reason, .. })) => {
                    let why = reason.unwrap_or_else(|| "no reason was given".to_owned());
                    return Err(Failure::lasting("withdrawn", format!("the order was withdrawn: {why}")));
                }
                Ok(Err(why)) => why,
                Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
            };
            let Some(pause) = pauses.next().filter(|_| !self.signals.wants_stop()) else {
                let words = format!("whether the order still stands could not be asked ({why}); it is tried again");
                return Err(Failure::passing("unconfirmed", words));
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.signals.woken() => {}
            }
        }
    }
}
