//! Answers the person on the host while the agent runs.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep},
};

use crate::{
    engine::Signals,
    tasks::{
        Common,
        engine::Job,
        local::{Question, Reply},
        status::{self, Place},
    },
    upstream::identity_store::IdentityStore,
};

/// How long a change in hand may take to go back.
const PATIENCE: Duration = Duration::from_mins(10);
const LOOK: Duration = Duration::from_millis(100);

/// What is needed to answer.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) common: Common,
    pub(super) place: Place,
    pub(super) identity: IdentityStore,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) signals: Arc<Signals>,
    pub(super) engine: watch::Receiver<Value>,
}

impl Door {
    pub(super) async fn answer(self, question: Question) -> Reply {
        match question {
            Question::Status => self.status(),
            Question::Rollback { to, force } => self.rollback(to, force).await,
            Question::Verify => self.job(Job::Verify).await,
            Question::Doctor => self.job(Job::Doctor).await,
        }
    }

    fn status(&self) -> Reply {
        let engine = self.engine.borrow().clone();
        Reply::of(&status::of_running(&self.common, &self.place, &self.identity, engine))
    }

    /// A change in hand is taken back; without one, what is installed gives way to what was before.
    async fn rollback(self, to: Option<semver::Version>, force: bool) -> Reply {
        if self.common.board.shown().in_hand.is_none() {
            return self.job(|reply| Job::Rollback { to, force, reply }).await;
        }
        if to.is_some() {
            return Reply::failed(
                "a change is in hand; without --to it is taken back, with it try again when it has ended",
            );
        }
        self.signals.go_back();
        let until = Instant::now() + PATIENCE;
        while self.common.board.shown().in_hand.is_some() {
            if Instant::now() >= until {
                return Reply::failed("the change in hand has not ended yet; see plugmend-agent status");
            }
            sleep(LOOK).await;
        }
        self.status()
    }

    async fn job(self, job: impl FnOnce(oneshot::Sender<Reply>) -> Job) -> Reply {
        let (reply, answer) = oneshot::channel();
        let stopping = || Reply::failed("the agent is stopping; ask again when it runs");
        if self.jobs.send(job(reply)).await.is_err() {
            return stopping();
        }
        answer.await.unwrap_or_else(|_| stopping())
    }
}
