//! What could be done about an incident, each with how likely it is to work.

use std::borrow::Cow;

use semver::Version;

use super::{
    Action, Arm, Belief, KnownRelease, Method, PastOutcome, Question, Remedy, RemedySource, Standing,
    arm::{arm_of_remedy, declares},
    believe,
    blame::Blame,
};
use crate::{bundle::manifest::Undo, detect::IncidentType, protocol::command::CommandKind};

/// How likely it is that going back helps when the version is not to blame.
const LUCK: f64 = 0.05;

/// One thing that could be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice<'a> {
    pub method: Method,
    /// Where to.
    pub version: Option<&'a Version>,
    /// The release, when it is known.
    pub release: Option<&'a KnownRelease>,
    /// With which settings.
    pub remedy: Option<&'a Remedy>,
    /// Why it is a choice.
    pub arm: Arm,
    /// What is believed of it.
    pub belief: Belief,
    /// The probability that it works.
    pub works: f64,
}

impl Choice<'_> {
    pub fn action(&self) -> Action {
        match self.method {
            Method::Patch | Method::Reinstall | Method::Hotfix => Action::Patch,
            Method::ConfigFix => Action::ConfigFix,
            Method::Rollback => Action::Rollback,
        }
    }
}

/// Everything that could be done, and in words what could not and why.
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    pub choices: Vec<Choice<'a>>,
    pub against: Vec<String>,
}

/// Looks for cures.
pub(super) fn find<'a>(question: &'a Question, blame: &Blame<'a>) -> Options<'a> {
    let mut options = Options::default();
    if question.incident_type == IncidentType::HeartbeatMissed {
        let words = "the plugin is not heard, so no order would reach it";
        options.against.push(words.to_owned());
        return options;
    }
    match question.current() {
        Some(current) => {
            patches(question, &current, &mut options);
            reinstallation(question, &current, &mut options);
        }
        None => options
            .against
            .push("which version runs can not be read, so no release can be chosen".to_owned()),
    }
    way_back(question, blame, &mut options);
    remedies(question, &mut options);
    options
}

fn patches<'a>(question: &'a Question, current: &Version, options: &mut Options<'a>) {
    if !question.can(CommandKind::Update) {
        let words = "the plugin can not install releases by order";
        options.against.push(words.to_owned());
        return;
    }
    let history = &question.historical_data;
    let newer = history.releases.iter().filter(|release| release.version > *current);
    for release in newer {
        let declared = declares(question, current, release);
        match refusal(question, current, release) {
            // Why a release that never claimed to help is no choice interests nobody.
            Some(why) if declared => options.against.push(format!("{}: {why}", release.version)),
            Some(_) => {}
            None => {
                let arm = if declared { Arm::PatchDeclared } else { Arm::PatchOther };
                options.choices.push(to_release(question, release, arm, Method::Patch));
            }
        }
    }
}

fn to_release<'a>(question: &'a Question, release: &'a KnownRelease, arm: Arm, method: Method) -> Choice<'a> {
    let belief = of(question, arm, &release.version.to_string());
    Choice {
        method,
        version: Some(&release.version),
        release: Some(release),
        remedy: None,
        arm,
        belief,
        works: belief.mean,
    }
}

fn of(question: &Question, arm: Arm, to: &str) -> Belief {
    let kind = question.incident_type.as_str();
    let experience = &question.historical_data.experience;
    believe(experience, arm, kind, &question.current_version, to)
}

/// Why a release can not be installed here.
fn refusal(question: &Question, current: &Version, release: &KnownRelease) -> Option<Cow<'static, str>> {
    if let Some(why) = release.standing.refusal() {
        return Some(format!("it is {why}").into());
    }
    let text = release.version.to_string();
    if let Some(words) = tried(question, Some(&text), None) {
        return Some(words.into());
    }
    let history = &question.historical_data;
    let sick = history
        .fleet
        .iter()
        .any(|finding| finding.version == text && finding.platform.as_ref().is_none_or(|p| *p == history.platform));
    if sick {
        return Some("it does worse than its siblings across the fleet".into());
    }
    let misfit = release
        .compat
        .follows(current)
        .and_then(|()| release.compat.runs_on(&history.environment))
        .err()?;
    Some(misfit.to_string().into())
}

/// When the same was tried here and did not help.
fn tried(question: &Question, to: Option<&str>, remedy: Option<&str>) -> Option<String> {
    let same = question.historical_data.attempts.iter().find(|past| {
        past.outcome != PastOutcome::Success
            && to.is_none_or(|to| past.to.as_deref() == Some(to) && past.method != Method::ConfigFix)
            && remedy.is_none_or(|remedy| past.remedy.as_deref() == Some(remedy))
    })?;
    let ended = match same.outcome {
        PastOutcome::RolledBack => "was taken back",
        _ => "did not help",
    };
    Some(format!("it was tried here and {ended} ({})", same.at.strftime("%F")))
}

/// A tampered tree is healed from verified content of the same version.
fn reinstallation<'a>(question: &'a Question, current: &Version, options: &mut Options<'a>) {
    if question.incident_type != IncidentType::SignatureInvalid || !question.can(CommandKind::Update) {
        return;
    }
    match question.release(current).filter(|r| r.standing == Standing::Offered) {
        Some(release) => {
            let choice = to_release(question, release, Arm::Reinstall, Method::Reinstall);
            options.choices.push(choice);
        }
        None => options.against.push(format!(
            "{current} is not among the offered releases, so there is nothing to restore it from"
        )),
    }
}

fn way_back<'a>(question: &'a Question, blame: &Blame<'a>, options: &mut Options<'a>) {
    if blame.probability <= 0.0 || !question.can(CommandKind::Rollback) {
        return;
    }
    let before = blame
        .change
        .or_else(|| question.historical_data.version_changes.first())
        .filter(|change| change.to == question.current_version);
    let Some(before) = before else {
        let words = "which version ran before is not known, so there is none to go back to";
        options.against.push(words.to_owned());
        return;
    };
    let running = question
        .current()
        .and_then(|current| question.release(&current).cloned());
    if running.is_some_and(|release| release.undo == Undo::NeedsSnapshot) {
        let words = "going back: the version that runs changed data so that older code breaks";
        options.against.push(words.to_owned());
        return;
    }
    if was_left_ill(question, &before.from) {
        let words = format!("going back to {}: it was ill when a cure left it", before.from);
        options.against.push(words);
        return;
    }
    let target = Version::parse(&before.from).ok().and_then(|version| {
        let releases = &question.historical_data.releases;
        releases.iter().find(|release| release.version == version)
    });
    // What ran before the first release (an adopted folder) has no release: the agent knows it as the one before.
    let refused = match target.and_then(|release| release.standing.refusal()) {
        Some(why) => Some(format!("it is {why}")),
        None => tried(question, Some(&before.from), None),
    };
    if let Some(why) = refused {
        options.against.push(format!("going back to {}: {why}", before.from));
        return;
    }
    let belief = of(question, Arm::Rollback, &before.from);
    options.choices.push(Choice {
        method: Method::Rollback,
        version: target.map(|release| &release.version),
        release: target,
        remedy: None,
        arm: Arm::Rollback,
        belief,
        works: blame.probability * belief.mean + (1.0 - blame.probability) * LUCK,
    });
}

/// Whether the version that runs is itself what cured an illness of the one before.
fn was_left_ill(question: &Question, before: &str) -> bool {
    question.historical_data.attempts.iter().any(|past| {
        past.outcome == PastOutcome::Success
            && matches!(past.method, Method::Patch | Method::Hotfix)
            && past.from == before
            && past.to.as_deref() == Some(question.current_version.as_str())
    })
}

fn remedies<'a>(question: &'a Question, options: &mut Options<'a>) {
    if !question.can(CommandKind::ConfigUpdate) {
        return;
    }
    for remedy in &question.historical_data.remedies {
        // What the settings were set to cures a drift from it, and nothing else.
        let drifted = question.incident_type == IncidentType::ConfigDrift;
        if remedy.source == RemedySource::Managed && !drifted {
            continue;
        }
        let arm = arm_of_remedy(remedy.source);
        if let Some(why) = tried(question, None, Some(&remedy.id)) {
            let keys: Vec<_> = remedy.settings.keys().map(String::as_str).collect();
            options.against.push(format!("setting {}: {why}", keys.join(", ")));
            continue;
        }
        let belief = of(question, arm, &remedy.id);
        options.choices.push(Choice {
            method: Method::ConfigFix,
            version: None,
            release: None,
            remedy: Some(remedy),
            arm,
            belief,
            works: belief.mean,
        });
    }
}
