//! Floor 4: heartbeat, commands, watch, integrity, renewal.
//!
//! Each task is a loop that sleeps until something is due, does one thing, and shows the outcome on the [`board`].
//! None retries inside: its next turn is the retry. All end when they are asked to and only then.

pub mod board;
pub mod commands;
pub mod engine;
pub mod frugal;
pub mod heartbeat;
pub mod local;
mod orders;
pub mod outbox;
pub mod progress;
pub mod renewal;
mod report;
pub mod status;
pub mod watch;
mod window;

use std::{future::Future, sync::Arc, time::Duration};

pub use orders::{Orders, Wish, age};
use plugmend_shared::clock::Clock;
use tokio::{
    sync::{Notify, watch::Receiver},
    time::sleep,
};

use crate::{ingest::Hub, store::Kept, upstream::client::Client};

/// What all tasks share.
#[derive(Clone)]
pub struct Common {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness, from the system.
    pub random: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// What may be lost in a power cut.
    pub kept: Arc<Kept>,
    /// What the plugin says.
    pub hub: Arc<Hub>,
    /// The way to the control plane.
    pub client: Arc<Client>,
    /// What people are shown.
    pub board: Arc<board::Board>,
    /// Orders in hand.
    pub orders: Arc<Orders>,
    /// Sends the heartbeat at once.
    pub urgent: Arc<Notify>,
    /// Wakes the outbox.
    pub answers: Arc<Notify>,
    /// Tells the control plane how far orders have come.
    pub teller: progress::Teller,
}

/// Waits for `wait`, or until the agent stops; whether to go on.
async fn rest(wait: Duration, stop: &mut Receiver<bool>) -> bool {
    unless_stopped(sleep(wait), stop).await.is_some()
}

/// Does `work` unless the agent stops first.
async fn unless_stopped<T>(work: impl Future<Output = T>, stop: &mut Receiver<bool>) -> Option<T> {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => None,
        done = work => Some(done),
    }
}
