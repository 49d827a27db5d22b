//! Reconcilers: work in the background that takes no input, does a bounded batch at a time, and may be repeated.
//!
//! Each runs on a timer and on a signal (a hint that there may be something to do; it carries nothing). One activation
//! at a time per process; several processes do no harm to each other, because each batch is claimed in the database.
//! There are no retries inside: the next activation is the retry.

mod attempts;
mod checkpoints;
mod commands;
mod deliveries;
mod events;
mod figures;
mod fleet;
mod hints;
mod housekeeping;
mod incidents;
mod learning;
mod repository;
mod retention;
mod runner;
mod silence;

pub use attempts::Attempts;
pub use checkpoints::{Checkpoints, WitnessedCheckpoint};
pub use commands::OverdueCommands;
pub use deliveries::{Deliveries, TidyWebhooks};
pub use events::ForgetEvents;
pub use figures::Figures;
pub use fleet::FleetFindings;
pub use hints::follow_hints;
pub use housekeeping::{ForgetAnswers, ForgetIdentities, ForgetJudgements, TelemetryPartitions};
pub use incidents::Incidents;
pub use learning::Learning;
pub use repository::RepositoryFreshness;
pub use retention::{ForgetHistory, Horizons};
pub use runner::{Activation, Reconciler, Runner, Status, Wake};
pub use silence::SilentPlugins;
