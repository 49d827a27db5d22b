//! Runs a program: an argument list, never a shell line; a time limit, a limit on its output, no input, and a process
//! group of its own so that what it started ends with it when its time is up.

use std::{
    io::{self, Read},
    os::{fd::AsFd, unix::process::CommandExt as _, unix::process::ExitStatusExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fs::OFlags,
    process::{Pid, Signal, kill_process_group},
};
use thiserror::Error;

/// How long we look away between two looks at a running program.
pub(crate) const LOOK: Duration = Duration::from_millis(5);
/// Output that is kept of each stream; a program that says more than [`TOO_MUCH`] is ended.
const KEPT: usize = 64 * 1024;
pub(crate) const TOO_MUCH: usize = 16 * 1024 * 1024;

/// What to run.
#[derive(Debug, Clone)]
pub struct Program<'a> {
    /// Program and arguments.
    pub argv: &'a [String],
    /// Its working folder.
    pub folder: Option<&'a Path>,
    /// Its whole environment; `None` keeps ours.
    pub env: Option<&'a [(String, String)]>,
    /// The longest it may take.
    pub limit: Duration,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal.
    pub signal: Option<i32>,
    /// The first 64 KiB of its output, as text.
    pub stdout: String,
    /// The same of its error output.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Finished {
    /// How it ended and what it said last, in one line for people.
    pub fn words(&self) -> String {
        let end = match (self.code, self.signal) {
            // A shell says so of what it started (POSIX).
            (Some(code), _) => format!("exit code {code}{}", meaning(code.saturating_sub(128))),
            (None, Some(signal)) => format!("signal {signal}{}", meaning(signal)),
            (None, None) => "no exit code".to_owned(),
        };
        let said = if self.stderr.trim().is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        let last = said.trim().lines().next_back().unwrap_or("(it said nothing)");
        format!("{end}: {}", last.chars().take(300).collect::<String>())
    }
}

/// What a signal that ends a program under limits is about.
fn meaning(signal: i32) -> &'static str {
    match signal {
        libc::SIGXCPU => " (it used up its processor time)",
        libc::SIGXFSZ => " (it wrote a file over the size limit)",
        libc::SIGKILL => " (it was killed; out of memory, perhaps)",
        libc::SIGSEGV | libc::SIGBUS => " (it crashed)",
        libc::SIGABRT => " (it gave up by itself)",
        libc::SIGSYS => " (it made a system call that is not allowed)",
        _ => "",
    }
}

/// Why a program did not end by itself.
#[derive(Debug, Error)]
pub enum ExecError {
    /// It could not be started.
    #[error("{program} could not be started")]
    Start {
        /// Which.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its time was up.
    #[error("{program} was ended after {} s", limit.as_secs_f32())]
    TooLong {
        /// Which.
        program: String,
        /// Its limit.
        limit: Duration,
    },
    /// It said too much.
    #[error("{0} was ended because its output passed 16 MiB")]
    TooMuch(String),
    /// An empty argument list.
    #[error("an empty argument list names no program")]
    Empty,
}

/// Runs a program to its end.
///
/// # Errors
/// It could not be started, or had to be ended.
pub fn run(program: &Program<'_>) -> Result<Finished, ExecError> {
    let (name, args) = program.argv.split_first().ok_or(ExecError::Empty)?;
    let start = |source| ExecError::Start {
        program: name.clone(),
        source,
    };
    let mut command = Command::new(name);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(folder) = program.folder {
        command.current_dir(folder);
    }
    if let Some(env) = program.env {
        command.env_clear().envs(env.iter().map(|(k, v)| (k, v)));
    }
    let began = Instant::now();
    let mut child = command.spawn().map_err(start)?;
    let watched = watch(&mut child, name, program.limit, began);
    if watched.is_err() {
        end(&mut child);
    }
    watched
}

fn watch(child: &mut Child, name: &str, limit: Duration, began: Instant) -> Result<Finished, ExecError> {
    let start = |source| ExecError::Start {
        program: name.to_owned(),
        source,
    };
    let mut out = Stream::new(child.stdout.take()).map_err(start)?;
    let mut err = Stream::new(child.stderr.take()).map_err(start)?;
    loop {
        let ended = child.try_wait().map_err(start)?;
        // After the end: what is still in the pipe, and no waiting for somebody who inherited it.
        out.drain();
        err.drain();
        if let Some(status) = ended {
            return Ok(Finished {
                code: status.code(),
                signal: status.signal(),
                stdout: out.text(),
                stderr: err.text(),
                took: began.elapsed(),
            });
        }
        if out.seen + err.seen > TOO_MUCH {
            return Err(ExecError::TooMuch(name.to_owned()));
        }
        if began.elapsed() >= limit {
            return Err(ExecError::TooLong {
                program: name.to_owned(),
                limit,
            });
        }
        std::thread::sleep(LOOK);
    }
}

fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself in this instant.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

pub(crate) struct Stream<R> {
    pipe: Option<R>,
    kept: Vec<u8>,
    pub(crate) seen: usize,
}

impl<R: Read + AsFd> Stream<R> {
    pub(crate) fn new(pipe: Option<R>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            let flags = rustix::fs::fcntl_getfl(pipe)?;
            rustix::fs::fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?;
        }
        Ok(Self {
            pipe,
            kept: Vec::new(),
            seen: 0,
        })
    }

    pub(crate) fn drain(&mut self) {
        let mut buffer = [0; 16 * 1024];
        let Some(pipe) = &mut self.pipe else { return };
        while self.seen <= TOO_MUCH {
            match pipe.read(&mut buffer) {
                Ok(n) if n > 0 => {
                    self.seen += n;
                    let room = KEPT.saturating_sub(self.kept.len()).min(n);
                    self.kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Finished, ExecError> {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned);
        run(&Program {
            argv: &argv,
            folder: None,
            env: None,
            limit,
        })
    }

    #[test]
    fn code_and_output_come_back() {
        let ended = sh("echo out; echo err >&2; exit 3", Duration::from_secs(20)).unwrap();
        assert_eq!(
            (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
            (Some(3), "out\n", "err\n")
        );
        assert_eq!(ended.words(), "exit code 3: err");
    }

    #[test]
    fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let ended = sh("sleep 1000 & sleep 1000", Duration::from_millis(50));
        assert!(matches!(ended, Err(ExecError::TooLong { .. })));
    }

    #[test]
    fn a_flood_of_output_is_cut_off() {
        let ended = sh(
            "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done",
            Duration::from_mins(1),
        );
        assert!(matches!(ended, Err(ExecError::TooMuch(_))));
    }

    #[test]
    fn somebody_who_inherits_the_pipe_is_not_waited_for() {
        let began = Instant::now();
        let ended = sh("sleep 3 & echo done", Duration::from_secs(20)).unwrap();
        assert_eq!(ended.stdout, "done\n");
        assert!(began.elapsed() < Duration::from_secs(3));
    }
}
