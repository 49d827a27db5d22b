//! What a verb has to say, for people and for programs.

mod colour;
mod fields;
mod plain;
mod progress;
mod table;
mod when;

use std::{io::Write as _, process::ExitCode};

use serde_json::{Value, json};

pub use colour::{Tone, tinted};
pub use fields::{facts, text};
pub use plain::plain;
pub use progress::{bytes, counter, progress};
pub use table::table;
pub use when::{ago, when};

use crate::{api::ApiError, exit::Exit};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Words,
    /// One JSON value.
    Json,
}

/// The result of a verb.
#[derive(Debug)]
pub struct Output {
    words: String,
    data: Value,
    exit: Exit,
}

impl Output {
    /// The same thing twice: in words, and as data.
    pub fn new(words: impl Into<String>, data: Value) -> Self {
        Self {
            words: words.into(),
            data,
            exit: Exit::Done,
        }
    }

    /// Everything was said already.
    pub fn silent() -> Self {
        Self::new("", Value::Null)
    }

    /// A result that is no success, and yet a result: it goes to standard output.
    #[must_use]
    pub fn ending(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// Prints it.
    pub fn print(&self, format: Format) -> ExitCode {
        let mut out = std::io::stdout().lock();
        let words = self.words.trim_end();
        let written = match format {
            _ if words.is_empty() && self.data.is_null() => Ok(()),
            Format::Words => writeln!(out, "{words}"),
            Format::Json => writeln!(out, "{}", self.data),
        };
        // A reader that has seen enough (`| head`) is no failure.
        match written {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failed.into(),
            _ => self.exit.into(),
        }
    }
}

/// Waiting for somebody else: told apart from failures by its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Words that can not be so together, which clap can not know.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misused(pub String);

/// Refuses words that can not be so.
///
/// # Errors
/// Unless they are `fine`.
pub fn used(fine: bool, otherwise: &str) -> Result<(), Misused> {
    if fine {
        Ok(())
    } else {
        Err(Misused(otherwise.to_owned()))
    }
}

/// What an error comes to.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    if error.downcast_ref::<Misused>().is_some() {
        return Exit::Usage;
    }
    if error.downcast_ref::<Refused>().is_some() {
        return Exit::Refused;
    }
    error.downcast_ref::<ApiError>().map_or(Exit::Failed, ApiError::exit)
}

/// Says why a verb failed, with all causes and with what to do next.
pub fn fail(error: &anyhow::Error, format: Format) -> ExitCode {
    let mut err = std::io::stderr().lock();
    let exit = exit_of(error);
    let next = error.downcast_ref::<ApiError>().and_then(ApiError::next);
    // Nothing is left to do when even this can not be written.
    let _ = match format {
        Format::Words => {
            let mut lines = Lines::default();
            lines.add(format_args!("plugmend: {error}"));
            error
                .chain()
                .skip(1)
                .for_each(|cause| lines.add(format_args!("  because: {cause}")));
            if let Some(next) = next {
                lines.add(format_args!("  next: {next}"));
            }
            write!(err, "{}", lines.0)
        }
        Format::Json => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            writeln!(
                err,
                "{}",
                json!({ "error": causes.first(), "causes": causes, "next": next, "exit_code": exit.code() })
            )
        }
    };
    exit.into()
}

/// Words for people, line by line.
#[derive(Debug, Default)]
pub struct Lines(String);

impl Lines {
    /// Adds a line.
    pub fn add(&mut self, line: impl std::fmt::Display) {
        self.0.push_str(&line.to_string());
        self.0.push('\n');
    }
}

impl From<Lines> for String {
    fn from(lines: Lines) -> Self {
        lines.0
    }
}
