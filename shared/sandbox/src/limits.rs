//! How much a test may use.

use std::fs;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

const MIB: u64 = 1024 * 1024;
/// Processes of the host that are looked at to count this user's.
const MAX_LOOKED_AT: usize = 100_000;

/// How much a test may use, all its processes together unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u64,
    /// One file, in bytes.
    pub file: u64,
    /// All that lies in the scratch folder, in bytes.
    pub scratch: u64,
    /// Files that one process has open.
    pub open_files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 1024 * MIB,
            processes: 128,
            file: 64 * MIB,
            scratch: 128 * MIB,
            open_files: 512,
        }
    }
}

impl Limits {
    /// Puts them on this process and all that it starts. Address space is not limited: runtimes reserve far more than
    /// they use. `others` are this user's processes that are not the test's but count as well.
    pub(crate) fn put_on(&self, seconds: u64, others: u64) -> rustix::io::Result<()> {
        let set = |resource, value| {
            let limit = Rlimit {
                current: Some(value),
                maximum: Some(value),
            };
            match setrlimit(resource, limit) {
                // The host's own limit is lower already.
                Err(rustix::io::Errno::PERM) => Ok(()),
                other => other,
            }
        };
        set(Resource::Core, 0)?;
        set(Resource::Cpu, seconds.max(1))?;
        set(Resource::Fsize, self.file)?;
        set(Resource::Data, self.memory.saturating_mul(2))?;
        set(Resource::Memlock, MIB)?;
        set(Resource::Msgqueue, 0)?;
        set(Resource::Nofile, self.open_files)?;
        set(Resource::Nproc, self.processes.saturating_add(others))
    }
}

/// How many processes and threads of `user` there are on this host; the limit counts them all where the test has no
/// user namespace of its own.
pub(crate) fn running_as(user: u32) -> u64 {
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let mut running = 0_u64;
    for process in processes.take(MAX_LOOKED_AT).flatten() {
        let is_process = process
            .file_name()
            .to_string_lossy()
            .bytes()
            .all(|b| b.is_ascii_digit());
        let Some(status) = is_process
            .then(|| fs::read_to_string(process.path().join("status")).ok())
            .flatten()
        else {
            continue;
        };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        if field("Uid:") == Some(user.into()) {
            running += field("Threads:").unwrap_or(1);
        }
    }
    running
}
