//! What a verb has to say, for people and for programs.

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

/// Something went wrong.
pub const EXIT_FAILED: u8 = 1;
/// Somebody has to act first: signatures are missing, or the control plane refused. (2 is clap's, for usage.)
pub const EXIT_REFUSED: u8 = 3;
/// The control plane can not be reached or is busy (`EX_UNAVAILABLE` of `sysexits.h`): try again.
pub const EXIT_UNAVAILABLE: u8 = 69;

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
}

impl Output {
    /// The same thing twice: in words, and as data.
    pub fn new(words: impl Into<String>, data: Value) -> Self {
        Self {
            words: words.into(),
            data,
        }
    }

    /// Prints it.
    pub fn print(&self, format: Format) -> ExitCode {
        let mut out = std::io::stdout().lock();
        let written = match format {
            Format::Words => writeln!(out, "{}", self.words.trim_end()),
            Format::Json => writeln!(out, "{}", self.data),
        };
        // A reader that has seen enough (`| head`) is no failure.
        match written {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::from(EXIT_FAILED),
            _ => ExitCode::SUCCESS,
        }
    }
}

/// Waiting for somebody else: told apart from failures by its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Says why a verb failed, with all causes.
pub fn fail(error: &anyhow::Error, format: Format) -> ExitCode {
    let mut err = std::io::stderr().lock();
    let code = if error.downcast_ref::<Refused>().is_some() {
        EXIT_REFUSED
    } else {
        error
            .downcast_ref::<crate::api::ApiError>()
            .map_or(EXIT_FAILED, crate::api::ApiError::exit_code)
    };
    // Nothing is left to do when even this can not be written.
    let _ = match format {
        Format::Words => {
            let mut lines = Lines::default();
            lines.add(format_args!("plugmend: {error}"));
            error
                .chain()
                .skip(1)
                .for_each(|cause| lines.add(format_args!("  because: {cause}")));
            write!(err, "{}", lines.0)
        }
        Format::Json => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            writeln!(
                err,
                "{}",
                json!({ "error": causes.first(), "causes": causes, "exit_code": code })
            )
        }
    };
    ExitCode::from(code)
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

/// A table for people.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    let mut empty = true;
    for row in rows {
        table.add_row(row);
        empty = false;
    }
    if empty { "none".to_owned() } else { table.to_string() }
}

/// Bytes for people.
pub fn bytes(n: u64) -> String {
    indicatif::DecimalBytes(n).to_string()
}

/// A bar on standard error for work of `total` bytes; silent when nobody looks.
pub fn progress(what: &'static str, total: u64, format: Format) -> ProgressBar {
    let seen = format == Format::Words && std::io::stderr().is_terminal();
    let target = if seen {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(total), target).with_message(what);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
