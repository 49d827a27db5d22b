//! The whole system: the real programs, wired as in production, on loopback and in a temporary folder.

mod agent_host;
mod backstage;
pub mod binaries;
mod control_plane;
pub mod ops;
mod outcome;
mod policy;
mod releases;
mod watcher;
mod whole;

pub use self::{
    agent_host::{AgentHost, Hooks, Host, Plugin, Probe},
    backstage::{Backstage, Terms, WriteVersion},
    control_plane::{ControlPlane, Options},
    ops::{Ops, OpsKey},
    outcome::Ended,
    policy::Policy,
    releases::{HOLDERS, Releases, THRESHOLD},
    watcher::{ReadVersion, Watcher, in_force, node_version},
    whole::{FIRST, LIMIT, PRODUCT, Whole, update_to},
};
