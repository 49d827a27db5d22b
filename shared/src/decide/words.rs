//! Explanations that a person understands, with the numbers.

use super::{
    Action, Arm, Question,
    blame::Blame,
    options::{Choice, Options},
};
use crate::bundle::manifest::{Impact, Undo};

/// The longest explanation, in bytes.
const LONGEST: usize = 2000;
/// How many of the choices not taken are told of.
const OTHERS_TOLD: usize = 3;

/// Why this is done.
pub(super) fn why(
    question: &Question,
    choice: &Choice<'_>,
    real: f64,
    blame: &Blame<'_>,
    options: &Options<'_>,
) -> String {
    let sure = format!(
        "{} sure that it works, {} that the trouble is real.",
        percent(choice.works),
        percent(real)
    );
    let mut sentences = vec![what(question, choice), grounds(question, choice, blame), sure];
    sentences.extend(others(Some(choice), options));
    cut(&sentences.join(" "))
}

/// Why nothing is done, or people are asked.
pub(super) fn why_not(
    question: &Question,
    action: Action,
    real: f64,
    best: Option<&Choice<'_>>,
    blame: &Blame<'_>,
    options: &Options<'_>,
) -> String {
    let first = match (action, best) {
        (Action::NoAction, _) => format!("The trouble is only {} likely to be real.", percent(real)),
        (_, None) => "No cure is known: a person should look.".to_owned(),
        (_, Some(best)) => format!(
            "No cure is sure enough: a person should look. The likeliest: {} ({}).",
            lower(&what(question, best)).trim_end_matches('.'),
            percent(best.works)
        ),
    };
    let mut sentences = vec![first];
    if let (Some(change), Some(hours)) = (blame.change, blame.hours) {
        sentences.push(format!(
            "The version changed from {} to {} {} before; that it is to blame is {} likely.",
            change.from,
            change.to,
            span(hours),
            percent(blame.probability)
        ));
    }
    sentences.extend(others(best, options));
    cut(&sentences.join(" "))
}

/// What the change costs the shop.
pub(super) fn impact(choice: &Choice<'_>) -> String {
    let Some(release) = choice.release else {
        return if choice.remedy.is_some() {
            "low: settings change, watched, and go back by themselves when it hurts".to_owned()
        } else {
            "medium: the version before returns, watched".to_owned()
        };
    };
    let weight = match release.impact {
        Impact::Low => "low",
        Impact::Medium => "medium",
        Impact::High => "high",
    };
    let back = match release.undo {
        Undo::CodeOnly => "can be undone",
        Undo::NeedsSnapshot => "changes data, undone only by the host's snapshot",
    };
    format!("{weight}: one swap of the plugin's code, watched; {back}")
}

fn what(question: &Question, choice: &Choice<'_>) -> String {
    let from = &question.current_version;
    let to = choice.version.map(ToString::to_string).unwrap_or_default();
    match choice.arm {
        Arm::PatchDeclared | Arm::PatchOther => format!("Update {from} to {to}."),
        Arm::Reinstall => format!("Restore {from} from verified content."),
        Arm::Rollback if to.is_empty() => format!("Go back from {from} to what ran before."),
        Arm::Rollback => format!("Go back from {from} to {to}."),
        Arm::ConfigDeclared | Arm::ConfigLearned | Arm::ConfigManaged => {
            // Values are shown by `config`; here, what is touched.
            let keys = choice.remedy.map(|remedy| remedy.settings.keys().map(String::as_str));
            format!("Set {}.", keys.into_iter().flatten().collect::<Vec<_>>().join(", "))
        }
    }
}

fn grounds(question: &Question, choice: &Choice<'_>, blame: &Blame<'_>) -> String {
    let kind = question.incident_type.as_str();
    let reason = match choice.arm {
        Arm::PatchDeclared => format!("The release declares that it fixes {kind}, and fits what is installed."),
        Arm::PatchOther => "The release does not say that it fixes this, but it helped before.".to_owned(),
        Arm::Reinstall => "Installed files differ from the signed ones.".to_owned(),
        Arm::Rollback => to_blame(blame),
        Arm::ConfigDeclared => format!("The signed manifest names this as a remedy for {kind}."),
        Arm::ConfigLearned => "The same settings helped elsewhere.".to_owned(),
        Arm::ConfigManaged => "It is what the settings were last set to.".to_owned(),
    };
    let (worked, failed) = (choice.belief.worked, choice.belief.failed);
    if worked + failed > 0.0 {
        let all = worked + failed;
        return format!("{reason} For this kind of trouble it worked {worked:.0} times out of {all:.0}.");
    }
    format!("{reason} For this kind of trouble it has not been tried yet.")
}

fn to_blame(blame: &Blame<'_>) -> String {
    let mut sentences = Vec::new();
    if let (Some(change), Some(hours)) = (blame.change, blame.hours) {
        let (from, to) = (&change.from, &change.to);
        sentences.push(format!(
            "The trouble was seen {} after {from} became {to}.",
            span(hours)
        ));
    }
    if let Some(fleet) = blame.fleet {
        sentences.push(format!(
            "Across the fleet {} does worse than its siblings ({} sure).",
            fleet.version,
            percent(fleet.confidence)
        ));
    }
    let likely = percent(blame.probability);
    sentences.push(format!("That the version is to blame is {likely} likely."));
    sentences.join(" ")
}

fn others(taken: Option<&Choice<'_>>, options: &Options<'_>) -> Option<String> {
    let mut rest: Vec<_> = options.choices.iter().filter(|choice| Some(*choice) != taken).collect();
    rest.sort_by(|a, b| b.works.total_cmp(&a.works));
    let mut told: Vec<String> = rest.iter().take(OTHERS_TOLD).map(|choice| one_of(choice)).collect();
    told.extend(options.against.iter().take(OTHERS_TOLD).cloned());
    (!told.is_empty()).then(|| format!("Not chosen: {}.", told.join("; ")))
}

fn one_of(choice: &Choice<'_>) -> String {
    let works = percent(choice.works);
    match (choice.arm, choice.version, choice.remedy) {
        (Arm::Rollback, Some(version), _) => format!("going back to {version} ({works})"),
        (Arm::Rollback, None, _) => format!("going back ({works})"),
        (_, Some(version), _) => format!("{version} ({works})"),
        (_, None, Some(remedy)) => {
            let keys: Vec<_> = remedy.settings.keys().map(String::as_str).collect();
            format!("setting {} ({works})", keys.join(", "))
        }
        (_, None, None) => works,
    }
}

fn percent(p: f64) -> String {
    format!("{:.0} %", p * 100.0)
}

fn span(hours: f64) -> String {
    if hours < 1.0 {
        format!("{:.0} minutes", hours * 60.0)
    } else if hours < 48.0 {
        format!("{hours:.1} hours")
    } else {
        format!("{:.0} days", hours / 24.0)
    }
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(LONGEST))
        .unwrap_or_default()
        .to_owned()
}
