//! Floor 1, pure: types, transitions and rules.

pub mod approval;
pub mod attempt;
pub mod command;
pub mod decision;
pub mod delivery;
pub mod event;
pub mod heartbeat;
pub mod identity;
pub mod incident;
pub mod learning;
pub mod network;
pub mod page;
pub mod policy;
pub mod status;
