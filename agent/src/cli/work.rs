//! `plugmend-agent rollback` and `verify`: the running agent does it, or, without one, this process.

use std::time::Duration;

use serde_json::Value;

use super::{args::Rollback, door, exit::Exit, say::Say};
use crate::{
    app::{self, AppError, Way},
    config::Settings,
    engine::Engine,
    tasks::{
        engine::rollback_alone,
        local::{Question, Reply},
    },
};

/// How long the running agent may take.
const PATIENCE: Duration = Duration::from_mins(15);

/// Brings the release before back.
pub(super) fn rollback(args: Rollback, settings: &Settings, say: Say) -> Exit {
    say.note("Going back; the plugin is watched afterwards, which takes a moment.");
    let question = Question::Rollback {
        to: args.to.clone(),
        force: args.force,
    };
    let alone = |mut engine: Engine<Way>| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(rollback_alone(&mut engine, args.to, args.force)),
            Err(error) => Reply::failed(error.to_string()),
        }
    };
    let reply = match ask(settings, &question, alone) {
        Ok(reply) => reply,
        Err((exit, words)) => return say.failure(exit, words),
    };
    let words = |result: &Value| {
        let said = |name: &str| result[name].as_str().unwrap_or("?").to_owned();
        format!("The plugin runs {} now: {}.", said("version"), said("explanation"))
    };
    match reply {
        Reply {
            result: Some(result),
            error: None,
        } => {
            say.result(&result, words(&result));
            Exit::Done
        }
        Reply { error, .. } => say.failure(Exit::Failed, error.unwrap_or_else(|| "nothing was done".to_owned())),
    }
}

/// Compares the installed files with the signed manifest.
pub(super) fn verify(settings: &Settings, say: Say) -> Exit {
    let alone = |engine: Engine<Way>| match engine.verify() {
        Ok(found) => Reply::of(&found),
        Err(failure) => Reply::failed(failure.words),
    };
    let found = match ask(settings, &Question::Verify, alone) {
        Ok(Reply {
            result: Some(found),
            error: None,
        }) => found,
        Ok(Reply { error, .. }) => return say.failure(Exit::Failed, error.unwrap_or_default()),
        Err((exit, words)) => return say.failure(exit, words),
    };
    if found["signed"] != Value::Bool(true) {
        let words = "What is installed was adopted as it was: there is no signed manifest to compare it with. \
                     The first update brings one.";
        say.result(&found, words);
        return Exit::Done;
    }
    if found["intact"] == Value::Bool(true) {
        say.result(&found, "Every installed file is as signed.");
        return Exit::Done;
    }
    let paths: Vec<_> = found["differing"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let words = format!(
        "{} installed files are not as signed:\n  {}\nNext: find out who changed them, then order an update to the \
         same release, which heals them.",
        found["count"],
        paths.join("\n  ")
    );
    say.result(&found, words);
    Exit::Wrong
}

/// Asks the running agent, or does it here.
pub(super) fn ask(
    settings: &Settings,
    question: &Question,
    alone: impl FnOnce(Engine<Way>) -> Reply,
) -> Result<Reply, (Exit, String)> {
    match door::ask(&settings.state_dir, question, PATIENCE) {
        Ok(Some(reply)) => Ok(reply),
        Ok(None) => app::open_alone(settings).map(alone).map_err(|error| refused(&error)),
        Err(error) => Err((Exit::Busy, format!("the agent runs and does not answer: {error}"))),
    }
}

fn refused(error: &AppError) -> (Exit, String) {
    let exit = if error.is_busy() { Exit::Busy } else { Exit::Failed };
    (exit, crate::tasks::board::chain(error))
}
