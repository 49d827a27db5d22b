//! Floor 1, pure: types, transitions and rules.

pub mod identity;
