//! Runs a release's smoke tests so that they can read the release and the system's programs, and nothing else: no
//! network, no writing but in a scratch folder, limits on time, memory and files.
//!
//! Restrictions must be put on by the process they bind, and doing that between fork and exec needs unsafe code. So
//! the agent starts itself once more as a helper ([`run_helper`]): it limits itself, then becomes bubblewrap, or,
//! where that is not to be had, restricts itself by Landlock and seccomp and becomes the test. Where neither works, a
//! test is refused unless the host's configuration says that reduced protection is enough.

mod confine;
mod helper;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::exec::{self, ExecError, Finished, Program};

pub use helper::{HELPER_ARG, run_helper};

/// Where programs and what they need are found.
const SYSTEM: [&str; 10] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/etc", "/nix", "/snap",
];

/// What the host's configuration says.
#[derive(Debug, Clone, Default)]
pub struct SandboxOptions {
    /// The agent's own program and the words that make it a helper.
    pub helper: Vec<String>,
    /// Folders beside the system's that tests may read (an interpreter's, say).
    pub read: Vec<PathBuf>,
    /// Whether tests may run unconfined where the system offers nothing.
    pub accept_none: bool,
}

/// How a test is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confinement {
    /// Own namespaces, by bubblewrap.
    Bubblewrap,
    /// Landlock and seccomp.
    Landlock,
    /// Limits only; the host accepted that.
    None,
}

/// What the helper is told.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    argv: Vec<String>,
    folder: PathBuf,
    read: Vec<PathBuf>,
    scratch: PathBuf,
    confinement: Confinement,
    seconds: u64,
}

/// Why a test was not run.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// Nothing here can confine it.
    #[error(
        "this host can confine a test neither by bubblewrap nor by Landlock: install bubblewrap, or accept reduced \
         protection in the agent's configuration (sandbox.accept_none = true)"
    )]
    Unavailable,
    /// It could not be run to its end.
    #[error("the test could not be run to its end")]
    Exec(#[from] ExecError),
    /// The helper's order could not be written.
    #[error("the test could not be described to the helper")]
    Order(#[from] serde_json::Error),
}

/// What this host can do.
///
/// # Errors
/// Nothing, and the configuration does not accept that.
pub fn available(options: &SandboxOptions) -> Result<Confinement, SandboxError> {
    if confine::bubblewrap_works() {
        return Ok(Confinement::Bubblewrap);
    }
    if confine::landlock_works() {
        return Ok(Confinement::Landlock);
    }
    if options.accept_none {
        return Ok(Confinement::None);
    }
    Err(SandboxError::Unavailable)
}

/// Runs `argv` in `folder`, confined; `scratch` is the one place it may write to.
///
/// # Errors
/// It can not be confined, or not be run to its end.
pub fn run(
    options: &SandboxOptions,
    argv: &[String],
    folder: &Path,
    scratch: &Path,
    limit: Duration,
) -> Result<Finished, SandboxError> {
    let confinement = available(options)?;
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    read.extend(options.read.iter().cloned());
    read.retain(|path| path.exists());
    let order = Order {
        argv: argv.to_vec(),
        folder: folder.to_owned(),
        read,
        scratch: scratch.to_owned(),
        confinement,
        seconds: limit.as_secs().saturating_add(1),
    };
    let mut call = options.helper.clone();
    call.push(HELPER_ARG.to_owned());
    call.push(serde_json::to_string(&order)?);
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let env = [
        ("PATH".to_owned(), path),
        ("HOME".to_owned(), scratch.display().to_string()),
        ("TMPDIR".to_owned(), scratch.display().to_string()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("PLUGMEND_SMOKE_TEST".to_owned(), "1".to_owned()),
    ];
    Ok(exec::run(&Program {
        argv: &call,
        folder: Some(folder),
        env: Some(&env),
        limit,
    })?)
}
