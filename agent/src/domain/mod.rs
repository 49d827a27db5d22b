//! Floor 1, pure: what happens next. `(state, event, now) -> (state, effects)`.

pub mod change;
pub mod gate;
pub mod installed;
pub mod machine;
pub mod preserved;
pub mod quarantine;
pub mod renewal;
pub mod schedule;
pub mod settings;
mod stats;
pub mod trial;
pub mod undone;
