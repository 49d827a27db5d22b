//! Answers the person on the host while the agent runs.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    tasks::{
        Common,
        engine::Job,
        local::{Question, Reply},
        status::{self, Place},
    },
    upstream::identity_store::IdentityStore,
};

/// How long a way back may take, with that of a change in hand before it. Whoever is told that it took longer has not
/// been served later, without knowing.
const PATIENCE: Duration = Duration::from_mins(10);

/// What is needed to answer.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) common: Common,
    pub(super) place: Place,
    pub(super) identity: IdentityStore,
    pub(super) jobs: mpsc::Sender<Job>,
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

    async fn job(self, job: impl FnOnce(oneshot::Sender<Reply>) -> Job) -> Reply {
        let (reply, answer) = oneshot::channel();
        let stopping = || Reply::failed("the agent is stopping; ask again when it runs");
        if self.jobs.send(job(reply)).await.is_err() {
            return stopping();
        }
        answer.await.unwrap_or_else(|_| stopping())
    }
}
