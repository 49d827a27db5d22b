//! What travels between plugin, agent, control plane and people. Names and shapes of the reference system stay.

pub mod command;
pub mod heartbeat;
pub mod identity;
pub mod problem;

/// The longest body of a heartbeat, in bytes.
pub const MAX_HEARTBEAT_BYTES: usize = 1024 * 1024;
/// The longest body of any other request to the gateway, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long the control plane holds a long poll open, in seconds.
pub const LONG_POLL_SECONDS: u64 = 55;
/// How often an agent sends a heartbeat unless the control plane tunes it, in seconds.
pub const DEFAULT_HEARTBEAT_SECONDS: u32 = 120;
