//! Floors: an upper one imports lower ones, never the other way, and neighbours do not know each other.

use std::path::{Component, Path};

use super::{paths::crate_roots_named, source::SourceFile};

/// The floors of one crate.
pub struct Floors {
    /// The crate's source folder, from the workspace's root.
    pub source: &'static str,
    /// Module by floor, lowest first.
    pub floors: &'static [&'static [&'static str]],
    /// Modules that may see every floor and that no floor may see.
    pub above: &'static [&'static str],
}

/// The agent's.
pub const AGENT: Floors = Floors {
    source: "agent/src",
    floors: &[
        &["fault"],
        &["domain"],
        &["store", "platform", "upstream", "ingest"],
        &["engine"],
        &["tasks"],
    ],
    above: &["app", "main", "cli", "lifecycle", "config", "bin", "lib"],
};

/// The control plane's.
pub const CONTROL_PLANE: Floors = Floors {
    source: "control-plane/src",
    floors: &[
        &["domain"],
        &["outgoing"],
        &["store", "pki", "repo", "sira", "staging", "notify"],
        &["service"],
        &["jobs", "http"],
    ],
    above: &["app", "main", "cli", "lifecycle", "config", "bin", "lib"],
};

impl Floors {
    fn floor(&self, module: &str) -> Option<usize> {
        self.floors.iter().position(|floor| floor.contains(&module))
    }
}

/// Imports that go up or sideways, in words; and modules that stand on no floor.
pub fn misplaced_imports(floors: &Floors, files: &[SourceFile]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files {
        let Ok(path) = file.path.strip_prefix(floors.source) else {
            continue;
        };
        let (module, depth) = module_of(path);
        if floors.above.contains(&module.as_str()) {
            continue;
        }
        let Some(here) = floors.floor(&module) else {
            wrong.push(format!("{}: module {module} stands on no floor", file.path.display()));
            continue;
        };
        for named in crate_roots_named(&file.text, depth) {
            let allowed = match floors.floor(&named) {
                Some(there) => named == module || there < here,
                None => !floors.above.contains(&named.as_str()),
            };
            if !allowed {
                wrong.push(format!("{}: {module} may not import {named}", file.path.display()));
            }
        }
    }
    wrong
}

/// The top-level module of a file and how deep the file's own module lies below the crate's root.
fn module_of(path: &Path) -> (String, usize) {
    let mut parts: Vec<String> = path
        .with_extension("")
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    if parts.len() > 1 && parts.last().is_some_and(|name| name == "mod") {
        parts.pop();
    }
    let depth = parts.len();
    (parts.into_iter().next().unwrap_or_default(), depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(path: &str, text: &str) -> usize {
        let files = [SourceFile {
            path: path.into(),
            text: text.to_owned(),
        }];
        misplaced_imports(&AGENT, &files).len()
    }

    #[test]
    fn down_is_allowed_up_and_sideways_are_not() {
        assert_eq!(
            wrong("agent/src/engine/fetch.rs", "use crate::{domain::x, store::y};"),
            0
        );
        assert_eq!(wrong("agent/src/store/sled.rs", "use crate::engine::x;"), 1);
        assert_eq!(wrong("agent/src/store/sled.rs", "use crate::platform::x;"), 1);
        assert_eq!(wrong("agent/src/store/sled.rs", "use crate::store::ledger;"), 0);
        assert_eq!(wrong("agent/src/tasks/mod.rs", "use crate::config::Config;"), 1);
        assert_eq!(wrong("agent/src/app.rs", "use crate::{tasks, config};"), 0);
    }

    #[test]
    fn a_module_on_no_floor_is_reported() {
        assert_eq!(wrong("agent/src/misc.rs", ""), 1);
    }
}
