//! The inner helper: shuts itself in, starts the test, and says how it ended. With namespaces it is the first process
//! of its own, so that nothing survives it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::{
    process::{
        DumpableBehavior, Pid, Signal, WaitOptions, set_dumpable_behavior, set_parent_process_death_signal, wait,
    },
    thread::{UnshareFlags, set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

use crate::{
    Confinement, Protection, capabilities, filter, landlocked, limits, mounts, outer,
    wire::{self, Order, Word, say},
};

/// Who root becomes: the user that owns nothing.
const NOBODY: u32 = 65_534;

/// Reads the order and carries it out.
pub(crate) fn run() -> io::Result<()> {
    let mut line = outer::line()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let order = wire::receive_order(&mut line)?;
    match shut_in(&order) {
        Ok(protection) => say(&mut line, &Word::Ready(protection))?,
        Err(why) => return say(&mut line, &Word::Unavailable(why)),
    }
    if order.argv.is_empty() {
        return Ok(());
    }
    let word = run_test(&order);
    say(&mut line, &word)
}

fn shut_in(order: &Order) -> Result<Protection, String> {
    let words = |what: &'static str| move |e: io::Error| format!("{what}: {e}");
    // Where memory runs out, the test goes first. A kernel that does not want to hear of it changes nothing.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let root = rustix::process::geteuid().is_root();
    let user = if root {
        NOBODY
    } else {
        rustix::process::geteuid().as_raw()
    };
    let namespaces = order.confinement == Confinement::Namespaces;
    let own_proc = namespaces && mounts::enter(order, user)?;
    let others = if namespaces { 0 } else { limits::running_as(user) };
    if root {
        become_nobody().map_err(words("the helper can not leave root"))?;
    }
    // Others made theirs with the other namespaces.
    let own_users = namespaces && (!root || own_proc && users_of_nobody().is_ok());
    order
        .limits
        .put_on(order.seconds, others)
        .map_err(|e| format!("limits can not be set: {e}"))?;
    capabilities::give_up().map_err(|e| format!("rights can not be given up: {e}"))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| format!("the helper can not hide: {e}"))?;
    let (landlock, filter) = match order.confinement {
        Confinement::None => (false, false),
        // With namespaces these are the second wall: where the kernel lacks one, it is said.
        Confinement::Namespaces => (
            restrict_paths(order).is_ok(),
            filter::restrict(order.confinement).is_ok(),
        ),
        Confinement::Landlock => {
            restrict_paths(order)?;
            filter::restrict(order.confinement)?;
            (true, true)
        }
    };
    Ok(Protection {
        confinement: order.confinement,
        own_users,
        own_proc,
        landlock,
        filter,
        user,
    })
}

fn become_nobody() -> io::Result<()> {
    let (user, group) = (rustix::fs::Uid::from_raw(NOBODY), rustix::fs::Gid::from_raw(NOBODY));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    // Changing users took it away.
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// A count of processes of its own: that of `nobody` is shared with the whole host.
fn users_of_nobody() -> io::Result<()> {
    // The maps can be written by whoever may look into this process.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    outer::own_users(UnshareFlags::empty())
}

fn restrict_paths(order: &Order) -> Result<(), String> {
    if order.confinement == Confinement::Namespaces {
        // Its root has nothing that it may not read.
        return landlocked::restrict(&["/".into()], &[Path::new(mounts::SCRATCH)]);
    }
    let mut read: Vec<PathBuf> = order.read.clone();
    read.push(order.folder.clone());
    landlocked::restrict(&read, &[&order.scratch])
}

fn run_test(order: &Order) -> Word {
    let Some((program, arguments)) = order.argv.split_first() else {
        return Word::NotStarted("it names no program".to_owned());
    };
    let started = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(order.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&order.folder)
        .stdin(Stdio::null())
        .spawn();
    let test = match started {
        Ok(child) => i32::try_from(child.id()).ok().and_then(Pid::from_raw),
        Err(e) => return Word::NotStarted(format!("{program} could not be started: {e}")),
    };
    // As the first process it is also the one who takes leave of those who have lost their parents.
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == test => {
                return Word::Ended {
                    code: status.exit_status(),
                    signal: status.terminating_signal(),
                };
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Word::NotStarted(format!("{program} was lost: {e}")),
        }
    }
}
