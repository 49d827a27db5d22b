//! How the deciders stand: judged by their outcomes, demoted to the rules, reinstated by people, and shown.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::decide::BUILT_IN;
use serde::Serialize;
use serde_json::json;
use thiserror::Error;

use crate::{
    domain::{
        event::{Event, EventKind},
        learning::{Calibration, MOST_JUDGED, Trust, calibrate, judge},
    },
    store::{
        self, Db, StoreError, Tx,
        audit::{self, Actor},
        feedback::Chosen,
        model::ModelRow,
    },
};

/// The most outcomes that calibration rests on.
const MOST_CALIBRATED: usize = 1000;
/// How far back decisions are counted.
const COUNTED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Judges those who still decide; whoever does worse than the rules is demoted to them, and people are told.
pub(super) async fn judge_all(tx: &mut Tx, models: &[ModelRow], now: Timestamp) -> Result<(), StoreError> {
    for model in models.iter().filter(|model| model.demoted_at.is_none()) {
        let forecasts = store::feedback::forecasts(tx, &model.source, model.judged_since, MOST_JUDGED).await?;
        let trust = judge(&forecasts);
        if matches!(trust, Trust::Worse { .. }) {
            demote(tx, &model.source, trust, now).await?;
        }
    }
    Ok(())
}

async fn demote(tx: &mut Tx, source: &str, trust: Trust, now: Timestamp) -> Result<(), StoreError> {
    let because = json!({ "model": source, "judged": trust });
    store::model::demote(tx, source, &because, now).await?;
    let entry = audit::Entry {
        actor: &Actor::System,
        action: "model_demoted",
        merchant_id: None,
        plugin_id: None,
        details: because.clone(),
    };
    audit::log(tx, &entry).await?;
    tracing::warn!(
        model = source,
        ?trust,
        "a model does worse than the rules, which decide from now on"
    );
    let event = Event {
        kind: EventKind::ModelDemoted,
        merchant_id: None,
        plugin_id: None,
        data: because,
    };
    store::outbox::put(tx, &event).await
}

/// How deciding goes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ModelView {
    /// The version of the built-in model.
    pub built_in_version: &'static str,
    /// Whether outcomes are learned from.
    pub learning_enabled: bool,
    /// Each decider.
    pub deciders: Vec<Decider>,
    /// What was decided in the last 30 days, and by whom.
    pub decisions: Vec<Chosen>,
}

/// A decider.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Decider {
    /// How it stands.
    #[serde(flatten)]
    pub model: ModelRow,
    /// What its latest outcomes say of it.
    pub trust: Trust,
    /// How well its confidences hold; none before the first outcome.
    pub calibration: Option<Calibration>,
}

/// How deciding goes.
///
/// # Errors
/// When the database fails.
pub async fn model(db: &Db, now: Timestamp) -> Result<ModelView, StoreError> {
    let mut tx = db.begin().await?;
    let mut deciders = Vec::new();
    for model in store::model::all(&mut tx).await? {
        let all = store::feedback::forecasts(&mut tx, &model.source, Timestamp::UNIX_EPOCH, MOST_CALIBRATED).await?;
        let judged = store::feedback::forecasts(&mut tx, &model.source, model.judged_since, MOST_JUDGED).await?;
        deciders.push(Decider {
            trust: judge(&judged),
            calibration: calibrate(&all),
            model,
        });
    }
    let view = ModelView {
        built_in_version: BUILT_IN,
        learning_enabled: store::model::learning_enabled(&mut tx).await?,
        deciders,
        decisions: store::feedback::chosen(&mut tx, now - COUNTED).await?,
    };
    tx.commit().await.map_err(StoreError::from)?;
    Ok(view)
}

/// It decides already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the model is not demoted")]
pub struct NotDemoted;

/// Why a model is not reinstated.
#[derive(Debug, Error)]
pub enum LearnError {
    /// It decides already.
    #[error(transparent)]
    NotDemoted(#[from] NotDemoted),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lets a demoted decider decide again; it is judged by what comes from now on.
///
/// # Errors
/// When it is not demoted, or the database fails.
pub async fn reinstate(db: &Db, who: &Actor, source: &str, now: Timestamp) -> Result<(), LearnError> {
    let mut tx = db.begin().await?;
    if !store::model::reinstate(&mut tx, source, now).await? {
        return Err(NotDemoted.into());
    }
    let entry = audit::Entry {
        actor: who,
        action: "model_reinstated",
        merchant_id: None,
        plugin_id: None,
        details: json!({ "model": source }),
    };
    audit::log(&mut tx, &entry).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}
