//! `audit`

use std::{
    fs,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use plugmend_shared::audit::{
    checkpoint::{Checkpoint, LogKey, notes},
    entry::ExportedEntry,
    verify::{Report, Verifier},
};
use plugmend_shared::ids::PluginId;
use serde_json::{Value, json};

use crate::{
    api::{Api, Connection, Extent, Query},
    output::{self, Format, Output},
};

/// More pages than this are not fetched: fifty million entries.
const MAX_PAGES: usize = 10_000;

/// What can be done with the audit trail.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List who did what, the newest first.
    List(List),
    /// Write the trail to a file, one entry a line.
    Export(Export),
    /// Prove that nothing was changed, removed, added or reordered.
    Verify(Verify),
}

/// Arguments of `audit list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only by this person, plugin or merchant.
    #[arg(long)]
    actor: Option<String>,
    /// Only this, `incident_opened`, say.
    #[arg(long)]
    action: Option<String>,
    /// Only about this plugin.
    #[arg(long)]
    plugin: Option<PluginId>,
    /// At this moment or later (RFC 3339).
    #[arg(long)]
    since: Option<Timestamp>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `audit export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `audit verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The log's key, as 'plugmend-control-plane audit-key' prints it; keep it where the control plane can not change it.
    #[arg(long)]
    key: String,
    /// An export; else the trail is fetched.
    #[arg(long)]
    entries: Option<PathBuf>,
    /// A file of checkpoints that was kept outside of the database; may be given several times.
    #[arg(long)]
    checkpoints: Vec<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub fn run(verb: &Verb, format: Format) -> anyhow::Result<Output> {
    match verb {
        Verb::List(arguments) => list(arguments),
        Verb::Export(arguments) => export(arguments, format),
        Verb::Verify(arguments) => verify(arguments, format),
    }
}

fn list(arguments: &List) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/audit")
        .maybe("actor", arguments.actor.as_ref())
        .maybe("action", arguments.action.as_ref())
        .maybe("plugin_id", arguments.plugin)
        .maybe("since", arguments.since);
    let found = Api::connect(&arguments.connection)?.list(&query, "entries", &arguments.extent)?;
    Ok(found.output(&["WHEN", "WHO", "ACTION", "PLUGIN", "DETAILS"], |entry| {
        let who = match output::text(entry, "actor_id").as_str() {
            "-" => output::text(entry, "actor_type"),
            id => id.to_owned(),
        };
        let mut row = vec![output::when(entry, "created_at"), who];
        row.extend(["action", "merchant_plugin_id", "details"].map(|field| output::text(entry, field)));
        row
    }))
}

fn export(arguments: &Export, format: Format) -> anyhow::Result<Output> {
    let at = || format!("can not write {}", arguments.out.display());
    let mut file = BufWriter::new(fs::File::create_new(&arguments.out).with_context(at)?);
    let mut count = 0_u64;
    let bar = output::counter("exporting", format);
    each_page(&Api::connect(&arguments.connection)?, ("entries", "entries"), |entry| {
        bar.inc(1);
        count += 1;
        writeln!(file, "{entry}").with_context(at)
    })?;
    bar.finish_and_clear();
    file.into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .with_context(at)?;
    let words = format!("{count} entries in {}", arguments.out.display());
    Ok(Output::new(words, json!({ "entries": count, "file": arguments.out })))
}

fn verify(arguments: &Verify, format: Format) -> anyhow::Result<Output> {
    let key: LogKey = arguments.key.parse()?;
    let mut checkpoints = Vec::new();
    for path in &arguments.checkpoints {
        let text = fs::read_to_string(path).with_context(|| format!("can not read {}", path.display()))?;
        for note in notes(&text) {
            let checkpoint = Checkpoint::verify(&note, &key);
            checkpoints.push(checkpoint.with_context(|| format!("in {}", path.display()))?);
        }
    }
    let outside = !checkpoints.is_empty();
    let api = match &arguments.entries {
        Some(_) => None,
        None => Some(Api::connect(&arguments.connection)?),
    };
    if let Some(api) = &api {
        each_page(api, ("checkpoints", "checkpoints"), |note| {
            checkpoints.push(Checkpoint::verify(note.as_str().unwrap_or_default(), &key)?);
            Ok(())
        })?;
        // What agents hold they were given by the control plane; what is not signed proves nothing.
        each_page(api, ("witnesses", "checkpoints"), |note| {
            checkpoints.extend(Checkpoint::verify(note.as_str().unwrap_or_default(), &key).ok());
            Ok(())
        })?;
    }
    ensure!(
        !checkpoints.is_empty(),
        "there is no checkpoint to compare with; give --checkpoints"
    );
    let mut verifier = Verifier::new(checkpoints);
    let bar = output::counter("verifying", format);
    match (&arguments.entries, &api) {
        (Some(path), _) => {
            let at = || format!("can not read {}", path.display());
            for line in BufReader::new(fs::File::open(path).with_context(at)?).lines() {
                let entry: ExportedEntry = serde_json::from_str(&line.with_context(at)?).with_context(at)?;
                verifier.line(&entry);
                bar.inc(1);
            }
        }
        (None, Some(api)) => each_page(api, ("entries", "entries"), |entry| {
            bar.inc(1);
            verifier.line(&serde_json::from_value(entry)?);
            Ok(())
        })?,
        (None, None) => {}
    }
    bar.finish_and_clear();
    said(&verifier.end(), outside)
}

fn said(report: &Report, outside: bool) -> anyhow::Result<Output> {
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    if !findings.is_empty() {
        bail!(
            "the audit trail is not what was witnessed:\n  {}",
            findings.join("\n  ")
        );
    }
    let mut words = format!(
        "{} entries, {} of them under {} signed checkpoints: nothing was changed, removed, added or reordered",
        report.entries, report.covered, report.checkpoints
    );
    if report.waiting > 0 {
        let waiting = report.waiting;
        words = format!("{words}\n{waiting} entries wait for their place");
    }
    if !outside {
        words.push_str(
            "\nwithout a file of checkpoints from outside (--checkpoints), somebody who has both database and key could \
             have signed anew",
        );
    }
    let facts = json!({
        "entries": report.entries, "covered": report.covered, "waiting": report.waiting,
        "checkpoints": report.checkpoints, "witnessed_outside": outside,
    });
    Ok(Output::new(words, facts))
}

/// Goes through all pages of `entries`, `checkpoints` or `witnesses`; `named` is the field that they are in.
fn each_page(
    api: &Api,
    (what, named): (&str, &str),
    mut take: impl FnMut(Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let query = Query::new(format!("/api/ops/audit/{what}"));
    let goes_on = api.pages(&query, named, MAX_PAGES, &mut |page| {
        page.into_iter().try_for_each(&mut take)?;
        Ok(true)
    })?;
    ensure!(
        !goes_on,
        "the audit trail is longer than {MAX_PAGES} pages; export it from the database"
    );
    Ok(())
}
