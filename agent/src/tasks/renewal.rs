//! Renews the certificate in time, and notices that a silenced agent was enrolled anew.

use std::time::Duration;

use plugmend_shared::ids::Digest;
use tokio::{sync::watch, time::sleep};

use super::{
    Common,
    board::{Standing, chain},
    unless_stopped,
};
use crate::{
    domain::renewal::{Due, LastTry, due},
    upstream::{
        identity_store::{IdentityStore, StoredIdentity},
        renewal::{RenewalError, renew},
    },
};

/// While the agent is silenced, this often it is looked whether it was enrolled anew.
const LOOK: Duration = Duration::from_secs(10);
/// When the identity can not be read.
const AFTER_TROUBLE: Duration = Duration::from_mins(1);

/// The task.
pub struct RenewalTask {
    common: Common,
    store: IdentityStore,
    /// 0 to 1, the same for the life of the process.
    jitter: f64,
    last_try: Option<LastTry>,
    /// The certificate in use.
    in_use: Option<Digest>,
}

impl RenewalTask {
    /// A task that renews the identity in `store`.
    pub fn new(common: Common, store: IdentityStore) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let jitter = (common.random)() as f64 / u64::MAX as f64;
        let in_use = store
            .identity()
            .ok()
            .flatten()
            .map(|identity| identity.certificate_digest());
        Self {
            common,
            store,
            jitter,
            last_try: None,
            in_use,
        }
    }

    /// Runs until the agent stops.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut standing = self.common.board.standing();
        loop {
            let state = standing.borrow_and_update().clone();
            let Some(wait) = unless_stopped(self.turn(&state), &mut stop).await else {
                return;
            };
            let woken = async {
                tokio::select! {
                    () = sleep(wait) => {}
                    // Told that it has expired, or silenced.
                    _ = standing.changed() => {}
                }
            };
            if unless_stopped(woken, &mut stop).await.is_none() {
                return;
            }
        }
    }

    async fn turn(&mut self, standing: &Standing) -> Duration {
        let identity = match self.store.identity() {
            Ok(Some(identity)) => identity,
            Ok(None) => return self.trouble("there is none any more; enrol this agent anew".to_owned()),
            Err(error) => return self.trouble(chain(&error)),
        };
        self.common.board.trouble("identity", None);
        if self.in_use != Some(identity.certificate_digest()) {
            self.enrolled_anew(&identity);
        } else if standing.is_silenced() {
            return LOOK;
        }
        let told_expired = matches!(standing, Standing::Expired { .. });
        match due(
            &identity.lease(),
            self.common.clock.now(),
            self.last_try,
            told_expired,
            self.jitter,
        ) {
            Due::Later(wait) => Duration::try_from(wait).unwrap_or(AFTER_TROUBLE),
            Due::Now => self.renew().await,
        }
    }

    fn enrolled_anew(&mut self, identity: &StoredIdentity) {
        if let Err(error) = self.common.client.reload() {
            self.trouble(chain(&error));
            return;
        }
        tracing::info!(plugin = %identity.plugin_id, "a new identity is in use");
        self.in_use = Some(identity.certificate_digest());
        self.last_try = None;
        self.common.board.stand(|_| Standing::Starting);
    }

    async fn renew(&mut self) -> Duration {
        match renew(&self.common.client).await {
            Ok(renewed) => {
                tracing::info!(renewals = renewed.renewals, until = %renewed.not_after, "the certificate was renewed");
                self.in_use = Some(renewed.certificate_digest());
                self.last_try = None;
                self.common.board.trouble("renewal", None);
                self.common.board.stand(|standing| match standing {
                    Standing::Expired { .. } => Standing::Starting,
                    other => other.clone(),
                });
            }
            Err(error) => self.failed(&error),
        }
        Duration::from_secs(1)
    }

    fn failed(&mut self, error: &RenewalError) {
        let now = self.common.clock.now();
        let failures = self.last_try.map_or(1, |last| last.failures.saturating_add(1));
        self.last_try = Some(LastTry { at: now, failures });
        if let RenewalError::Client(error) = error {
            self.common.board.outcome_of(Some(error), now);
        }
        self.common.board.trouble("renewal", Some(chain(error)));
    }

    fn trouble(&self, what: String) -> Duration {
        self.common.board.trouble("identity", Some(what));
        AFTER_TROUBLE
    }
}
