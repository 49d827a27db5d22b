//! Attempts that are due, and those whose order has ended, are taken one step further.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use tokio::{sync::Mutex, task::JoinSet, time::timeout};

use super::runner::{Activation, Reconciler};
use crate::{
    service::healing::{Healing, HealingError},
    store::{self, attempt::Lease},
};

const EVERY: Duration = Duration::from_secs(2);
/// Of those whose order has ended, and of those that are due.
const BATCH: u16 = 16;
/// How many are looked at at the same time.
const AT_ONCE: usize = 8;
/// How many runs in the sandbox are waited for at the same time.
const RUNS: usize = 8;
/// How long new runs hold up the next look: most are over by then, and one that hangs holds up nobody for long.
const PATIENCE: Duration = Duration::from_secs(3);

/// Drives attempts.
pub struct Attempts {
    healing: Healing,
    /// Runs in the sandbox. Ended with the job: what was under way then is run again when its lease ends.
    runs: Mutex<JoinSet<()>>,
}

impl Attempts {
    /// With the loop's hands.
    pub fn new(healing: Healing) -> Self {
        Self {
            healing,
            runs: Mutex::default(),
        }
    }

    /// Tries out as many as there are places; the others wait.
    async fn try_out(&self, wanting: Vec<Lease>) {
        let mut runs = self.runs.lock().await;
        while runs.try_join_next().is_some() {}
        let mut is_any_new = false;
        for lease in wanting {
            if runs.len() < RUNS {
                let healing = self.healing.clone();
                runs.spawn(async move { said(lease, healing.try_out(lease).await) });
                is_any_new = true;
            } else {
                said(lease, self.healing.wait_for_room(lease).await);
            }
        }
        if is_any_new {
            // Whichever are not over by then go on by themselves.
            let _over = timeout(PATIENCE, async { while runs.join_next().await.is_some() {} }).await;
        }
    }
}

/// One that can not be looked at must not stop the others; its lease ends by itself.
fn said(lease: Lease, looked: Result<(), HealingError>) {
    if let Err(error) = looked {
        tracing::warn!(attempt = %lease.id, error = format!("{:#}", anyhow::Error::from(error)), "not looked at");
    }
}

#[async_trait]
impl Reconciler for Attempts {
    fn name(&self) -> &'static str {
        "attempts"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let healing = &self.healing;
        let claimed = store::attempt::claim(&healing.db, healing.token()?, now, i64::from(BATCH)).await?;
        let count = claimed.len();
        let looks = stream::iter(claimed).map(|lease| async move {
            match healing.look_at_attempt(lease).await {
                Ok(wants_a_run) => wants_a_run.then_some(lease),
                Err(error) => {
                    said(lease, Err(error));
                    None
                }
            }
        });
        let looked = looks.buffer_unordered(AT_ONCE).collect::<Vec<Option<Lease>>>().await;
        self.try_out(looked.into_iter().flatten().collect()).await;
        Ok(Activation {
            done: u64::try_from(count)?,
            more: count >= usize::from(BATCH),
        })
    }
}
