//! What the demo says: plain lines with the time since its beginning.

use std::time::Instant;

/// A voice.
#[derive(Debug, Clone, Copy)]
pub struct Say {
    begun: Instant,
}

impl Say {
    /// A voice that counts from `begun`.
    pub fn new(begun: Instant) -> Self {
        Self { begun }
    }

    /// A line with the time.
    pub fn line(&self, words: &str) {
        println!("{:>7.1} s  {words}", self.begun.elapsed().as_secs_f64());
    }
}

/// A headline.
pub fn title(words: &str) {
    println!("\n{words}\n{}", "-".repeat(words.chars().count()));
}

/// A line that belongs to the one before.
pub fn more(words: &str) {
    println!("           {words}");
}

/// Bytes for people.
pub fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let value = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", value / 1e3),
        _ => format!("{:.1} MB", value / 1e6),
    }
}
