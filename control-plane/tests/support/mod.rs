//! What the tests of the control plane share: a database of their own each, a running API, people and plugins.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

pub mod approvals;
pub mod case;
pub mod cut;
pub mod database;
pub mod fleet;
pub mod healing;
pub mod http;
pub mod people;
pub mod plane;
pub mod publisher;
pub mod receiver;
pub mod releases;
#[cfg(feature = "object-storage")]
pub mod s3;
pub mod sira;
pub mod walk;

use std::{future::Future, time::Duration};

/// Asks until `probe` gives a value, for at most a minute: tests wait for values, never for a time.
///
/// # Panics
/// When the minute is over.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    for _ in 0..3000 {
        if let Some(value) = probe().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited a minute in vain for {what}");
}
