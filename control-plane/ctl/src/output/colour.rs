//! Colour, where a person looks at a terminal that shows it.

use std::{ffi::OsStr, io::IsTerminal as _};

/// What a word means for whoever glances at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Under way, or soon a matter for people.
    Busy,
    /// A matter for people.
    Bad,
}

impl Tone {
    /// That of a word in a column of states. What is not known has none.
    pub fn of(word: &str) -> Option<Self> {
        Some(match word {
            "critical" | "escalated" | "failed" | "dead" | "revoked" | "fenced" | "ill" | "silent" | "blocked"
            | "error" | "timeout" | "rejected" | "quarantined" | "fail" => Self::Bad,
            "high" | "open" | "in_progress" | "pending" | "staging" | "applying" | "rolled_back" | "sent"
            | "acknowledged" | "executing" | "changing" | "recovering" | "waiting" | "warn" => Self::Busy,
            "mitigated" | "success" | "completed" | "active" | "healthy" | "delivered" | "published" | "approved"
            | "ok" => Self::Good,
            _ => return None,
        })
    }

    /// The SGR parameter of ECMA-48 for its colour.
    fn sgr(self) -> u8 {
        match self {
            Self::Good => 32,
            Self::Busy => 33,
            Self::Bad => 31,
        }
    }
}

/// A word in the colour of its tone, where standard output shows colours.
pub fn tinted(word: &str, tone: Option<Tone>) -> String {
    match tone {
        Some(tone) if is_shown() => format!("\x1b[{}m{word}\x1b[0m", tone.sgr()),
        _ => word.to_owned(),
    }
}

fn is_shown() -> bool {
    let variable = |name| std::env::var_os(name);
    wanted(
        std::io::stdout().is_terminal(),
        variable("NO_COLOR").as_deref(),
        variable("TERM").as_deref(),
    )
}

/// On a terminal that knows colours, unless `NO_COLOR` (no-color.org) is set to anything.
fn wanted(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty) && term.is_some_and(|term| term != "dumb" && !term.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_that_show_it_and_people_who_want_it() {
        let text = |word: &'static str| Some(OsStr::new(word));
        assert!(wanted(true, None, text("xterm")));
        assert!(wanted(true, text(""), text("xterm")));
        assert!(!wanted(false, None, text("xterm")));
        assert!(!wanted(true, text("1"), text("xterm")));
        assert!(!wanted(true, None, text("dumb")));
        assert!(!wanted(true, None, None));
    }

    #[test]
    fn no_colour_goes_into_a_pipe() {
        assert_eq!(tinted("critical", Tone::of("critical")), "critical");
    }
}
