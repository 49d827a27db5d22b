//! What a plugin says about an order.

use jiff::Timestamp;
use plugmend_shared::generation::Generation;
use serde_json::Value;

use super::{
    schedule::{after, again, lasts},
    state::{Change, Illegal, InFlight, Order, Stage, State},
};

/// One report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Of the try that is meant; none means the latest.
    pub generation: Option<Generation>,
    /// What is said.
    pub kind: ReportKind,
}

/// What a report says.
#[derive(Debug, Clone, PartialEq)]
pub enum ReportKind {
    /// The order was received, or is being carried out.
    Reached(Stage),
    /// It was carried out.
    Completed {
        /// How it went.
        result: Value,
    },
    /// It was not, or was taken back.
    Failed {
        /// Why.
        error: String,
        /// Whether another try could help.
        retryable: bool,
        /// How far it went.
        result: Option<Value>,
    },
}

/// What a report does to its order. Repeats do nothing, and neither does a word about an earlier try. An end that
/// comes after we stopped waiting is believed: the plugin knows what it did.
///
/// # Errors
/// When the order was never sent, or has ended otherwise.
pub fn take_report(order: &Order, report: Report, now: Timestamp, random: u32) -> Result<Change, Illegal> {
    let latest = match &order.state {
        State::InFlight(flight) => Some(flight.generation),
        State::Pending { last, .. } | State::TimedOut { last, .. } => *last,
        State::Completed { .. } | State::Failed { .. } => return after_the_end(order, &report.kind),
    };
    let Some(latest) = latest else {
        return Err(order.state.refuse(report.kind.status()));
    };
    if report.generation.is_some_and(|meant| meant < latest) {
        return Ok(Change::None);
    }
    match report.kind {
        ReportKind::Reached(stage) => Ok(reached(order, stage, now)),
        ReportKind::Completed { result } => Ok(Change::To {
            state: State::Completed { at: now, result },
            retries: order.retries,
        }),
        ReportKind::Failed {
            error,
            retryable,
            result,
        } => {
            let in_flight = matches!(order.state, State::InFlight(_));
            let next_try = (retryable && in_flight)
                .then(|| again(order, latest, now, random))
                .flatten();
            // Waiting for the next try already: the report is the late word about the one before.
            if retryable && matches!(order.state, State::Pending { .. }) {
                return Ok(Change::None);
            }
            Ok(next_try.unwrap_or(Change::To {
                state: State::Failed { at: now, error, result },
                retries: order.retries,
            }))
        }
    }
}

fn reached(order: &Order, stage: Stage, now: Timestamp) -> Change {
    match &order.state {
        // Also when the stage is the same: the plugin is heard, so its time begins anew.
        State::InFlight(flight) if stage >= flight.stage => Change::To {
            state: State::InFlight(InFlight {
                stage,
                deadline: after(now, lasts(stage)),
                ..*flight
            }),
            retries: order.retries,
        },
        _ => Change::None,
    }
}

fn after_the_end(order: &Order, kind: &ReportKind) -> Result<Change, Illegal> {
    match (&order.state, kind) {
        (_, ReportKind::Reached(_))
        | (State::Completed { .. }, ReportKind::Completed { .. })
        | (State::Failed { .. }, ReportKind::Failed { .. }) => Ok(Change::None),
        (state, kind) => Err(state.refuse(kind.status())),
    }
}

impl ReportKind {
    /// The status it would lead to.
    fn status(&self) -> &'static str {
        match self {
            Self::Reached(Stage::Sent) => "sent",
            Self::Reached(Stage::Acknowledged) => "acknowledged",
            Self::Reached(Stage::Executing) => "executing",
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
        }
    }
}
