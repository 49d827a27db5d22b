//! How the command line speaks: plain words for people, JSON for programs.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use serde::Serialize;
use serde_json::{Value, json};

use super::exit::Exit;

/// The way to speak.
#[derive(Debug, Clone, Copy)]
pub(super) struct Say {
    json: bool,
}

impl Say {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Says a result: `value` to programs, `words` to people.
    pub(super) fn result(self, value: &impl Serialize, words: impl Display) {
        let text = if self.json {
            serde_json::to_string_pretty(value).unwrap_or_else(|error| json!({"error": error.to_string()}).to_string())
        } else {
            words.to_string()
        };
        out(&text);
    }

    /// Says a failure and gives its exit code.
    pub(super) fn failure(self, exit: Exit, words: impl Display) -> Exit {
        if self.json {
            let value: Value = json!({"error": words.to_string(), "exit_code": exit as u8});
            out(&value.to_string());
        } else {
            let _ = writeln!(io::stderr(), "plugmend-agent: {words}");
        }
        exit
    }

    /// Says an error with its causes and gives the exit code.
    pub(super) fn error(self, exit: Exit, error: &dyn std::error::Error) -> Exit {
        self.failure(exit, crate::tasks::board::chain(error))
    }

    /// Says something on the way, to people only.
    pub(super) fn note(self, words: impl Display) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{words}");
        }
    }
}

/// A reader that went away (`| head`) is no error.
fn out(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end());
}
