//! What a run says: bounded, and without what looks like a secret.

use std::time::Instant;

use crate::staging::{
    StagingResult,
    types::{MAX_ERRORS, MAX_LOG_LINE_BYTES, MAX_LOG_LINES},
};

/// Bytes of all lines together; less than what a client reads.
const MAX_LOG_BYTES: usize = 512 * 1024;
/// Lines of one stream of one test.
const MAX_OUTPUT_LINES: usize = 200;
/// The longest line or error, in bytes, before it is cut.
const MAX_LINE: usize = 2000;
/// Words before a value that is not shown.
const SECRET_WORDS: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "authorization",
    "private_key",
];
/// How well-known secrets begin.
const SECRET_STARTS: [&str; 8] = [
    "sk_live_", "sk_test_", "rk_live_", "whsec_", "ghp_", "xoxb-", "AKIA", "eyJ",
];
const HIDDEN: &str = "[hidden]";

/// A run's words, as they come.
pub(super) struct Report {
    began: Instant,
    errors: Vec<String>,
    logs: Vec<String>,
    bytes: usize,
    cut: bool,
}

impl Report {
    pub(super) fn begin(began: Instant) -> Self {
        Self {
            began,
            errors: Vec::new(),
            logs: Vec::new(),
            bytes: 0,
            cut: false,
        }
    }

    /// Whether something was found wrong.
    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    pub(super) fn line(&mut self, text: &str) {
        let line = clean(text);
        // The last line is kept for saying that there were more.
        if self.logs.len() + 1 >= MAX_LOG_LINES || self.bytes + line.len() > MAX_LOG_BYTES {
            if !self.cut {
                self.logs.push("(more was said than is kept)".to_owned());
            }
            self.cut = true;
            return;
        }
        self.bytes += line.len();
        self.logs.push(line);
    }

    pub(super) fn output(&mut self, stream: &str, text: &str) {
        let lines: Vec<&str> = text.lines().collect();
        let left_out = lines.len().saturating_sub(MAX_OUTPUT_LINES);
        if left_out > 0 {
            self.line(&format!("{stream}| ({left_out} lines before are left out)"));
        }
        let mut in_key = false;
        for line in lines.into_iter().skip(left_out) {
            let begins = line.contains("-----BEGIN") && line.contains("PRIVATE KEY");
            if begins || in_key {
                in_key = !line.contains("-----END");
                self.line(&format!("{stream}| {HIDDEN}"));
            } else {
                self.line(&format!("{stream}| {line}"));
            }
        }
    }

    pub(super) fn error(&mut self, text: &str) {
        self.line(text);
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(clean(text));
        }
    }

    /// It passed when tests ran and nothing went wrong.
    pub(super) fn end(self, tests_run: u32) -> StagingResult {
        StagingResult {
            passed: tests_run > 0 && self.errors.is_empty(),
            tests_run,
            duration_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            errors: self.errors,
            logs: self.logs,
        }
    }
}

/// One line without control characters and without what looks like a secret, cut to its longest.
fn clean(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_LINE * 2)
        .collect();
    let mut out = String::with_capacity(plain.len());
    let mut hide_next = false;
    for word in plain.split_inclusive(' ') {
        let (bare, blank) = word.strip_suffix(' ').map_or((word, ""), |bare| (bare, " "));
        if hide_next && !bare.is_empty() {
            // A scheme comes before its credentials.
            hide_next = matches!(bare.to_ascii_lowercase().as_str(), "bearer" | "basic");
            out.push_str(if hide_next { bare } else { HIDDEN });
        } else if !bare.is_empty() {
            let (shown, next) = redact(bare);
            out.push_str(&shown);
            hide_next = next;
        }
        out.push_str(blank);
    }
    let mut end = out.len().min(MAX_LINE).min(MAX_LOG_LINE_BYTES);
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(end);
    out
}

/// One word as it is shown, and whether the next is a secret.
fn redact(word: &str) -> (String, bool) {
    if let Some((scheme, rest)) = word.split_once("://")
        && let Some((credentials, host)) = rest.split_once('@')
        && !credentials.contains('/')
    {
        return (format!("{scheme}://{HIDDEN}@{host}"), false);
    }
    let lower = word.to_ascii_lowercase();
    if lower == "bearer" {
        return (word.to_owned(), true);
    }
    if let Some(at) = word.find(['=', ':'])
        && SECRET_WORDS
            .iter()
            .any(|secret| lower.get(..at).is_some_and(|name| name.contains(secret)))
    {
        let (name, value) = word.split_at(at + 1);
        let named = value.trim_matches(['"', '\'']).is_empty();
        let shown = if named {
            word.to_owned()
        } else {
            format!("{name}{HIDDEN}")
        };
        return (shown, named);
    }
    let bare = word.trim_start_matches(['"', '\'', '(', '=', ':']);
    if bare.len() >= 16 && SECRET_STARTS.iter().any(|start| bare.starts_with(start)) {
        return (HIDDEN.to_owned(), false);
    }
    (word.to_owned(), false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_not_shown() {
        for (said, shown) in [
            ("password=hunter2 ok", "password=[hidden] ok"),
            ("Authorization: Bearer abc.def", "Authorization: Bearer [hidden]"),
            ("\"api_key\": \"12345\",", "\"api_key\": [hidden]"),
            ("postgres://me:hunter2@db/x", "postgres://[hidden]@db/x"),
            ("using whsec_0123456789abcdef0", "using [hidden]"),
            ("all is well: 3 of 3", "all is well: 3 of 3"),
            ("http://localhost/a@b", "http://localhost/a@b"),
        ] {
            assert_eq!(clean(said), shown);
        }
    }

    #[test]
    fn a_private_key_in_the_output_is_hidden_to_its_end() {
        let mut report = Report::begin(Instant::now());
        report.output(
            "out",
            "a\n-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\nb",
        );
        assert_eq!(
            report.logs,
            ["out| a", "out| [hidden]", "out| [hidden]", "out| [hidden]", "out| b"]
        );
    }

    #[test]
    fn without_tests_or_with_errors_nothing_passes() {
        assert!(!Report::begin(Instant::now()).end(0).passed);
        assert!(Report::begin(Instant::now()).end(1).passed);
        let mut report = Report::begin(Instant::now());
        report.error("no");
        assert!(!report.end(1).passed);
    }

    proptest! {
        #[test]
        fn whatever_is_said_stays_within_what_a_client_believes(
            lines in proptest::collection::vec("\\PC{0,300}", 0..50), times in 1usize..100,
        ) {
            let mut report = Report::begin(Instant::now());
            for _ in 0..times {
                report.output("out", &lines.join("\n"));
                report.error(&lines.join(" "));
            }
            let result = report.end(1);
            prop_assert!(result.logs.len() <= MAX_LOG_LINES && result.errors.len() <= MAX_ERRORS);
            prop_assert!(result.logs.iter().chain(&result.errors).all(|line| line.len() <= MAX_LOG_LINE_BYTES));
        }
    }
}
