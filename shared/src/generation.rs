//! The number that makes old orders harmless.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number that only grows per plugin. It is assigned when a command is dispatched; an agent refuses any command
/// whose generation is below the highest it has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// Before any command.
    pub const ZERO: Self = Self(0);

    /// The next generation; `None` when the counter is exhausted (after 2^64 - 1 commands to one plugin).
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
