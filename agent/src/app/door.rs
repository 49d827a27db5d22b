//! Answers the person on the host while the agent runs.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    engine::{Finding, Level},
    tasks::{
        Common,
        board::InHand,
        engine::Job,
        local::{Question, Reply},
        status::{self, Place},
    },
    upstream::identity_store::IdentityStore,
};

/// The most who look at the plugin at once: places at the door are left for who wants to go back.
pub(super) const LOOKS: usize = 2;
/// How long a way back may take, with that of a change in hand before it.
const PATIENCE: Duration = Duration::from_mins(10);

/// What is needed to answer.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) common: Common,
    pub(super) place: Place,
    pub(super) identity: IdentityStore,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) looks: Arc<Semaphore>,
    pub(super) engine: watch::Receiver<Value>,
}

impl Door {
    pub(super) async fn answer(self, question: Question) -> Reply {
        match question {
            Question::Status => self.status(),
            Question::Rollback { to, force } => self.rollback(to, force).await,
            Question::Verify => self.look(Job::Verify, Reply::failed).await,
            Question::Doctor => self.look(Job::Doctor, advice).await,
        }
    }

    fn status(&self) -> Reply {
        let engine = self.engine.borrow().clone();
        Reply::of(&status::of_running(&self.common, &self.place, &self.identity, engine))
    }

    /// A change in hand is taken back; without one, what is installed gives way to what was before. The engine decides
    /// which of the two it came to, once nothing is in hand.
    async fn rollback(self, to: Option<semver::Version>, force: bool) -> Reply {
        let called_back = self.common.board.shown().in_hand.is_some_and(|it| it.is_change());
        if called_back && to.is_some() {
            return Reply::failed(
                "a change is in hand; without --to it is taken back, with it try again when it has ended",
            );
        }
        let wish = self.common.orders.wish_back();
        let done = self.job(|reply| Job::Rollback {
            to,
            force,
            called_back,
            wish,
            reply,
        });
        let late = |_| Reply::failed("what is in hand has not ended yet; see plugmend-agent status, and ask again");
        timeout(PATIENCE, done).await.unwrap_or_else(late)
    }

    /// What only looks waits for no change: that may be watched for half an hour, and whoever wants to go back from it
    /// needs the door.
    async fn look(self, job: impl FnOnce(oneshot::Sender<Reply>) -> Job, not_now: fn(String) -> Reply) -> Reply {
        if let Some(it) = self.common.board.shown().in_hand.filter(InHand::is_change) {
            return not_now(format!(
                "a change is in hand ({}: {}); look again when it has ended, or see plugmend-agent status",
                it.step, it.detail
            ));
        }
        let Ok(_place) = self.looks.clone().try_acquire_owned() else {
            return not_now("others are looking already; ask again when they are done".to_owned());
        };
        self.job(job).await
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

/// A change in hand is nothing bad.
fn advice(words: String) -> Reply {
    Reply::of(&[Finding {
        level: Level::Advice,
        topic: "change".to_owned(),
        words,
    }])
}
