//! Floor 1, pure: what happens next. `(state, event, now) -> (state, effects)`.

pub mod renewal;
pub mod schedule;
