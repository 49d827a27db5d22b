//! Runs a release's smoke tests so that they can read the release and the system's programs, and nothing else: no
//! network, no writing but in a scratch folder that is gone afterwards, limits on time, memory, processes, files and
//! output, and nothing left running. The agent's preflight and the staging runner use it alike.
//!
//! Restrictions must be put on by the process they bind, and doing that between fork and exec needs unsafe code. So
//! the calling program starts itself once more, twice over ([`helper`]):
//!
//! - the *outer* helper makes the namespaces, watches memory, and ends everything when its caller says so or is gone;
//! - the *inner* helper, the first process in the new namespaces, sees a root of its own, gives up what it may,
//!   restricts itself by Landlock and a filter of system calls, and starts the test. When it ends, the kernel ends all
//!   that the test has started.
//!
//! Where a host offers no namespaces, Landlock and the filter alone do it: then the filter keeps the test's processes
//! in one process group, so that they can be ended together. Where neither is to be had, a test is refused unless the
//! host's configuration says that limits alone are enough.

mod attempt;
mod capabilities;
pub mod exec;
mod filter;
mod inner;
mod landlocked;
mod limits;
mod mounts;
mod outer;
mod run;
mod usage;
mod wire;

pub use limits::Limits;
pub use outer::{HELPER_ARG, helper};
pub use run::{Outcome, SandboxError, SandboxOptions, available, run};
pub use wire::{Confinement, Protection};
