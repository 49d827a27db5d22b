//! What binds a test: bubblewrap's arguments, or Landlock and seccomp on ourselves.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus,
    path_beneath_rules,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use super::Order;
use crate::platform::exec::{self, Program};

/// The newest Landlock rights that are asked for; an older kernel gives what it has.
const ABI_WANTED: ABI = ABI::V5;

/// Calls that no smoke test needs: the network, other processes, the kernel, new namespaces.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const DENIED: [i64; 24] = [
    libc::SYS_socket,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_open_by_handle_at,
    libc::SYS_io_uring_setup,
];

/// Whether bubblewrap is there and may make namespaces.
pub(super) fn bubblewrap_works() -> bool {
    let argv = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"].map(str::to_owned);
    let tried = exec::run(&Program {
        argv: &argv,
        folder: None,
        env: None,
        limit: Duration::from_secs(5),
    });
    tried.is_ok_and(|ended| ended.code == Some(0))
}

/// Whether the kernel has Landlock: a ruleset can be made, which restricts nothing yet.
pub(super) fn landlock_works() -> bool {
    use landlock::{CompatLevel, Compatible as _};
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .is_ok_and(|ruleset| ruleset.create().is_ok())
}

/// The test, started by bubblewrap.
pub(super) fn bubblewrap_argv(order: &Order) -> Vec<String> {
    let mut argv: Vec<String> = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session"]
        .map(str::to_owned)
        .to_vec();
    let mut add = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    add(&["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
    for path in &order.read {
        let path = path.to_string_lossy();
        add(&["--ro-bind", &path, &path]);
    }
    let (folder, scratch) = (order.folder.to_string_lossy(), order.scratch.to_string_lossy());
    add(&[
        "--ro-bind",
        &folder,
        &folder,
        "--bind",
        &scratch,
        &scratch,
        "--chdir",
        &folder,
        "--",
    ]);
    argv.extend(order.argv.iter().cloned());
    argv
}

/// Binds this process, and what it becomes, for good.
pub(super) fn restrict_self(order: &Order) -> Result<(), String> {
    let landlocked = landlock(order).map_err(|e| format!("Landlock refused: {e}"))?;
    if landlocked == RulesetStatus::NotEnforced {
        return Err("the kernel does not enforce Landlock".to_owned());
    }
    let filter = filter().map_err(|e| format!("the system-call filter can not be made: {e}"))?;
    seccompiler::apply_filter(&filter).map_err(|e| format!("the system-call filter was refused: {e}"))
}

fn landlock(order: &Order) -> Result<RulesetStatus, landlock::RulesetError> {
    let read = AccessFs::from_read(ABI_WANTED);
    let mut readable: Vec<&Path> = order.read.iter().map(PathBuf::as_path).collect();
    readable.push(&order.folder);
    readable.extend(["/proc/self", "/dev/urandom", "/dev/random", "/dev/zero"].map(Path::new));
    let writable = [order.scratch.as_path(), Path::new("/dev/null")];
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI_WANTED))?
        .handle_access(AccessNet::from_all(ABI_WANTED))?
        .create()?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(writable, AccessFs::from_all(ABI_WANTED)))?
        .restrict_self()?;
    Ok(status.ruleset)
}

fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()
}
