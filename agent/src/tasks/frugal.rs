//! Gives memory back while nothing happens.

use std::time::Duration;

use tokio::sync::watch;

use super::{Common, rest};
use crate::platform::memory;

/// How often. Each costs well below a millisecond.
const EVERY: Duration = Duration::from_mins(1);
/// The first time: what the start needed is done with.
const FIRST: Duration = Duration::from_secs(10);

/// Gives memory back until the agent stops, but not in the middle of an order.
pub async fn run(common: Common, mut stop: watch::Receiver<bool>) {
    let mut wait = FIRST;
    while rest(wait, &mut stop).await {
        if common.board.shown().in_hand.is_none() {
            memory::give_back();
        }
        wait = EVERY;
    }
}
