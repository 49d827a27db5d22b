//! Floor 3: trying a release out before it goes to a shop.
//!
//! The wire is the reference system's: `POST {STAGING_RUNNER_URL}/run`, bearer `STAGING_RUNNER_TOKEN`, body
//! `{merchantId, pluginId, version}` with `product`, `release_digest` and `timeout_seconds` beside; answer
//! `{ok, passed, tests_run, duration_ms, errors, logs}`.

mod answer;
mod client;
mod error;
pub mod runner;
mod types;

pub use client::StagingClient;
pub use error::StagingError;
pub use types::{RunBody, StagingRequest, StagingResult};
