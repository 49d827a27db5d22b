//! Hints of the database wake the reconcilers of the healing loop, so that one step follows the other at once.

use std::time::Duration;

use tokio::sync::watch;

use super::runner::Wake;
use crate::store::{Db, StoreError, healing_feed::HealingFeed};

/// The pause after which a deaf worker tries to listen again; its timers go on meanwhile.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Passes hints on until `stop` turns true.
pub async fn follow_hints(db: Db, wakes: Vec<Wake>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = hear_forever(&db, &wakes) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn hear_forever(db: &Db, wakes: &[Wake]) {
    loop {
        if let Err(error) = hear(db, wakes).await {
            tracing::warn!(error = %error, "can not hear the hints of the healing loop; trying again");
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn hear(db: &Db, wakes: &[Wake]) -> Result<(), StoreError> {
    let mut feed = HealingFeed::open(db).await?;
    loop {
        // What was said before we listened was not heard.
        wakes.iter().for_each(Wake::wake);
        feed.next().await?;
    }
}
