//! One go at running a test, confined in one way: from the caller's side.

use std::{
    io::{Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::{
    Protection, SandboxError,
    exec::{ExecError, Finished, LOOK, Stream, TOO_MUCH},
    outer::Watch,
    wire::{Order, Word, order_bytes, words},
};

/// The most that the helpers say, in bytes.
const MAX_SAID: usize = 64 * 1024;
/// How long an order may take to be handed over.
const HAND_OVER: Duration = Duration::from_secs(10);
/// How long shutting in and ending may take beyond the test's own time.
const AROUND: Duration = Duration::from_secs(10);

/// What came of it.
pub(crate) enum Came {
    /// This way is not to be had here.
    Unavailable(String),
    /// It can be had; nothing was to be run.
    Ready(Protection),
    /// The test ran.
    Ran(Finished, Protection),
}

/// Runs the helpers, and through them the test.
pub(crate) fn attempt(helper: &[String], order: &Order, limit: Duration) -> Result<Came, SandboxError> {
    let name = order.argv.first().cloned().unwrap_or_else(|| "the helper".to_owned());
    let failed = |source| SandboxError::Helper { source };
    let too_long = || SandboxError::NotStarted("its arguments are far too long".to_owned());
    let order_bytes = order_bytes(order).ok_or_else(too_long)?;
    let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
    let (program, arguments) = helper.split_first().ok_or(SandboxError::Exec(ExecError::Empty))?;
    let watch = Watch {
        confinement: order.confinement,
        memory: order.limits.memory,
        scratch: order.limits.scratch,
        folder: order.scratch.clone(),
    };
    let mut child = Command::new(program)
        .args(arguments)
        .args(watch.arguments())
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let began = Instant::now();
    let handed = ours
        .set_write_timeout(Some(HAND_OVER))
        .and_then(|()| ours.write_all(&order_bytes));
    if handed.is_err() {
        // A helper that ended at once says why. One that does not listen is hung up on, and ends.
        let _ = ours.shutdown(std::net::Shutdown::Write);
    }
    let watched = watch_it(&mut child, &mut ours, &name, limit, began);
    finish(&mut child, &ours);
    let seen = watched?;
    judge(&name, seen, order)
}

struct Seen {
    said: Vec<Word>,
    stdout: String,
    stderr: String,
    took: Duration,
}

fn watch_it(
    child: &mut Child,
    ours: &mut UnixStream,
    name: &str,
    limit: Duration,
    began: Instant,
) -> Result<Seen, SandboxError> {
    let failed = |source| SandboxError::Helper { source };
    let mut out = Stream::new(child.stdout.take()).map_err(failed)?;
    let mut err = Stream::new(child.stderr.take()).map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    let mut said = Vec::new();
    let mut started: Option<Instant> = None;
    loop {
        let ended = has_ended(child).map_err(failed)?;
        out.drain();
        err.drain();
        hear(ours, &mut said);
        if started.is_none() && !said.is_empty() {
            started = Some(Instant::now());
        }
        if ended {
            return Ok(Seen {
                said: words(&said),
                stdout: out.text(),
                stderr: err.text(),
                took: started.unwrap_or(began).elapsed(),
            });
        }
        if out.seen + err.seen > TOO_MUCH {
            return Err(ExecError::TooMuch(name.to_owned()).into());
        }
        let over = started.map_or_else(|| began.elapsed() >= limit + AROUND, |at| at.elapsed() >= limit);
        if over {
            let program = name.to_owned();
            return Err(ExecError::TooLong { program, limit }.into());
        }
        std::thread::sleep(LOOK);
    }
}

fn hear(ours: &mut UnixStream, said: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    while said.len() < MAX_SAID {
        match ours.read(&mut buffer) {
            Ok(n) if n > 0 => said.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            _ => return,
        }
    }
}

/// Whether the helper has ended; it is not taken leave of, so that its process group's number stays its own.
fn has_ended(child: &Child) -> std::io::Result<bool> {
    let Some(pid) = pid(child) else { return Ok(true) };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(pid), options)?.is_some())
}

/// Has everything ended, and makes sure of it. The helper does it when its caller hangs up; where it does not come to
/// that, it is ended, and with it the first process of the namespaces.
fn finish(child: &mut Child, ours: &UnixStream) {
    // It may have hung up itself.
    let _ = ours.shutdown(std::net::Shutdown::Both);
    let began = Instant::now();
    while began.elapsed() < AROUND && !has_ended(child).unwrap_or(true) {
        std::thread::sleep(LOOK);
    }
    if let Some(group) = pid(child) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn judge(name: &str, seen: Seen, order: &Order) -> Result<Came, SandboxError> {
    let mut protection = None;
    let mut ended = None;
    for word in seen.said {
        match word {
            Word::Unavailable(why) => return Ok(Came::Unavailable(why)),
            Word::Ready(is) => protection = Some(is),
            Word::NotStarted(why) => return Err(SandboxError::NotStarted(why)),
            Word::Memory => {
                return Err(SandboxError::Memory {
                    program: name.to_owned(),
                    limit: order.limits.memory,
                });
            }
            Word::Scratch => {
                return Err(SandboxError::Scratch {
                    program: name.to_owned(),
                    limit: order.limits.scratch,
                });
            }
            Word::Ended { code, signal } => ended = Some((code, signal)),
        }
    }
    match (protection, ended) {
        (Some(protection), Some((code, signal))) => {
            let finished = Finished {
                code,
                signal,
                stdout: seen.stdout,
                stderr: seen.stderr,
                took: seen.took,
            };
            Ok(Came::Ran(finished, protection))
        }
        (Some(protection), None) if order.argv.is_empty() => Ok(Came::Ready(protection)),
        _ => Err(SandboxError::Silent {
            words: seen
                .stderr
                .trim()
                .lines()
                .next_back()
                .unwrap_or("(it said nothing)")
                .chars()
                .take(300)
                .collect(),
        }),
    }
}
