//! Floor 4: the only place with axum.

pub mod agent_api;
pub mod ops_api;
