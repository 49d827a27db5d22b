//! The filter of system calls on ourselves.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use crate::Confinement;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls that no smoke test needs: other processes' insides, the kernel, new namespaces and mounts, and what keeps
/// bytes outside of every limit.
const DENIED: [i64; 53] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
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
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_io_uring_setup,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    libc::SYS_vhangup,
    libc::SYS_personality,
    libc::SYS_memfd_create,
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
];

/// Without a process namespace: nobody is signalled, and nobody leaves the process group that is ended as one.
const DENIED_AMONG_OTHERS: [i64; 8] = [
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
    libc::SYS_setsid,
    libc::SYS_setpgid,
];

/// Flags of `clone` that make namespaces.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// On x86-64 the same calls have other numbers too (the x32 ABI).
#[cfg(target_arch = "x86_64")]
const OTHER_NUMBERS: i64 = 0x4000_0000;

/// Binds this process, and what it becomes and starts, for good.
///
/// # Errors
/// The filter can not be made for this processor, or the kernel refused.
pub(crate) fn restrict(confinement: Confinement) -> Result<(), String> {
    let not_made = |e: seccompiler::BackendError| format!("the filter of system calls can not be made: {e}");
    let refused = |e: seccompiler::Error| format!("the filter of system calls was refused: {e}");
    let denied = denied(confinement).map_err(not_made)?;
    let filter = program(denied, libc::EPERM).map_err(not_made)?;
    // Its flags lie in memory, where no filter sees them: libraries then use `clone`, whose flags it does see.
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    let clone3 = program(clone3, libc::ENOSYS).map_err(not_made)?;
    seccompiler::apply_filter(&clone3).map_err(refused)?;
    seccompiler::apply_filter(&filter).map_err(refused)
}

fn program(rules: Rules, errno: i32) -> Result<BpfProgram, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    #[cfg(target_arch = "x86_64")]
    let rules = {
        let doubled = rules.iter().map(|(call, rules)| (call | OTHER_NUMBERS, rules.clone()));
        let doubled: Rules = doubled.collect();
        rules.into_iter().chain(doubled).collect()
    };
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()
}

fn denied(confinement: Confinement) -> Result<Rules, seccompiler::BackendError> {
    let always = Vec::new;
    let mut rules: Rules = DENIED.iter().map(|call| (*call, always())).collect();
    let makes_namespaces = NAMESPACES.iter().map(|flag| {
        let flag = u64::from(flag.unsigned_abs());
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(flag), flag)?;
        SeccompRule::new(vec![condition])
    });
    rules.insert(libc::SYS_clone, makes_namespaces.collect::<Result<_, _>>()?);
    if confinement == Confinement::Namespaces {
        // Within its own namespaces a test may speak to itself.
        let local = u64::from(libc::AF_UNIX.unsigned_abs());
        let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, local)?;
        rules.insert(libc::SYS_socket, vec![SeccompRule::new(vec![other])?]);
    } else {
        rules.insert(libc::SYS_socket, always());
        rules.extend(DENIED_AMONG_OTHERS.iter().map(|call| (*call, always())));
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_can_be_made_for_every_confinement() {
        for confinement in [Confinement::Namespaces, Confinement::Landlock] {
            assert!(!program(denied(confinement).unwrap(), libc::EPERM).unwrap().is_empty());
        }
    }
}
