//! Floor 0: what the agent, the control plane and the command line agree on.
//!
//! Nothing here does I/O on its own account: no runtime, no database, no HTTP. Clock and randomness are arguments,
//! so every decision can be replayed. See the ARCHITECTURE section of the README for the floors above.

pub mod audit;
pub mod bundle;
pub mod clock;
pub mod decide;
pub mod detect;
pub mod generation;
pub mod ids;
pub mod protocol;
pub mod telemetry;
pub mod tuf;
