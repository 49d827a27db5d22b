//! The live view on a terminal.

use std::io::{self, Write as _};

use serde_json::Value;

use super::view::View;
use crate::output::{table, text, when};

/// Shows another page than the one before (xterm's alternate screen) and no cursor.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
/// The cursor and the page from before.
const END: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left corner.
const HOME: &str = "\x1b[H";
/// Clears the rest of a line.
const CLEAR_LINE: &str = "\x1b[K";
/// Clears what is below.
const CLEAR_BELOW: &str = "\x1b[J";
/// What a terminal has that does not say.
const USUAL: (usize, usize) = (80, 24);

/// The terminal, which is given back as it was.
pub struct Screen {
    out: io::Stdout,
}

impl Screen {
    /// Takes it.
    ///
    /// # Errors
    /// When it can not be written to.
    pub fn take() -> io::Result<Self> {
        let mut screen = Self { out: io::stdout() };
        screen.write(BEGIN)?;
        Ok(screen)
    }

    /// Shows lines in place of those that are there.
    ///
    /// # Errors
    /// When it can not be written to.
    pub fn show(&mut self, view: &View, footer: &str) -> io::Result<()> {
        let size = terminal_size::terminal_size();
        let (width, height) = size.map_or(USUAL, |(width, height)| (usize::from(width.0), usize::from(height.0)));
        let mut text = HOME.to_owned();
        for line in lines(view, footer, height) {
            text.push_str(&cut(&line, width));
            text.push_str(CLEAR_LINE);
            text.push_str("\r\n");
        }
        text.truncate(text.len() - 2);
        text.push_str(CLEAR_BELOW);
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.write(END);
    }
}

/// What is shown on `height` lines: attempts take what they need, up to a half; incidents the rest.
fn lines(view: &View, footer: &str, height: usize) -> Vec<String> {
    let switch = view.kill_switch.map_or_else(
        || "the kill switch is not yours to see".to_owned(),
        crate::ops::switch_words,
    );
    let attempts = attempts(&view.attempts);
    let incidents = incidents(&view.incidents);
    // The switch, two headings, three empty lines, the footer.
    let room = height.saturating_sub(7).max(4);
    let for_attempts = attempts.len().min(room / 2);
    let for_incidents = room - for_attempts;
    let mut out = vec![switch, String::new()];
    out.push(format!("incidents that are not over: {}", view.incidents.len()));
    out.extend(incidents.into_iter().take(for_incidents));
    out.push(String::new());
    out.push(format!("cures under way: {}", view.attempts.len()));
    out.extend(attempts.into_iter().take(for_attempts));
    out.push(String::new());
    out.push(footer.to_owned());
    out
}

fn incidents(list: &[Value]) -> Vec<String> {
    let rows = list.iter().map(|incident| {
        let mut row = [
            "id",
            "severity",
            "status",
            "incident_type",
            "cms",
            "plugin_version",
            "attempts_count",
        ]
        .map(|field| text(incident, field))
        .to_vec();
        row.push(when(incident, "detected_at"));
        row
    });
    let heads = [
        "ID", "SEVERITY", "STATUS", "TYPE", "CMS", "VERSION", "TRIES", "DETECTED",
    ];
    table(&heads, rows).lines().map(str::to_owned).collect()
}

fn attempts(list: &[Value]) -> Vec<String> {
    let rows = list.iter().map(|attempt| {
        let mut row = ["id", "status", "method", "from_version", "to_version", "incident_id"]
            .map(|field| text(attempt, field))
            .to_vec();
        row.push(when(attempt, "created_at"));
        row
    });
    let heads = ["ID", "STATUS", "METHOD", "FROM", "TO", "INCIDENT", "BEGUN"];
    table(&heads, rows).lines().map(str::to_owned).collect()
}

/// The first `width` characters; colours take no room, and end with the line.
fn cut(line: &str, width: usize) -> String {
    let mut out = String::new();
    let (mut shown, mut in_colour) = (0, false);
    for c in line.chars() {
        if c == '\x1b' {
            in_colour = true;
        }
        if in_colour {
            out.push(c);
            in_colour = c != 'm';
        } else if shown < width {
            out.push(c);
            shown += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn colours_take_no_room() {
        assert_eq!(cut("a\x1b[31mbcd\x1b[0mef", 3), "a\x1b[31mbc\x1b[0m");
        assert_eq!(cut("short", 80), "short");
    }

    #[test]
    fn the_view_fits_the_screen_whatever_is_under_way() {
        let many: Vec<Value> = (0..200).map(|n| json!({ "id": n, "status": "open" })).collect();
        for (incidents, attempts) in [(0, 0), (200, 0), (0, 200), (200, 200), (3, 100)] {
            let view = View {
                kill_switch: Some(true),
                incidents: many[..incidents].to_vec(),
                attempts: many[..attempts].to_vec(),
            };
            let shown = lines(&view, "footer", 24);
            assert!(shown.len() <= 24, "{} lines", shown.len());
            assert_eq!(shown.last().unwrap(), "footer");
            assert!(shown[0].contains("ON"));
        }
    }
}
