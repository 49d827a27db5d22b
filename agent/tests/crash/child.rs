//! The child: opens the engine, performs one order, writes down what came of it.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use plugmend_agent::engine::{Ended, NoProgress};
use plugmend_shared::protocol::command::Command as Order;
use serde::{Deserialize, Serialize};

use crate::engine_support::{Host, runtime};

const WORK: &str = "PLUGMEND_CRASH_CHILD";

/// What the child is to do.
#[derive(Serialize, Deserialize)]
pub struct Work {
    pub host: Host,
    pub order: Option<Order>,
    pub report: PathBuf,
}

/// What the child wrote down.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub settled: Vec<String>,
    pub ended: Option<String>,
    pub open_error: Option<String>,
    pub stuck: Option<String>,
    pub version_at_open: Option<String>,
    pub change_at_open: Option<String>,
    pub visible_at_open: Option<String>,
    pub version: Option<String>,
    pub change: Option<String>,
}

/// What is done to the child.
pub struct Faults {
    env: Vec<(&'static str, String)>,
    after: Option<Duration>,
}

impl Faults {
    pub fn none() -> Self {
        Self {
            env: Vec::new(),
            after: None,
        }
    }

    pub fn kill(point: &str, nth: u32) -> Self {
        Self {
            env: vec![("PLUGMEND_FAULT", format!("{point}#{nth}=kill"))],
            after: None,
        }
    }

    pub fn full(point: &str, nth: u32) -> Self {
        Self {
            env: vec![("PLUGMEND_FAULT", format!("{point}#{nth}=enospc"))],
            after: None,
        }
    }

    /// No room from the first pass of one point on, and a kill at another.
    pub fn full_then_kill(full: &str, killed: &str) -> Self {
        Self {
            env: vec![("PLUGMEND_FAULT", format!("{full}#1=enospc;{killed}#1=kill"))],
            after: None,
        }
    }

    pub fn trace(file: &Path) -> Self {
        Self {
            env: vec![("PLUGMEND_FAULT_TRACE", file.display().to_string())],
            after: None,
        }
    }

    pub fn after(delay: Duration) -> Self {
        Self {
            env: Vec::new(),
            after: Some(delay),
        }
    }
}

/// How the child ended.
pub struct Done {
    pub killed: bool,
    pub report: Report,
    pub log: String,
}

/// Starts a child and waits for its end.
pub fn run(work: &Work, faults: &Faults) -> Done {
    let _ = fs::remove_file(&work.report);
    let log = work.report.with_extension("log");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(WORK, serde_json::to_string(work).unwrap())
        .envs(faults.env.iter().map(|(k, v)| (k, v)))
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    if let Some(delay) = faults.after {
        let began = Instant::now();
        while began.elapsed() < delay && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let _ = child.kill();
    }
    let status = child.wait().unwrap();
    let killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
    let log = fs::read_to_string(&log).unwrap_or_default();
    assert!(killed || status.success(), "the child failed: {log}");
    let report = fs::read(&work.report)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Done {
        killed,
        report: report.unwrap_or_default(),
        log,
    }
}

/// Does the work, in a child; nothing elsewhere.
pub fn be_one() {
    let Ok(work) = std::env::var(WORK) else { return };
    let work: Work = serde_json::from_str(&work).unwrap();
    let mut report = Report::default();
    match work.host.open() {
        Err(e) => report.open_error = Some(chain(&e)),
        Ok(mut engine) => {
            match runtime().block_on(engine.resume(&NoProgress)) {
                Ok(resumed) => report.settled.extend(resumed.map(|(_, ended)| words(&ended))),
                Err(e) => report.stuck = Some(chain(&e)),
            }
            report.version_at_open = Some(engine.status().installed.version.to_string());
            report.change_at_open = engine.status().change.map(|change| change.stage);
            report.visible_at_open = crate::shop::version_of(&work.host.visible()).map(str::to_owned);
            if let Some(order) = &work.order {
                report.ended = Some(words(&crate::engine_support::perform(&mut engine, order)));
            }
            report
                .settled
                .extend(engine.take_settled().iter().map(|(_, ended)| words(ended)));
            let status = engine.status();
            report.version = Some(status.installed.version.to_string());
            report.change = status.change.map(|change| change.stage);
        }
    }
    let mut file = fs::File::create(&work.report).unwrap();
    file.write_all(&serde_json::to_vec(&report).unwrap()).unwrap();
}

fn words(ended: &Ended) -> String {
    match ended {
        Ended::Ack(outcome) => format!("{:?}: {}", outcome.status, outcome.explanation),
        Ended::Fail { error, .. } => error.clone(),
        Ended::Stopped => "stopped".to_owned(),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
