//! What statuses have in common: their names, and transitions that there are not.

use thiserror::Error;

/// A transition that there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{what} that is {from} can not become {to}")]
pub struct Illegal<Status> {
    /// What it is a status of.
    pub what: &'static str,
    /// What it is.
    pub from: Status,
    /// What was asked.
    pub to: Status,
}

/// A text that names no status.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{text}' is no status of {what}")]
pub struct Unknown {
    /// Of what.
    pub what: &'static str,
    /// The text.
    pub text: String,
}

/// Gives a status its name where it is shown and read, by `as_str`.
macro_rules! named {
    ($status:ty, $all:expr, $what:expr) => {
        impl std::fmt::Display for $status {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $status {
            type Err = crate::domain::status::Unknown;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let known = $all.into_iter().find(|status| status.as_str() == text);
                known.ok_or_else(|| crate::domain::status::Unknown {
                    what: $what,
                    text: text.to_owned(),
                })
            }
        }
    };
}
pub(crate) use named;
