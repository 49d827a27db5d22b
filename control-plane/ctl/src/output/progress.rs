//! Bars for long work.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Format;

/// Bytes for people.
pub fn bytes(n: u64) -> String {
    indicatif::DecimalBytes(n).to_string()
}

/// A bar on standard error for work of `total` bytes; silent when nobody looks.
pub fn progress(what: &'static str, total: u64, format: Format) -> ProgressBar {
    bar(
        what,
        Some(total),
        "{msg} {wide_bar} {bytes}/{total_bytes} {eta}",
        format,
    )
}

/// A count on standard error, for work whose end nobody knows; silent when nobody looks.
pub fn counter(what: &'static str, format: Format) -> ProgressBar {
    bar(what, None, "{msg} {human_pos} ({per_sec})", format)
}

fn bar(what: &'static str, total: Option<u64>, template: &str, format: Format) -> ProgressBar {
    let seen = format == Format::Words && std::io::stderr().is_terminal();
    let target = if seen {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(total, target)
        .with_message(what)
        .with_style(style)
}
