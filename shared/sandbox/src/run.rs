//! Running a test: the best confinement that the host has.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;

use crate::{
    Confinement, Limits, Protection,
    attempt::{Came, attempt},
    exec::{ExecError, Finished},
    landlocked, mounts,
    wire::Order,
};

/// Where programs and what they need are found. Of `/etc` only what runtimes read: keys and passwords lie there too.
const SYSTEM: [&str; 27] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix",
    "/snap",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld-musl-x86_64.path",
    "/etc/ld-musl-aarch64.path",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/mime.types",
    "/etc/php",
    "/etc/php.d",
    "/etc/php.ini",
    "/etc/python3",
    "/etc/ssl/openssl.cnf",
];

/// What the host's configuration says.
#[derive(Debug, Clone, Default)]
pub struct SandboxOptions {
    /// The calling program and the words after which [`crate::helper`] is asked.
    pub helper: Vec<String>,
    /// Folders and files beside the system's that tests may read (an interpreter's, say).
    pub read: Vec<PathBuf>,
    /// Whether tests may run unconfined where the system offers nothing.
    pub accept_none: bool,
    /// Confinements that are not tried, for tests of the others.
    pub without: Vec<Confinement>,
    /// How much a test may use.
    pub limits: Limits,
}

/// How a test ended, and what bound it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended by itself.
    pub finished: Finished,
    /// What was in force.
    pub protection: Protection,
}

/// Why a test has no outcome.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// Nothing here can confine it.
    #[error(
        "this host can confine a test neither by namespaces nor by Landlock ({0}): allow unprivileged user namespaces, \
         use Linux 5.13 or newer, or accept reduced protection in the configuration (sandbox.accept_none = true)"
    )]
    Unavailable(String),
    /// It did not end by itself.
    #[error("the test did not end by itself")]
    Exec(#[from] ExecError),
    /// It could not be started.
    #[error("the test could not be started: {0}")]
    NotStarted(String),
    /// It was ended.
    #[error("{program} was ended because it used more than {} MiB of memory", limit / 1024 / 1024)]
    Memory {
        /// Which.
        program: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// It was ended.
    #[error("{program} was ended because it wrote more than {} MiB", limit / 1024 / 1024)]
    Scratch {
        /// Which.
        program: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A path that can not be used.
    #[error("{} can not be shown to the test", path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The helper could not be run.
    #[error("the sandbox's helper could not be run")]
    Helper {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The helper ended without a word.
    #[error("the sandbox ended without an outcome: {words}")]
    Silent {
        /// The last it said.
        words: String,
    },
}

/// What this host can do, seen by doing it.
///
/// # Errors
/// Nothing, and the configuration does not accept that.
pub fn available(options: &SandboxOptions) -> Result<Protection, SandboxError> {
    let (folder, nowhere) = (Path::new("/usr"), Path::new("/dev/null"));
    match best(options, &[], folder, nowhere, Duration::from_secs(10))? {
        Came::Ready(protection) | Came::Ran(_, protection) => Ok(protection),
        Came::Unavailable(why) => Err(SandboxError::Unavailable(why)),
    }
}

/// Runs `argv` in `folder`, confined; `scratch` is the one place it may write to, where it has no filesystem in memory
/// for that. When this returns, nothing of it is running any more.
///
/// # Errors
/// It can not be confined, or did not end by itself.
pub fn run(
    options: &SandboxOptions,
    argv: &[String],
    folder: &Path,
    scratch: &Path,
    limit: Duration,
) -> Result<Outcome, SandboxError> {
    if argv.is_empty() {
        return Err(ExecError::Empty.into());
    }
    match best(options, argv, folder, scratch, limit)? {
        Came::Ran(finished, protection) => Ok(Outcome { finished, protection }),
        Came::Ready(_) => Err(SandboxError::NotStarted("the sandbox was only looked at".to_owned())),
        Came::Unavailable(why) => Err(SandboxError::Unavailable(why)),
    }
}

fn best(
    options: &SandboxOptions,
    argv: &[String],
    folder: &Path,
    scratch: &Path,
    limit: Duration,
) -> Result<Came, SandboxError> {
    let real = |path: &Path| {
        path.canonicalize().map_err(|source| SandboxError::Path {
            path: path.to_owned(),
            source,
        })
    };
    let (folder, scratch) = (real(folder)?, real(scratch)?);
    let mut ways = vec![Confinement::Namespaces, Confinement::Landlock];
    if options.accept_none {
        ways.push(Confinement::None);
    }
    ways.retain(|way| !options.without.contains(way));
    let mut reasons = Vec::new();
    for confinement in ways {
        if confinement == Confinement::Landlock && !landlocked::works() {
            reasons.push("the kernel has no Landlock".to_owned());
            continue;
        }
        let order = Order {
            argv: argv.to_vec(),
            env: environment(confinement, &scratch),
            folder: folder.clone(),
            read: readable(options),
            scratch: scratch.clone(),
            confinement,
            seconds: limit.as_secs().saturating_add(1),
            limits: options.limits.clone(),
        };
        match attempt(&options.helper, &order, limit)? {
            Came::Unavailable(why) => reasons.push(why),
            came => return Ok(came),
        }
    }
    Ok(Came::Unavailable(reasons.join("; ")))
}

/// What there is of the system, and what the configuration adds; nothing twice.
fn readable(options: &SandboxOptions) -> Vec<PathBuf> {
    let system = SYSTEM
        .iter()
        .map(PathBuf::from)
        .filter(|path| path.symlink_metadata().is_ok());
    let own = options.read.iter().filter_map(|path| path.canonicalize().ok());
    let all: BTreeSet<PathBuf> = system.chain(own).collect();
    let within_another = |path: &PathBuf| {
        path.ancestors()
            .skip(1)
            .any(|above| all.contains(above) && !above.is_symlink())
    };
    all.iter().filter(|path| !within_another(path)).cloned().collect()
}

fn environment(confinement: Confinement, scratch: &Path) -> Vec<(String, String)> {
    let scratch = if confinement == Confinement::Namespaces {
        mounts::SCRATCH.to_owned()
    } else {
        scratch.display().to_string()
    };
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    [
        ("PATH", path),
        ("HOME", scratch.clone()),
        ("TMPDIR", scratch),
        ("LANG", "C.UTF-8".to_owned()),
        ("PLUGMEND_SMOKE_TEST", "1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}
