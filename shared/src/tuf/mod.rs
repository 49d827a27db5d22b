//! The Update Framework, specification 1.0.x (<https://theupdateframework.github.io/specification/latest/>): what may
//! be installed is decided here, by signatures, never by the word of a server.
//!
//! Pure: no clock, no network, no files. [`trusted::TrustedSet`] is the client workflow of section 5, [`search`] finds
//! a target through delegations, [`sign`] is the side of those who publish, [`product`] reads what Plugmend adds.

pub mod delegation;
pub mod document;
pub mod error;
pub mod hash;
pub mod head;
pub mod json;
pub mod key;
pub mod limits;
pub mod metadata;
pub mod product;
pub mod search;
pub mod sign;
mod spki;
pub mod targets;
pub mod trusted;
pub mod verify;

pub use document::{Document, Envelope, Signature};
pub use error::Error;
pub use head::{Head, Role};
pub use key::{Key, KeyId};
pub use limits::Limits;
pub use metadata::{MetaFile, RoleKeys, Root, Snapshot, Timestamp};
pub use targets::{DelegatedRole, Delegations, TargetFile, Targets};
pub use trusted::TrustedSet;

/// The version of the specification that our own metadata claim.
pub const SPEC_VERSION: &str = "1.0.31";

/// Role names of the four top-level roles, which no delegation may take.
pub const TOP_LEVEL: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];
