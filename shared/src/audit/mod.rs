//! Proof that the audit trail was not changed: entries are leaves of a Merkle tree (RFC 6962), whose heads are signed
//! (C2SP tlog-checkpoint, as a signed note) and witnessed outside of the database.

pub mod checkpoint;
pub mod entry;
pub mod merkle;
pub mod verify;
