//! The states of an order; each owns what is true in it only.

use jiff::Timestamp;
use plugmend_shared::{
    generation::Generation,
    ids::{CommandId, PluginId},
    protocol::command::{CommandKind, CommandPayload},
};
use serde_json::Value;
use thiserror::Error;

/// One order to one plugin (`plugin_agent_commands`).
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Its id.
    pub id: CommandId,
    /// Whom it is for.
    pub plugin_id: PluginId,
    /// What to do.
    pub kind: CommandKind,
    /// With what.
    pub payload: CommandPayload,
    /// From this moment on it is void, unless it is being carried out.
    pub expires_at: Timestamp,
    /// How often it was and may be tried again.
    pub retries: Retries,
    /// Where it stands.
    pub state: State,
}

/// Tries after the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Had.
    pub count: u32,
    /// Allowed.
    pub max: u32,
}

/// Where an order stands.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Waits to be sent.
    Pending {
        /// Generation of the try before; none when it was never sent.
        last: Option<Generation>,
        /// Not to be sent earlier.
        not_before: Option<Timestamp>,
    },
    /// With the plugin.
    InFlight(InFlight),
    /// Carried out.
    Completed {
        /// When.
        at: Timestamp,
        /// What the plugin said.
        result: Value,
    },
    /// Not carried out, or taken back.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        error: String,
        /// What the plugin said.
        result: Option<Value>,
    },
    /// Given up: nothing was heard in time.
    TimedOut {
        /// When.
        at: Timestamp,
        /// What was waited for.
        error: String,
        /// Of the last try; none when it was never sent.
        last: Option<Generation>,
    },
}

/// A try that is with the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight {
    /// Of this try.
    pub generation: Generation,
    /// When it was last handed over.
    pub sent_at: Timestamp,
    /// How far it has come.
    pub stage: Stage,
    /// When the stage has lasted too long.
    pub deadline: Timestamp,
}

/// How far a try has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Handed over; no word yet.
    Sent,
    /// Remembered by the agent.
    Acknowledged,
    /// Begun.
    Executing,
}

/// What an event does to an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Nothing: it was so already, or it is about an earlier try.
    None,
    /// It stands elsewhere now.
    To {
        /// Where.
        state: State,
        /// With how many tries used.
        retries: Retries,
    },
}

/// An event that can not happen in the present state.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("an order that is {from} can not become {to}")]
pub struct Illegal {
    /// Where it stands.
    pub from: &'static str,
    /// What was asked.
    pub to: &'static str,
}

impl State {
    /// `plugin_agent_commands.status`.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::InFlight(flight) => match flight.stage {
                Stage::Sent => "sent",
                Stage::Acknowledged => "acknowledged",
                Stage::Executing => "executing",
            },
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::TimedOut { .. } => "timeout",
        }
    }

    /// The refusal of `to`.
    pub(super) fn refuse(&self, to: &'static str) -> Illegal {
        Illegal {
            from: self.status(),
            to,
        }
    }
}

impl Retries {
    /// One more used; `None` when there is none left.
    pub(super) fn one_more(self) -> Option<Self> {
        (self.count < self.max).then_some(Self {
            count: self.count + 1,
            max: self.max,
        })
    }
}
