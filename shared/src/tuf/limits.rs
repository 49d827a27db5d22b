//! Bounds of the client workflow: a hostile repository can waste this much and no more.

/// Limits, as arguments, so that tests and other clients can choose their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest root metadata file, in bytes.
    pub root_bytes: u64,
    /// The largest timestamp metadata file, in bytes.
    pub timestamp_bytes: u64,
    /// The largest snapshot metadata file, in bytes, when the timestamp does not sign its length.
    pub snapshot_bytes: u64,
    /// The largest targets metadata file, in bytes, when the snapshot does not sign its length.
    pub targets_bytes: u64,
    /// How many new roots one refresh follows.
    pub root_rotations: u32,
    /// How many targets roles one search visits.
    pub delegation_visits: u32,
}

/// Signatures on one document that are looked at; more are refused, since each costs a check.
pub const MAX_SIGNATURES: usize = 128;

impl Default for Limits {
    fn default() -> Self {
        Self {
            root_bytes: 512 * 1024,
            timestamp_bytes: 16 * 1024,
            snapshot_bytes: 2 * 1024 * 1024,
            targets_bytes: 4 * 1024 * 1024,
            root_rotations: 256,
            delegation_visits: 32,
        }
    }
}
