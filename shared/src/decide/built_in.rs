//! The built-in model: the choice with the highest expected utility, or people when none is sure enough.

use std::cmp::Ordering;

use thiserror::Error;

use super::{
    Action, Decision, MAX_CHANGES, MAX_FINDINGS, MAX_PAST, MAX_RELEASES, MAX_REMEDIES, MAX_TALLIES, Question, blame,
    options::{self, Choice, Options},
    words,
};
use crate::detect::IncidentType;

/// Names this model and its constants: changed with every change that could change an answer, because a replay is only
/// exact with the same code.
pub const BUILT_IN: &str = "built-in/2";

/// What a cure that does not work costs, in cures that work: the plugin was changed, watched and taken back.
const LOSS: f64 = 1.0;
/// What changing a plugin costs that was not ill.
const NEEDLESS: f64 = 0.5;
/// What people are worth: they find the cure, but hours later.
const ASK: f64 = 0.2;
/// What calling people for nothing costs.
const FALSE_ALARM: f64 = 0.1;
/// What leaving a plugin ill costs.
const NEGLECT: f64 = 0.5;

/// Why the model has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unable {
    /// It did worse than the rules.
    #[error("the built-in model did worse than the rules and was demoted to them")]
    Demoted,
    /// A list is longer than the model looks at.
    #[error("the question has too many {0}")]
    TooMany(&'static str),
}

/// Decides. A pure function: the same question gives the same decision.
///
/// # Errors
/// When the model was demoted, or the question is out of bounds.
pub fn decide(question: &Question) -> Result<Decision, Unable> {
    check(question)?;
    let real = confidence_real(question);
    let blame = blame::judge(question);
    let options = options::find(question, &blame);
    let best = options.choices.iter().max_by(|a, b| better(a, b));
    let ask = real * ASK - (1.0 - real) * FALSE_ALARM;
    let leave = -real * NEGLECT;
    Ok(match best {
        Some(choice) if utility(choice, real) > ask.max(leave) => act(question, choice, real, &blame, &options),
        _ if leave > ask => stay(question, Action::NoAction, real, best, &blame, &options),
        _ => stay(question, Action::NotifyOps, real, best, &blame, &options),
    })
}

fn check(question: &Question) -> Result<(), Unable> {
    let history = &question.historical_data;
    if history.experience.demoted {
        return Err(Unable::Demoted);
    }
    let bounds = [
        ("releases", history.releases.len(), MAX_RELEASES),
        ("version changes", history.version_changes.len(), MAX_CHANGES),
        ("findings about the fleet", history.fleet.len(), MAX_FINDINGS),
        ("remedies", history.remedies.len(), MAX_REMEDIES),
        ("earlier attempts", history.attempts.len(), MAX_PAST),
        ("tallies", history.experience.tallies.len(), MAX_TALLIES),
        ("seeds", history.experience.seeds.len(), MAX_RELEASES),
    ];
    match bounds.into_iter().find(|(_, len, most)| len > most) {
        Some((what, ..)) => Err(Unable::TooMany(what)),
        None => Ok(()),
    }
}

/// The probability that the incident is real: the detector's; without one, what each rule is worth.
fn confidence_real(question: &Question) -> f64 {
    let of_rule = match question.incident_type {
        IncidentType::SignatureInvalid | IncidentType::VersionIncompatibility => 0.99,
        IncidentType::ConfigDrift => 0.97,
        IncidentType::HeartbeatMissed => 0.9,
        IncidentType::WebhookFailRate => 0.85,
        IncidentType::ErrorSpike => 0.8,
        IncidentType::TelemetryAnomaly => 0.7,
    };
    let real = question.historical_data.confidence_real.unwrap_or(of_rule);
    thousandths(real.clamp(0.0, 1.0))
}

/// Confidences have three decimals: more would be pretence, and the last digits of a logarithm differ between machines.
fn thousandths(p: f64) -> f64 {
    (p * 1000.0).round() / 1000.0
}

fn utility(choice: &Choice<'_>, real: f64) -> f64 {
    let works = thousandths(choice.works);
    real * (works - (1.0 - works) * LOSS) - (1.0 - real) * NEEDLESS
}

/// Which of two is better: the likelier to work; then the smaller step.
fn better(a: &Choice<'_>, b: &Choice<'_>) -> Ordering {
    let impact = |choice: &Choice<'_>| choice.release.map(|release| release.impact);
    thousandths(a.works)
        .total_cmp(&thousandths(b.works))
        .then_with(|| impact(b).cmp(&impact(a)))
        .then_with(|| b.version.cmp(&a.version))
        .then_with(|| remedy_of(b).cmp(&remedy_of(a)))
}

fn remedy_of<'a>(choice: &Choice<'a>) -> Option<(super::RemedySource, &'a str)> {
    choice.remedy.map(|remedy| (remedy.source, remedy.id.as_str()))
}

fn act(
    question: &Question,
    choice: &Choice<'_>,
    real: f64,
    blame: &blame::Blame<'_>,
    options: &Options<'_>,
) -> Decision {
    Decision {
        action: choice.action(),
        patch_version: choice.version.cloned(),
        current_version: question.current_version.clone(),
        confidence: thousandths(choice.works),
        confidence_real: Some(real),
        explanation: words::why(question, choice, real, blame, options),
        estimated_impact: Some(words::impact(choice).into()),
        method: Some(choice.method),
        config: choice.remedy.map(|remedy| remedy.settings.clone()),
    }
}

fn stay(
    question: &Question,
    action: Action,
    real: f64,
    best: Option<&Choice<'_>>,
    blame: &blame::Blame<'_>,
    options: &Options<'_>,
) -> Decision {
    let surest = best.map_or(0.0, |choice| thousandths(choice.works));
    Decision {
        action,
        patch_version: None,
        current_version: question.current_version.clone(),
        confidence: thousandths(if action == Action::NoAction {
            1.0 - real
        } else {
            1.0 - surest
        }),
        confidence_real: Some(real),
        explanation: words::why_not(question, action, real, best, blame, options),
        estimated_impact: None,
        method: None,
        config: None,
    }
}
