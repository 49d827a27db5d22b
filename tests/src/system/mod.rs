//! The whole system: the real programs, wired as in production, on loopback and in a temporary folder.

mod agent_host;
mod backstage;
pub mod binaries;
mod control_plane;
mod healing;
pub mod ops;
mod outcome;
mod policy;
mod receiver;
mod releases;
pub mod sql;
mod staging;
mod watcher;
mod whole;

pub use self::{
    agent_host::{AgentHost, Hooks, Host, Plugin, Probe},
    backstage::{Backstage, Terms, WriteVersion},
    control_plane::{ControlPlane, Options},
    healing::{Healing, Plan},
    ops::{Ops, OpsKey},
    outcome::Ended,
    policy::Pace,
    receiver::{Receiver, Told},
    releases::{HOLDERS, Releases, THRESHOLD},
    staging::{StagingDoor, StagingRunner},
    watcher::{ReadVersion, Watcher, in_force, node_version},
    whole::{FIRST, LIMIT, PRODUCT, Whole, update_to},
};
