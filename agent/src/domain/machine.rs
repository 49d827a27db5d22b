//! One change, step by step. A stage is an intent: it is on disk before anything is done for it, and each can be
//! begun again after a crash. Nothing of the plugin is touched before [`Stage::Activate`]; from there the change ends
//! with the new release proven or the old one back.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    change::{Change, ChangeKind, Ending, Failure},
    installed::{Found, Tree},
};

/// How far a change has come; each variant is what is being done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// Getting what is missing.
    Fetch,
    /// Checking it against the signatures.
    Verify,
    /// Laying the tree out beside the running one.
    Materialise,
    /// Smoke tests on the laid-out tree.
    Preflight {
        /// The new tree.
        to: Tree,
    },
    /// The host's snapshot of its data.
    Snapshot {
        /// The new tree.
        to: Tree,
    },
    /// The swap, and the hooks that make it seen.
    Activate {
        /// The new tree.
        to: Tree,
    },
    /// The watch.
    Trial {
        /// The new tree.
        to: Tree,
        /// Errors and requests before the swap.
        before: Baseline,
    },
    /// The way back.
    Revert {
        /// The new tree, which is left.
        to: Tree,
        /// Why.
        why: Failure,
    },
}

/// Counts of some time before the swap, kept with the change so that a restart does not lose them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Requests.
    pub requests: u64,
    /// Errors.
    pub errors: u64,
    /// Webhook deliveries.
    pub webhook_total: u64,
    /// Failed ones.
    pub webhook_failed: u64,
    /// Whether the plugin was heard in the time that silence may last.
    pub heard: bool,
}

impl Stage {
    /// Its name in progress reports and timings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Verify => "verify",
            Self::Materialise => "materialise",
            Self::Preflight { .. } => "preflight",
            Self::Snapshot { .. } => "snapshot",
            Self::Activate { .. } => "activate",
            Self::Trial { .. } => "trial",
            Self::Revert { .. } => "revert",
        }
    }

    /// Whether nothing of the plugin has been touched yet.
    pub fn is_preparing(&self) -> bool {
        !matches!(self, Self::Activate { .. } | Self::Trial { .. } | Self::Revert { .. })
    }

    /// The tree that the change brings, once it is laid out.
    pub fn tree(&self) -> Option<&Tree> {
        match self {
            Self::Fetch | Self::Verify | Self::Materialise => None,
            Self::Preflight { to }
            | Self::Snapshot { to }
            | Self::Activate { to }
            | Self::Trial { to, .. }
            | Self::Revert { to, .. } => Some(to),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The stage's work is done.
    Done,
    /// Materialise is done: this is the tree.
    LaidOut(Tree),
    /// Activate is done: this was measured before it.
    Activated(Baseline),
    /// The stage's work failed.
    Failed(Failure),
    /// The trial's verdict.
    Verdict(Verdict),
    /// The agent has started anew and found this at the plugin's path.
    Booted(Found),
}

/// How the new release did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It works, and it is the one that runs.
    Healthy,
    /// It does harm.
    Unhealthy(Failure),
    /// Nothing speaks against it, and not enough for it; why.
    Inconclusive(String),
}

/// What follows.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// This stage: record it, then do it.
    Stage(Stage),
    /// The end: record it.
    End(Ending),
}

/// An event that can not happen in this stage.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("'{event}' can not happen in stage '{stage}'; the stage stays as it is")]
pub struct IllegalTransition {
    stage: &'static str,
    event: &'static str,
}

/// What lies at the plugin's path is neither release of the change.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Stuck {
    /// See [`IllegalTransition`].
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// Somebody else changed the plugin's path in the middle of a change.
    #[error(
        "the plugin's path holds neither the old nor the new release of the change in progress. Nothing is touched \
         until a person has put one of them back (`plugmend-agent doctor` names both folders)"
    )]
    Stranger,
    /// The way back failed.
    #[error("the way back to the release before failed ({0}); it is tried again at the next start")]
    NoWayBack(String),
}

/// The step after `event` in `stage` of `change`.
///
/// # Errors
/// The event does not belong there, or only a person can help.
pub fn next(change: &Change, stage: &Stage, event: Event) -> Result<Next, Stuck> {
    match event {
        Event::Booted(found) => booted(stage, found),
        Event::Failed(failure) => failed(stage, failure),
        event => forward(change, stage, event),
    }
}

fn forward(change: &Change, stage: &Stage, event: Event) -> Result<Next, Stuck> {
    let next = match (stage, event) {
        (Stage::Fetch, Event::Done) => Stage::Verify,
        (Stage::Verify, Event::Done) => Stage::Materialise,
        (Stage::Materialise, Event::LaidOut(to)) => Stage::Preflight { to },
        (Stage::Preflight { to }, Event::Done) if change.needs_snapshot => Stage::Snapshot { to: to.clone() },
        (Stage::Preflight { to } | Stage::Snapshot { to }, Event::Done) => Stage::Activate { to: to.clone() },
        (Stage::Activate { to }, Event::Activated(before)) => Stage::Trial { to: to.clone(), before },
        (Stage::Trial { to, .. }, Event::Verdict(verdict)) => return Ok(judged(change, to, verdict)),
        (Stage::Revert { why, .. }, Event::Done) => return Ok(Next::End(Ending::Reverted(why.clone()))),
        (stage, event) => {
            return Err(IllegalTransition {
                stage: stage.name(),
                event: event_name(&event),
            }
            .into());
        }
    };
    Ok(Next::Stage(next))
}

fn judged(change: &Change, to: &Tree, verdict: Verdict) -> Next {
    match verdict {
        Verdict::Healthy => Next::End(Ending::Committed {
            healthy: Some(true),
            words: "healthy".to_owned(),
        }),
        Verdict::Inconclusive(words) => Next::End(Ending::Committed { healthy: None, words }),
        // Somebody wanted to leave the newer release; going back to it would make the plugin flap.
        Verdict::Unhealthy(why) if change.kind == ChangeKind::Rollback => Next::End(Ending::Committed {
            healthy: Some(false),
            words: why.words,
        }),
        Verdict::Unhealthy(why) => Next::Stage(Stage::Revert { to: to.clone(), why }),
    }
}

fn failed(stage: &Stage, why: Failure) -> Result<Next, Stuck> {
    match stage {
        Stage::Fetch | Stage::Verify | Stage::Materialise | Stage::Preflight { .. } | Stage::Snapshot { .. } => {
            Ok(Next::End(Ending::Abandoned(why)))
        }
        // The swap may or may not have happened, and hooks may have run: the way back does both again.
        Stage::Activate { to } | Stage::Trial { to, .. } => Ok(Next::Stage(Stage::Revert { to: to.clone(), why })),
        Stage::Revert { .. } => Err(Stuck::NoWayBack(why.words)),
    }
}

fn booted(stage: &Stage, found: Found) -> Result<Next, Stuck> {
    match (stage, found) {
        (Stage::Fetch | Stage::Verify | Stage::Materialise | Stage::Preflight { .. } | Stage::Snapshot { .. }, _) => {
            Ok(Next::End(Ending::Abandoned(interrupted())))
        }
        (Stage::Activate { .. } | Stage::Trial { .. } | Stage::Revert { .. }, Found::Neither) => Err(Stuck::Stranger),
        (Stage::Activate { .. }, Found::Old) => Ok(Next::End(Ending::Abandoned(interrupted()))),
        // The hooks may not have run; activating what is active already runs them again. A trial is watched anew.
        (Stage::Activate { .. } | Stage::Trial { .. }, Found::New) | (Stage::Revert { .. }, _) => {
            Ok(Next::Stage(stage.clone()))
        }
        (Stage::Trial { to, .. }, Found::Old) => Ok(Next::Stage(Stage::Revert {
            to: to.clone(),
            why: Failure::passing(
                "taken_back",
                "somebody put the release before back while the new one was on trial",
            ),
        })),
    }
}

fn interrupted() -> Failure {
    Failure::passing(
        "interrupted",
        "the agent was stopped before the new release was activated; the release before runs untouched",
    )
}

fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Done => "done",
        Event::LaidOut(_) => "laid out",
        Event::Activated(_) => "activated",
        Event::Failed(_) => "failed",
        Event::Verdict(_) => "verdict",
        Event::Booted(_) => "booted",
    }
}

#[cfg(test)]
mod tests;
