//! Tables for people.

use comfy_table::{Table, presets};

use super::{Tone, plain, tinted};

/// Columns whose words have a tone.
const STATES: [&str; 7] = ["STATUS", "SEVERITY", "STATE", "STANDING", "HEALTH", "CHECK", "RESULT"];

/// A table; `none` when there is nothing in it. Lines are as long as they must be: ids are there to be copied.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    // Colours are ours to give: they stand around words that are padded already.
    table.force_no_tty();
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.iter().map(|cell| plain(cell)).collect())
        .collect();
    if rows.is_empty() {
        return "none".to_owned();
    }
    for row in &rows {
        table.add_row(row.iter());
    }
    let mut out = String::new();
    for (number, line) in table.lines().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        let row = number.checked_sub(1).and_then(|at| rows.get(at));
        out.push_str(
            row.map_or_else(|| line.clone(), |row| coloured(&line, header, row))
                .trim_end(),
        );
    }
    out
}

/// A printed row with the words of its state columns in colour.
fn coloured(line: &str, header: &[&str], row: &[String]) -> String {
    let mut rest = line;
    let mut out = String::new();
    for (name, cell) in header.iter().zip(row) {
        let Some((before, after)) = rest.split_once(cell.as_str()) else {
            break;
        };
        let tone = if STATES.contains(name) { Tone::of(cell) } else { None };
        out.push_str(before);
        out.push_str(&tinted(cell, tone));
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_line_whatever_is_in_it() {
        let rows = vec![
            vec!["1".to_owned(), "a\nb\x1b[2J".to_owned(), "open".to_owned()],
            vec!["22".to_owned(), String::new(), "closed".to_owned()],
        ];
        let text = table(&["ID", "NAME", "STATUS"], rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains("NAME") && lines[1].contains("a b\u{fffd}[2J") && lines[1].ends_with("open"));
        assert!(lines[2].contains("22") && lines[2].ends_with("closed"), "{text}");
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(table(&["ID"], []), "none");
    }
}
