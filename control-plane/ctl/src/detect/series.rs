//! `detect series`: how surprising each value of a metric is.

use std::io::{self, BufRead, BufWriter, Write};

use plugmend_shared::detect::series::Series;

use super::lines::{self, Line};

/// Scores rows; gives how many could not be read. Those score 0, so that each row in is a row out.
///
/// # Errors
/// When input or output fail.
pub fn run(mut input: impl BufRead, output: impl Write, tell: &mut impl FnMut(u64, u64, &str)) -> anyhow::Result<u64> {
    let mut output = BufWriter::with_capacity(1 << 16, output);
    let (mut series, mut buffer) = (Series::default(), Vec::new());
    let (mut number, mut refused) = (0u64, 0u64);
    loop {
        let line = lines::next(&mut input, &mut buffer)?;
        number += 1;
        let problem = match line {
            Line::End => break,
            Line::TooLong => Some("is longer than 1 MiB"),
            Line::Read if buffer.is_empty() => continue,
            Line::Read => row(&buffer, number == 1, &mut series, &mut output)?,
        };
        if let Some(problem) = problem {
            tell(refused, number, problem);
            refused += 1;
        }
    }
    output.flush()?;
    Ok(refused)
}

/// Writes one row; gives what is wrong with it.
fn row(line: &[u8], is_first: bool, series: &mut Series, output: &mut impl Write) -> io::Result<Option<&'static str>> {
    let mut columns = line.split(|byte| *byte == b',');
    let (timestamp, value) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
    let number = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.trim().parse::<f64>().ok());
    output.write_all(timestamp)?;
    output.write_all(b",")?;
    output.write_all(value)?;
    if is_first && number.is_none() {
        output.write_all(b",anomaly_score\n")?;
        return Ok(None);
    }
    let score = number.map_or(0.0, |number| series.score(time_of_day(timestamp), number));
    write_score(score, output)?;
    let fine = number.is_some_and(f64::is_finite);
    Ok((!fine).then_some("has no number in its second column"))
}

/// Six digits, without the detours of general formatting: a million rows a second pass here.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and a million"
)]
fn write_score(score: f64, output: &mut impl Write) -> io::Result<()> {
    let mut left = (score.clamp(0.0, 1.0) * 1e6).round() as u32;
    let mut text = *b",0.000000\n";
    if left >= 1_000_000 {
        return output.write_all(b",1.000000\n");
    }
    for digit in text.iter_mut().rev().skip(1).take(6) {
        *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
    }
    output.write_all(&text)
}

/// Seconds since the day began: out of `2026-11-01 00:05:00` (or with a `T`), or out of a count of seconds.
fn time_of_day(timestamp: &[u8]) -> Option<i64> {
    let two = |at: usize| {
        let digits = timestamp.get(at..at + 2)?;
        let [tens, ones] = digits else { return None };
        let fine = tens.is_ascii_digit() && ones.is_ascii_digit();
        fine.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    };
    if timestamp.get(13) == Some(&b':') {
        let seconds = if timestamp.get(16) == Some(&b':') { two(17)? } else { 0 };
        return Some(two(11)? * 3600 + two(14)? * 60 + seconds);
    }
    let number: f64 = std::str::from_utf8(timestamp).ok()?.trim().parse().ok()?;
    // Counts of milliseconds are far beyond those of seconds.
    let seconds = if number.abs() > 1e11 { number / 1000.0 } else { number };
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    seconds.is_finite().then(|| seconds.floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(text: &str) -> (String, u64) {
        let mut out = Vec::new();
        let refused = run(text.as_bytes(), &mut out, &mut |_, _, _| {}).unwrap();
        (String::from_utf8(out).unwrap(), refused)
    }

    #[test]
    fn each_row_in_is_a_row_out_with_its_score() {
        let (out, refused) = scored("timestamp,value\n2026-11-01 00:05:00,1.50\n2026-11-01 00:10:00,x\n,2\n");
        let rows = "timestamp,value,anomaly_score\n2026-11-01 00:05:00,1.50,0.000000\n\
                    2026-11-01 00:10:00,x,0.000000\n,2,0.000000\n";
        assert_eq!((out.as_str(), refused), (rows, 1));
    }

    #[test]
    fn the_rows_of_a_beginning_are_the_beginning_of_the_rows() {
        let row = |i: u32| {
            format!(
                "2026-11-{:02}T{:02}:00:00Z,{}\n",
                1 + i / 24,
                i % 24,
                i * 7919 % 97 + i / 400 * 90
            )
        };
        let lines: Vec<String> = (0..600).map(row).collect();
        let whole = scored(&lines.concat()).0;
        for cut in [1, 59, 61, 400, 401, 599] {
            assert!(whole.starts_with(&scored(&lines[..cut].concat()).0));
        }
        assert!(
            whole.lines().any(|line| !line.ends_with(",0.000000")),
            "something stood out"
        );
    }

    #[test]
    fn times_of_day_are_read_out_of_dates_and_counts() {
        assert_eq!(time_of_day(b"2026-11-01 01:02:03"), Some(3723));
        assert_eq!(time_of_day(b"2026-11-01T01:02:03.5Z"), Some(3723));
        assert_eq!(time_of_day(b"2026-11-01 01:02"), Some(3720));
        assert_eq!(time_of_day(b"1790000000"), Some(1_790_000_000));
        assert_eq!(time_of_day(b"1790000000000"), Some(1_790_000_000));
        assert_eq!(time_of_day(b"soon"), None);
    }
}
