//! Tells the control plane how far orders have come: that they were taken, and the engine's steps. Nobody waits for
//! it, and what does not get through is left out: the next report says more.

use std::time::Duration;

use plugmend_shared::{
    generation::Generation,
    ids::CommandId,
    protocol::command::{Command, Progress, ProgressState},
};
use tokio::sync::{mpsc, watch};

use super::{Common, board::chain, rest, unless_stopped};

/// Reports that wait; further ones are left out.
const WAITING: usize = 64;
/// Between two reports of a step: shares done change faster than anybody reads.
const PAUSE: Duration = Duration::from_millis(500);

/// A report.
#[derive(Debug, Clone)]
struct Report {
    id: CommandId,
    progress: Progress,
}

/// Where reports are left.
#[derive(Debug, Clone)]
pub struct Teller(mpsc::Sender<Report>);

/// Where they are taken from.
#[derive(Debug)]
pub struct Told(mpsc::Receiver<Report>);

/// Both ends.
pub fn channel() -> (Teller, Told) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Teller(sender), Told(receiver))
}

impl Teller {
    /// The order is in the agent's hands, and remembered there.
    pub fn acknowledged(&self, command: &Command) {
        self.leave(
            command.id,
            ProgressState::Acknowledged,
            Some(command.payload.generation),
            None,
            None,
        );
    }

    /// The order has come to this step.
    pub fn executing(&self, id: CommandId, generation: Option<Generation>, step: (&str, &str), done: Option<f64>) {
        self.leave(id, ProgressState::Executing, generation, Some(step), done);
    }

    fn leave(
        &self,
        id: CommandId,
        state: ProgressState,
        generation: Option<Generation>,
        step: Option<(&str, &str)>,
        done: Option<f64>,
    ) {
        let progress = Progress {
            state,
            step: step.map(|(name, _)| name.to_owned()),
            detail: step.map(|(_, words)| words.to_owned()),
            done,
            generation,
        };
        let _ = self.0.try_send(Report { id, progress });
    }
}

impl Told {
    /// The newest report of those that wait, but never over an acknowledgement.
    async fn next(&mut self) -> Option<Report> {
        let mut report = self.0.recv().await?;
        while report.progress.state == ProgressState::Executing {
            match self.0.try_recv() {
                Ok(newer) if newer.id == report.id => report = newer,
                Ok(other) => return Some(other),
                Err(_) => break,
            }
        }
        Some(report)
    }

    /// The order of the next report, if one waits.
    #[cfg(test)]
    pub fn try_next(&mut self) -> Option<CommandId> {
        self.0.try_recv().ok().map(|report| report.id)
    }
}

/// Sends reports until the agent stops.
pub async fn run(common: Common, mut told: Told, mut stop: watch::Receiver<bool>) {
    while let Some(Some(report)) = unless_stopped(told.next(), &mut stop).await {
        if !common.board.shown().standing.may_speak() {
            continue;
        }
        let sent = common.client.progress(report.id, &report.progress);
        let Some(result) = unless_stopped(sent, &mut stop).await else {
            return;
        };
        if let Err(error) = result {
            tracing::debug!(id = %report.id, "a report was left out: {}", chain(&error));
        }
        if report.progress.state == ProgressState::Executing && !rest(PAUSE, &mut stop).await {
            return;
        }
    }
    // Nobody is left to report; the task still ends only when it is asked to.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> CommandId {
        CommandId(uuid::Uuid::from_u128(n))
    }

    #[tokio::test]
    async fn only_the_newest_step_is_told() {
        let (teller, mut told) = channel();
        for share in 0..200 {
            teller.executing(id(1), None, ("fetch", "fetching"), Some(f64::from(share) / 200.0));
        }
        let report = told.next().await.unwrap();
        assert!(report.progress.done.unwrap() > 0.3, "{report:?}");
        assert!(told.0.try_recv().is_err());
    }
}
