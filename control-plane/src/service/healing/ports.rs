//! Who decides, seen from the loop.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::HealingError;
use crate::domain::decision::Decision;

/// A decision that was stored with what it rests on.
#[derive(Debug, Clone)]
pub struct Decided {
    /// What to do.
    pub decision: Decision,
    /// Who decided: `external`, `built_in` or `heuristics`.
    pub source: &'static str,
    /// By which model.
    pub model_version: String,
}

/// Says what would cure an incident. It may take seconds, and always has an answer.
#[async_trait]
pub trait Decide: Send + Sync {
    /// Decides, and keeps the decision with its input.
    ///
    /// # Errors
    /// When the database fails.
    async fn decide(&self, incident: Uuid, now: Timestamp) -> Result<Decided, HealingError>;
}
