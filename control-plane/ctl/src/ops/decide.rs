//! `decide`: stored decisions, computed again.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::PathBuf,
};

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use plugmend_shared::decide::{BUILT_IN, Decision, HEURISTICS, Question, decide, fall_back};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::{Api, Connection, Query},
    output::{Lines, Output, Refused},
};

/// The longest line that is read, in bytes: a question is bounded, and so is this.
const MAX_LINE: u64 = 4 * 1024 * 1024;
/// How many decisions a page has: each comes with all that it rests on.
const PAGE: usize = 20;
/// How many that differ are shown.
const SHOWN: usize = 20;

/// What can be done with decisions.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Compute stored decisions again, here, and say whether they come out the same.
    Replay(Replay),
}

/// Arguments of `decide replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Decisions, one JSON object a line, as the ops API shows them with `with_input=true`; `-` for standard input.
    /// Without it, they are asked of the control plane.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Of one incident only, when the control plane is asked.
    #[arg(long)]
    incident: Option<uuid::Uuid>,
    /// How many are asked of the control plane, the newest first.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    #[command(flatten)]
    connection: Connection,
}

/// A stored decision.
#[derive(Debug, Deserialize)]
struct Stored {
    id: String,
    source: String,
    model_version: String,
    input: Value,
    output: Value,
}

/// How a replay ended.
#[derive(Debug, PartialEq)]
enum Replayed {
    Same,
    /// Decided by somebody else than this code.
    NotOurs,
    Differs(Box<Value>),
}

/// Counts of a replay.
#[derive(Debug, Default)]
struct Tally {
    same: usize,
    not_ours: usize,
    differing: Vec<Value>,
    /// There are older ones, which were not looked at.
    more: bool,
}

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::Replay(a) => replay(a),
    }
}

fn replay(arguments: &Replay) -> anyhow::Result<Output> {
    let mut tally = Tally::default();
    match &arguments.file {
        Some(path) if path.as_os_str() == "-" => from_lines(io::stdin().lock(), &mut tally)?,
        Some(path) => {
            let file = fs::File::open(path).with_context(|| format!("can not read {}", path.display()))?;
            from_lines(BufReader::new(file), &mut tally)?;
        }
        None => {
            let query = Query::new("/api/ops/decisions")
                .with("with_input", true)
                .with("limit", PAGE)
                .maybe("incident_id", arguments.incident);
            from_api(
                &Api::connect(&arguments.connection)?,
                &query,
                arguments.limit,
                &mut tally,
            )?;
        }
    }
    tally.output()
}

/// Page by page, so that no more than one is in memory.
fn from_api(api: &Api, query: &Query, limit: u32, tally: &mut Tally) -> anyhow::Result<()> {
    let limit = usize::try_from(limit)?;
    let mut left = limit;
    let goes_on = api.pages(query, "decisions", limit.div_ceil(PAGE), &mut |page| {
        tally.more |= page.len() > left;
        for decision in page.into_iter().take(left) {
            tally.add(decision)?;
            left -= 1;
        }
        Ok(left > 0)
    })?;
    tally.more |= goes_on;
    Ok(())
}

fn from_lines(mut lines: impl BufRead, tally: &mut Tally) -> anyhow::Result<()> {
    for number in 1_usize.. {
        let mut line = Vec::new();
        let read = io::Read::take(&mut lines, MAX_LINE + 1)
            .read_until(b'\n', &mut line)
            .with_context(|| format!("can not read line {number}"))?;
        if read == 0 {
            break;
        }
        ensure!(
            line.len() as u64 <= MAX_LINE,
            "line {number} is longer than {MAX_LINE} bytes"
        );
        if line.trim_ascii().is_empty() {
            continue;
        }
        let decision = serde_json::from_slice(&line).with_context(|| format!("line {number} is no JSON"))?;
        tally.add(decision).with_context(|| format!("line {number}"))?;
    }
    Ok(())
}

impl Tally {
    fn add(&mut self, decision: Value) -> anyhow::Result<()> {
        let stored: Stored = serde_json::from_value(decision).context("not a stored decision with its input")?;
        match again(&stored)? {
            Replayed::Same => self.same += 1,
            Replayed::NotOurs => self.not_ours += 1,
            Replayed::Differs(now) => self
                .differing
                .push(json!({ "id": stored.id, "stored": stored.output, "replayed": now })),
        }
        Ok(())
    }

    fn output(self) -> anyhow::Result<Output> {
        let (same, not_ours, more) = (self.same, self.not_ours, self.more);
        let mut words = format!("{same} came out the same, {not_ours} were not decided by this version");
        if more {
            words.push_str("; older ones were not looked at (--limit)");
        }
        if self.differing.is_empty() {
            let data = json!({ "same": same, "not_ours": not_ours, "differing": [], "more": more });
            return Ok(Output::new(words, data));
        }
        let mut lines = Lines::default();
        lines.add(format_args!("{} came out otherwise; {words}", self.differing.len()));
        for differing in self.differing.iter().take(SHOWN) {
            lines.add(differing);
        }
        Err(Refused(String::from(lines).trim_end().to_owned()).into())
    }
}

/// Decides once more.
fn again(stored: &Stored) -> anyhow::Result<Replayed> {
    let is_ours = match stored.source.as_str() {
        "built_in" => stored.model_version == BUILT_IN,
        "heuristics" => stored.model_version == HEURISTICS,
        _ => false,
    };
    if !is_ours {
        return Ok(Replayed::NotOurs);
    }
    let at = || format!("decision {} can not be read", stored.id);
    let question: Question = serde_json::from_value(stored.input.clone()).with_context(at)?;
    let was: Decision = serde_json::from_value(stored.output.clone()).with_context(at)?;
    let now = match stored.source.as_str() {
        "built_in" => match decide(&question) {
            Ok(decision) => decision,
            Err(unable) => return Ok(Replayed::Differs(Box::new(json!({ "unable": unable.to_string() })))),
        },
        _ => fall_back(&question),
    };
    if now == was {
        return Ok(Replayed::Same);
    }
    Ok(Replayed::Differs(Box::new(serde_json::to_value(now)?)))
}
