//! Whether a release fits where it is to run.

use std::collections::BTreeMap;

use thiserror::Error;

use super::manifest::Compatibility;

/// Why a release does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Misfit {
    /// It can not follow the version that runs.
    #[error("it can follow {wanted}, here is {have}")]
    From {
        /// The versions that it can follow.
        wanted: String,
        /// The version that runs.
        have: String,
    },
    /// Nobody said what it would run on.
    #[error("it needs {name} {wanted}, and which {name} is here is unknown")]
    Unknown {
        /// Of what.
        name: String,
        /// The versions that it needs.
        wanted: String,
    },
    /// It would run on something else.
    #[error("it needs {name} {wanted}, here is {have}")]
    Environment {
        /// Of what.
        name: String,
        /// The versions that it needs.
        wanted: String,
        /// What is there.
        have: String,
    },
}

impl Compatibility {
    /// Whether a release with this compatibility can follow the version that runs.
    ///
    /// # Errors
    /// When it can not.
    pub fn follows(&self, current: &semver::Version) -> Result<(), Misfit> {
        match &self.from {
            Some(from) if !from.matches(current) => Err(Misfit::From {
                wanted: from.to_string(),
                have: current.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether a release with this compatibility runs on these versions of things, by name. What is not named does not
    /// fit: unknown means stay as you are.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn runs_on(&self, environment: &BTreeMap<String, String>) -> Result<(), Misfit> {
        for (name, wanted) in &self.env {
            let Some(have) = environment.get(name) else {
                return Err(Misfit::Unknown {
                    name: name.clone(),
                    wanted: wanted.to_string(),
                });
            };
            if !loose_version(have).is_some_and(|version| wanted.matches(&version)) {
                return Err(Misfit::Environment {
                    name: name.clone(),
                    wanted: wanted.to_string(),
                    have: have.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Platforms write versions loosely: `8.2`, `v20.1.0`, `8.2.7-1+deb12`. The first three numbers are what counts.
pub fn loose_version(text: &str) -> Option<semver::Version> {
    let digits = text.trim().trim_start_matches(['v', 'V']);
    let end = digits
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(digits.len());
    let mut numbers = digits.get(..end)?.split('.').map(|part| part.parse::<u64>().ok());
    let major = numbers.next()??;
    let minor = numbers.next().flatten().unwrap_or(0);
    let patch = numbers.next().flatten().unwrap_or(0);
    Some(semver::Version::new(major, minor, patch))
}
