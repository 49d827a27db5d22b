//! Which kind of cure something is.

use semver::Version;
use serde_json::{Map, Value};

use super::{Arm, KnownRelease, Method, Question, Remedy, RemedySource};
use crate::detect::IncidentType;

/// Which kind of cure an attempt was that answered a question, and where it led: a version, or a remedy by its name.
/// `None` when it says neither.
pub fn arm_of(
    question: &Question,
    method: Method,
    version: Option<&str>,
    config: Option<&Map<String, Value>>,
) -> Option<(Arm, String)> {
    match method {
        Method::Rollback => Some((Arm::Rollback, version?.to_owned())),
        Method::Reinstall => Some((Arm::Reinstall, version?.to_owned())),
        Method::Patch | Method::Hotfix => {
            let text = version?;
            let release = Version::parse(text)
                .ok()
                .and_then(|version| question.release(&version).cloned());
            let declared = release
                .zip(question.current())
                .is_some_and(|(release, current)| declares(question, &current, &release));
            let arm = if declared { Arm::PatchDeclared } else { Arm::PatchOther };
            Some((arm, text.to_owned()))
        }
        Method::ConfigFix => {
            let id = Remedy::name_of(config?);
            let known = question.historical_data.remedies.iter().find(|remedy| remedy.id == id);
            let arm = known.map_or(Arm::ConfigLearned, |remedy| arm_of_remedy(remedy.source));
            Some((arm, id))
        }
    }
}

pub(super) fn arm_of_remedy(source: RemedySource) -> Arm {
    match source {
        RemedySource::Declared => Arm::ConfigDeclared,
        RemedySource::Learned => Arm::ConfigLearned,
        RemedySource::Managed => Arm::ConfigManaged,
    }
}

/// Whether a release claims to cure this: by name, or by running on what the one that runs does not.
pub(super) fn declares(question: &Question, current: &Version, release: &KnownRelease) -> bool {
    if release.fixes.iter().any(|fix| fix == question.incident_type.as_str()) {
        return true;
    }
    let environment = &question.historical_data.environment;
    question.incident_type == IncidentType::VersionIncompatibility
        && question
            .release(current)
            .is_some_and(|running| running.compat.runs_on(environment).is_err())
        && release.compat.runs_on(environment).is_ok()
}
