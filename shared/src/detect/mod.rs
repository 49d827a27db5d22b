//! Streaming detection of sick plugins: constant memory and time a heartbeat, no look ahead, the same code wherever
//! heartbeats pass (the agent over short windows, the control plane's ingest, the command line over recordings).
//!
//! Give [`advance`] each [`Observation`] of a plugin in the order of its time, along with the plugin's [`PluginState`];
//! it answers with [`Findings`]. What no heartbeat can say, that there is none, is [`silence`]'s. Everything is a pure
//! function of its arguments: time comes with the observations, and there is no randomness.

mod advance;
mod codec;
mod errors;
mod finding;
pub mod fleet;
mod jobs;
mod kinds;
mod latency;
mod num;
mod observation;
mod replay;
mod rules;
pub mod series;
mod settings;
mod severity;
pub mod silence;
mod state;
mod subjects;
mod trial;
mod verdict;
mod watch;
mod webhooks;

pub use advance::advance;
pub use finding::{Detector, Evidence, Finding, Findings};
pub use kinds::{IncidentType, Severity, UnknownName};
pub use observation::Observation;
pub use replay::{Detection, Replay};
pub use settings::{FleetNow, Prior, Settings};
pub use severity::{Harm, Telemetry, Thresholds, severity};
pub use state::{MAX_STATE_BYTES, PluginState};
