//! What the healing loop leaves behind does not grow without end.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::Mutex;

use super::runner::{Activation, Reconciler};
use crate::store::{
    Db, StoreError,
    audit::{self, Actor, Entry},
    retention::{self, Kind, Place},
};

const HOURLY: Duration = Duration::from_hours(1);
/// Rows that one batch looks at.
const BATCH: i64 = 500;

/// How long what has ended is kept.
#[derive(Debug, Clone, Copy)]
pub struct Horizons {
    /// Incidents, attempts, decisions, what came of them, and which version ran where.
    pub incidents: SignedDuration,
    /// Orders.
    pub commands: SignedDuration,
}

impl Horizons {
    /// So many days each.
    pub fn of_days(incidents: u16, commands: u16) -> Self {
        let days = |days: u16| SignedDuration::from_hours(24 * i64::from(days));
        Self {
            incidents: days(incidents),
            commands: days(commands),
        }
    }
}

/// Forgets what is older, one kind after the other, and begins anew an hour after the last.
pub struct ForgetHistory {
    db: Db,
    horizons: Horizons,
    /// Where the round stands.
    round: Mutex<(usize, Option<Place>)>,
}

impl ForgetHistory {
    /// Over a database.
    pub fn new(db: Db, horizons: Horizons) -> Self {
        Self {
            db,
            horizons,
            round: Mutex::default(),
        }
    }
}

#[async_trait]
impl Reconciler for ForgetHistory {
    fn name(&self) -> &'static str {
        "old history"
    }

    fn every(&self) -> Duration {
        HOURLY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let mut round = self.round.lock().await;
        let (index, after) = *round;
        let Some(kind) = Kind::ALL.get(index).copied() else {
            *round = (0, None);
            return Ok(Activation::default());
        };
        let horizon = if kind == Kind::Commands {
            self.horizons.commands
        } else {
            self.horizons.incidents
        };
        let before = now.checked_sub(horizon)?;
        let mut tx = self.db.begin().await?;
        let batch = retention::forget(&mut tx, kind, before, after, BATCH).await?;
        if batch.gone > 0 {
            let entry = Entry {
                actor: &Actor::System,
                action: "history_forgotten",
                merchant_id: None,
                plugin_id: None,
                details: json!({ "what": kind.as_str(), "rows": batch.gone, "from_before": before }),
            };
            audit::log(&mut tx, &entry).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        *round = match batch.next {
            Some(place) => (index, Some(place)),
            None => (index + 1, None),
        };
        Ok(Activation {
            done: batch.gone,
            more: true,
        })
    }
}
