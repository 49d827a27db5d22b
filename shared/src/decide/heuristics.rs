//! The documented rules for when nothing better answers (the reference system's words).

use super::{Action, Decision, Question};

/// Names the rules as a model's version.
pub const HEURISTICS: &str = "heuristics/1";

/// `webhook_fail_rate` above 0.5: `config_fix`, 0.6. Else `errors_last_24h` above 50: `notify_ops`, 0.5. Else
/// `notify_ops`, 0.3. They know no settings: a `config_fix` of theirs carries the first known remedy, or none, and then
/// it is for people.
pub fn fall_back(question: &Question) -> Decision {
    let webhooks = question.number("webhook_fail_rate").unwrap_or(0.0);
    let errors = question.number("errors_last_24h").unwrap_or(0.0);
    let (action, confidence, explanation) = if webhooks > 0.5 {
        let words = format!(
            "{:.0} % of webhook deliveries fail, which is more often a setting than the code. A fixed rule, not a model.",
            webhooks * 100.0
        );
        (Action::ConfigFix, 0.6, words)
    } else if errors > 50.0 {
        let words = format!("{errors:.0} errors in 24 hours: a person should look. A fixed rule, not a model.");
        (Action::NotifyOps, 0.5, words)
    } else {
        let words = "Nothing stands out: a person should look. A fixed rule, not a model.".to_owned();
        (Action::NotifyOps, 0.3, words)
    };
    let remedy = question.historical_data.remedies.first();
    Decision {
        action,
        patch_version: None,
        current_version: question.current_version.clone(),
        confidence,
        confidence_real: question.historical_data.confidence_real,
        explanation,
        estimated_impact: None,
        method: action.method(),
        config: remedy
            .filter(|_| action == Action::ConfigFix)
            .map(|remedy| remedy.settings.clone()),
    }
}
