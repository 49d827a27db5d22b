//! Small arithmetic that every detector shares.

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "a rate does not need more than 52 bits")]
pub fn count(value: u64) -> f64 {
    value as f64
}

/// A span of seconds as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "spans are far below 2^52 s")]
pub fn seconds(value: i64) -> f64 {
    value as f64
}

/// A number as it is kept: 24 bits are plenty for what is measured.
#[expect(clippy::cast_possible_truncation, reason = "kept in 4 bytes on purpose")]
pub fn kept(value: f64) -> f32 {
    value as f32
}

/// What is left of a weight after `elapsed_s`, when half is left after `half_life_s`.
pub fn decay(elapsed_s: f64, half_life_s: f64) -> f64 {
    (-elapsed_s * std::f64::consts::LN_2 / half_life_s.max(1.0)).exp()
}

/// A moment in the four bytes it is kept in; 0 means never, so the first second of 1970 counts as the next.
pub fn moment(at: i64) -> u32 {
    u32::try_from(at.max(1)).unwrap_or(u32::MAX)
}

/// A short name of a text: FNV-1a, never 0. Two texts with one name would only hide a change.
pub fn hash(text: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, step).max(1)
}
