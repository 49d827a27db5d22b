//! Learning from how attempts ended, what people did instead of a decision included.

mod standing;

use jiff::Timestamp;
use plugmend_shared::decide::{Action, Arm, Tally};
use serde_json::{Value, json};

pub use standing::{LearnError, ModelView, NotDemoted, model, reinstate};

use crate::{
    domain::learning::{Ended, Label, Lesson, Was, learn},
    store::{
        self, Db, StoreError, Tx,
        feedback::NewFeedback,
        lesson::{AttemptFacts, Before, Due},
        model::RemedyTried,
    },
};

/// Learns from at most `batch` ended attempts, on one replica at a time, and judges the deciders anew. Answers how many
/// there were. While learning is switched off they are let go without being learned from.
///
/// # Errors
/// When the database fails; nothing was learned then, and nothing is lost.
pub async fn learn_some(db: &Db, batch: u16, now: Timestamp) -> Result<u16, StoreError> {
    let mut tx = db.begin().await?;
    let models = store::model::lock(&mut tx).await?;
    let due = store::lesson::take(&mut tx, batch).await?;
    if store::model::learning_enabled(&mut tx).await? {
        for due in &due {
            one(&mut tx, due, now).await?;
        }
        if !due.is_empty() {
            standing::judge_all(&mut tx, &models, now).await?;
        }
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(u16::try_from(due.len()).unwrap_or(u16::MAX))
}

async fn one(tx: &mut Tx, due: &Due, now: Timestamp) -> Result<(), StoreError> {
    let Some(attempt) = store::lesson::attempt(tx, due.attempt_id).await? else {
        return Ok(());
    };
    let Ok(method) = attempt.method.parse() else {
        return Ok(());
    };
    let before = store::lesson::decision_before(tx, due.attempt_id).await?;
    let ended = Ended {
        method,
        from: attempt.from_version.clone(),
        to: attempt.to_version.clone(),
        config: attempt.config.clone(),
        status: due.status.clone(),
        was: if due.was == "success" { Was::Success } else { Was::Live },
        applied: attempt.applied,
        staging_passed: attempt.staging_passed,
        healthy: attempt.healthy,
    };
    let lesson = learn(before.as_ref().map(|before| &before.question), &ended);
    let epoch = store::model::next_epoch(tx).await?;
    remember(tx, &attempt, &lesson, now).await?;
    let row = feedback(due, &attempt, before, &ended, &lesson, epoch);
    store::feedback::insert(tx, &row, now).await
}

/// Adds a lesson to what is believed.
async fn remember(tx: &mut Tx, attempt: &AttemptFacts, lesson: &Lesson, now: Timestamp) -> Result<(), StoreError> {
    let product = attempt.product.as_deref().unwrap_or_default();
    if let Some(version) = attempt.to_version.as_deref().filter(|_| !product.is_empty()) {
        store::model::add_seed(tx, product, version, lesson.seed).await?;
    }
    let (Some((arm, to)), Some(kind)) = (&lesson.cure, &attempt.incident_type) else {
        return Ok(());
    };
    if lesson.label == Label::Neutral {
        return Ok(());
    }
    let level = |incident_type: &str, from: &str, to: &str| Tally {
        arm: *arm,
        incident_type: incident_type.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        successes: lesson.successes,
        failures: lesson.failures,
    };
    store::model::add(tx, "", &level("", "", ""), now).await?;
    store::model::add(tx, "", &level(kind, "", ""), now).await?;
    if product.is_empty() {
        return Ok(());
    }
    store::model::add(tx, product, &level(kind, &attempt.from_version, to), now).await?;
    let is_setting = matches!(arm, Arm::ConfigDeclared | Arm::ConfigLearned);
    if let Some(settings) = attempt.config.as_ref().filter(|_| is_setting) {
        let tried = RemedyTried {
            product,
            incident_type: kind,
            id: to,
            settings,
            successes: lesson.successes,
            failures: lesson.failures,
        };
        store::model::add_remedy(tx, &tried, now).await?;
    }
    Ok(())
}

fn feedback(
    due: &Due,
    attempt: &AttemptFacts,
    before: Option<Before>,
    ended: &Ended,
    lesson: &Lesson,
    epoch: i64,
) -> NewFeedback {
    let followed = before.as_ref().is_some_and(|before| follows(before, ended));
    let details = json!({
        "status": due.status, "was": due.was, "method": attempt.method, "from_version": attempt.from_version,
        "to_version": attempt.to_version, "applied": attempt.applied, "staging_passed": attempt.staging_passed,
        "health_check_passed": attempt.healthy, "executed_by": attempt.executed_by,
        "followed_the_decision": followed,
        "learned": lesson.cure.as_ref().map(|(arm, to)| json!({
            "arm": arm, "to": to, "successes": lesson.successes, "failures": lesson.failures })),
    });
    let notes = match (followed, &before) {
        (true, _) => "The decision was followed.",
        (false, Some(_)) => "People did something else than was decided.",
        (false, None) => "No decision stands before it.",
    };
    let source = before.as_ref().filter(|_| followed).map(|before| before.source.clone());
    let confidence = before.as_ref().filter(|_| followed).map(|b| b.decision.confidence);
    NewFeedback {
        incident_id: attempt.incident_id,
        attempt_id: due.attempt_id,
        decision_id: before.as_ref().map(|before| before.id),
        input: as_json(before.as_ref().map(|before| &before.question)),
        output: as_json(before.as_ref().map(|before| &before.decision)),
        outcome: lesson.outcome,
        details,
        label: lesson.label,
        notes: notes.to_owned(),
        model_version: before.map(|before| before.model_version),
        source,
        confidence,
        epoch,
    }
}

fn as_json<T: serde::Serialize>(value: Option<T>) -> Value {
    value.map_or_else(
        || json!({}),
        |value| serde_json::to_value(value).unwrap_or_else(|_| json!({})),
    )
}

/// Whether an attempt is what was decided.
fn follows(before: &Before, ended: &Ended) -> bool {
    let decision = &before.decision;
    let same_version = decision
        .patch_version
        .as_ref()
        .is_none_or(|version| ended.to.as_deref() == Some(version.to_string().as_str()));
    decision.method == Some(ended.method)
        && same_version
        && (decision.action != Action::ConfigFix || decision.config == ended.config)
}
