//! The whole system: the real programs, wired as in production, on loopback and in a temporary folder.

pub mod binaries;
mod control_plane;
mod ops;

pub use self::{
    control_plane::{ControlPlane, Options},
    ops::{Ops, OpsKey},
};
