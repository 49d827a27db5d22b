//! Exit codes; see the table in [`super`].

use std::process::ExitCode;

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done; nothing is wrong.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The configuration makes no sense.
    BadConfig = 3,
    /// Not enrolled, fenced or revoked.
    NotEnrolled = 4,
    /// Something is wrong with the plugin or its host.
    Wrong = 5,
    /// Another agent holds this plugin, or does not answer.
    Busy = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
