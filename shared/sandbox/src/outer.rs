//! The outer helper: makes the namespaces, starts the inner one, watches, and ends everything. It is itself outside of
//! the sandbox and runs no code but this.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, WaitOptions, kill_process_group, set_child_subreaper, wait},
    thread::UnshareFlags,
};

use crate::{
    Confinement, capabilities, inner, usage,
    wire::{Word, say},
};

/// The first argument that makes a program a helper; not for people.
pub const HELPER_ARG: &str = "__sandbox";
const OUTER: &str = "outer";
const INNER: &str = "inner";
/// Exit code of a helper that could not do its work.
const COULD_NOT: u8 = 125;
/// How long we look away between two looks.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};
/// How many looks there are between two at the memory.
const LOOKS_TO_MEASURE: u32 = 8;
/// How long the end of everything is waited for.
const END: Duration = Duration::from_secs(5);

/// What the outer helper has to know.
pub(crate) struct Watch {
    pub confinement: Confinement,
    pub memory: u64,
    pub scratch: u64,
    pub folder: PathBuf,
}

impl Watch {
    pub(crate) fn arguments(&self) -> Vec<String> {
        vec![
            HELPER_ARG.to_owned(),
            OUTER.to_owned(),
            self.confinement.word().to_owned(),
            self.memory.to_string(),
            self.scratch.to_string(),
            self.folder.display().to_string(),
        ]
    }

    fn read(words: &[String]) -> Option<Self> {
        let [confinement, memory, scratch, folder] = words else {
            return None;
        };
        Some(Self {
            confinement: Confinement::from_word(confinement)?,
            memory: memory.parse().ok()?,
            scratch: scratch.parse().ok()?,
            folder: folder.into(),
        })
    }
}

/// Whether this process was started as a helper, by the words of its command line after the program's name: then it
/// does its work, and its exit code is given. To be asked before anything else, and before there are threads.
pub fn helper(mut words: impl Iterator<Item = String>) -> Option<ExitCode> {
    if words.next()? != HELPER_ARG {
        return None;
    }
    let (which, rest): (Option<String>, Vec<String>) = (words.next(), words.collect());
    let done = match which.as_deref() {
        Some(OUTER) => Watch::read(&rest)
            .ok_or(io::ErrorKind::InvalidInput.into())
            .and_then(|w| outer(&w)),
        Some(INNER) => inner::run(),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // The caller reads this and shows it.
            let _ = io::Write::write_all(
                &mut io::stderr(),
                format!("the sandbox's helper failed: {e}\n").as_bytes(),
            );
            ExitCode::from(COULD_NOT)
        }
    })
}

/// The socket to the caller, beside our input.
pub(crate) fn line() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

fn outer(watch: &Watch) -> io::Result<()> {
    let mut line = line()?;
    if watch.confinement == Confinement::Namespaces
        && let Err(e) = make_namespaces()
    {
        return say(
            &mut line,
            &Word::Unavailable(format!("namespaces can not be made: {e}")),
        );
    }
    // Whoever loses its parent becomes ours, so that it can be waited for.
    set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut inner = Command::new("/proc/self/exe")
        .args([HELPER_ARG, INNER])
        .stdin(Stdio::inherit())
        .process_group(0)
        .spawn()?;
    let over = look_after(&mut inner, watch, &line);
    let ended = end(&inner);
    if let Some(word) = over? {
        say(&mut line, &word)?;
    }
    ended
}

/// Until the inner helper has ended, the caller is gone or wants no more, or too much is in use.
fn look_after(inner: &mut Child, watch: &Watch, line: &File) -> io::Result<Option<Word>> {
    let own = std::process::id();
    for look in 0_u32.. {
        if inner.try_wait()?.is_some() {
            break;
        }
        let mut fds = [PollFd::new(line, PollFlags::RDHUP)];
        poll(&mut fds, Some(&LOOK))?;
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        if fds.iter().any(|fd| fd.revents().intersects(gone)) {
            break;
        }
        if look % LOOKS_TO_MEASURE != LOOKS_TO_MEASURE - 1 {
            continue;
        }
        if usage::memory_below(own, watch.memory) > watch.memory {
            return Ok(Some(Word::Memory));
        }
        // With namespaces it lies in memory, and the mount has a size.
        if watch.confinement != Confinement::Namespaces && usage::bytes_in(&watch.folder) > watch.scratch {
            return Ok(Some(Word::Scratch));
        }
    }
    Ok(None)
}

/// Ends all that is left. In a process namespace the kernel ends the rest with the inner helper, and lets us see its
/// end only when that is done; without one, nobody could leave the process group.
fn end(inner: &Child) -> io::Result<()> {
    let group = i32::try_from(inner.id()).ok().and_then(Pid::from_raw);
    let began = Instant::now();
    loop {
        // Again each time: who was just being started is met at the next.
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        match wait(WaitOptions::NOHANG) {
            Err(rustix::io::Errno::CHILD) => return Ok(()),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) if began.elapsed() > END => return Err(io::ErrorKind::TimedOut.into()),
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            Err(e) => return Err(e.into()),
        }
    }
}

#[expect(deprecated, reason = "what makes it unsafe is FILES, which is not asked for")]
fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    rustix::thread::unshare(flags)
}

fn make_namespaces() -> io::Result<()> {
    let own = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    // Root needs no user namespace for it, and the inner helper makes one when it has become somebody else.
    if rustix::process::geteuid().is_root() {
        return Ok(unshare(own)?);
    }
    own_users(own)?;
    Ok(capabilities::hand_on()?)
}

/// A user namespace in which this user is the only one, and the others of `with` in it.
pub(crate) fn own_users(with: UnshareFlags) -> io::Result<()> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(with | UnshareFlags::NEWUSER)?;
    let write = |name: &str, text: &str| fs::write(Path::new("/proc/self").join(name), text);
    write("setgroups", "deny")?;
    write("uid_map", &format!("{user} {user} 1"))?;
    write("gid_map", &format!("{group} {group} 1"))
}
