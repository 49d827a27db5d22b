//! What a run came to, as scripts see it. `docs/command-line.md` has the same table; a test compares the two.

use std::process::ExitCode;

/// The exit codes of every verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Something went wrong.
    Failed,
    /// What was asked can not be asked so; clap says the same of the command line itself.
    Usage,
    /// Somebody has to act first.
    Refused,
    /// There is no such thing.
    NotFound,
    /// It is in another state than this needs.
    Conflict,
    /// Some lines of the input could not be read (`EX_DATAERR` of `sysexits.h`).
    BadLines,
    /// The control plane can not be reached or is busy (`EX_UNAVAILABLE` of `sysexits.h`).
    Unavailable,
    /// Ended by Ctrl-C, as shells say it (128 and the number of the signal).
    Interrupted,
}

impl Exit {
    /// Every one, in the order of the codes.
    #[cfg(test)]
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::NotFound,
        Self::Conflict,
        Self::BadLines,
        Self::Unavailable,
        Self::Interrupted,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NotFound => 4,
            Self::Conflict => 5,
            Self::BadLines => 65,
            Self::Unavailable => 69,
            Self::Interrupted => 130,
        }
    }

    /// What a refusal of the control plane comes to: its HTTP status, and its `error` code where one status means two
    /// things.
    pub fn of(status: u16, code: &str) -> Self {
        match (status, code) {
            // The state is fine; the policy is not, and trying again changes nothing.
            (409, "refused_by_policy") | (401 | 403, _) => Self::Refused,
            (404 | 410, _) => Self::NotFound,
            (409 | 412 | 428, _) => Self::Conflict,
            (400 | 405 | 411 | 413 | 414 | 415 | 422 | 431, _) => Self::Usage,
            (408 | 425 | 429 | 500.., _) => Self::Unavailable,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_the_control_plane_has_its_exit_code() {
        for (status, code, exit) in [
            (400, "invalid_query", Exit::Usage),
            (401, "unauthorized", Exit::Refused),
            (403, "forbidden", Exit::Refused),
            (404, "unknown_incident", Exit::NotFound),
            (409, "incident_closed", Exit::Conflict),
            (409, "refused_by_policy", Exit::Refused),
            (412, "policy_changed", Exit::Conflict),
            (413, "body_too_large", Exit::Usage),
            (429, "rate_limited", Exit::Unavailable),
            (500, "internal_error", Exit::Unavailable),
            (503, "try_again_later", Exit::Unavailable),
            (302, "", Exit::Failed),
        ] {
            assert_eq!(Exit::of(status, code), exit, "{status} {code}");
        }
    }

    #[test]
    fn no_two_outcomes_share_a_code() {
        let mut codes = Exit::ALL.map(Exit::code).to_vec();
        assert!(codes.is_sorted());
        codes.dedup();
        assert_eq!(codes.len(), Exit::ALL.len());
    }
}
