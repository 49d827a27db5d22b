//! Floor 3: who decides. The external SIRA when there is one and it answers, else the built-in model, else the
//! documented rules.

mod breaker;
mod external;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

pub use breaker::Breaker;
pub use external::{External, ExternalError};

use crate::domain::decision::{Decided, Question, Source, answer::Answer, decide_here};

/// Somebody who can be asked what to do.
#[async_trait]
pub trait Decider: Send + Sync {
    /// Asks, once, within the decider's own bounds.
    async fn decide(&self, question: &Question) -> Result<Answer, ExternalError>;
}

/// Who decides. Share it by reference or `Arc`.
pub struct Sira {
    external: Option<Arc<dyn Decider>>,
    breaker: Mutex<Breaker>,
}

impl Sira {
    /// With the external one, or without.
    pub fn new(external: Option<Arc<dyn Decider>>) -> Self {
        Self {
            external,
            breaker: Mutex::new(Breaker::default()),
        }
    }

    /// Decides. Never fails: whoever does not answer, or not so that it can be believed, is passed over, and the
    /// outcome says so. Takes no longer than the external one is given.
    pub async fn decide(&self, question: &Question, now: Timestamp) -> Decided {
        let Some(external) = &self.external else {
            return decide_here(question, Vec::new());
        };
        if question.historical_data.experience.external_demoted {
            let words = "external: it did worse than the rules and is not asked any more";
            return decide_here(question, vec![words.to_owned()]);
        }
        if !self.may_ask(now) {
            let words = "external: not asked, because it failed several times in a row";
            return decide_here(question, vec![words.to_owned()]);
        }
        match external.decide(question).await {
            Ok(answer) => {
                self.turn(Breaker::answered);
                Decided {
                    decision: answer.decision,
                    source: Source::External,
                    model_version: answer.model_version.unwrap_or_else(|| "external".to_owned()),
                    passed_over: Vec::new(),
                }
            }
            Err(error) => {
                self.turn(|breaker| breaker.failed(now));
                let words = chain(&error);
                tracing::warn!(error = words, "the external SIRA gave no answer; deciding here");
                decide_here(question, vec![format!("external: {words}")])
            }
        }
    }

    /// How the circuit breaker stands.
    pub fn breaker(&self) -> Breaker {
        *self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_ask(&self, now: Timestamp) -> bool {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, may) = breaker.ask(now);
        *breaker = next;
        may
    }

    fn turn(&self, how: impl FnOnce(Breaker) -> Breaker) {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        *breaker = how(*breaker);
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}
