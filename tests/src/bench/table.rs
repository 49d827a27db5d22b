//! The table of figures.

use std::fmt::Write as _;

/// What a figure is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Within what was promised.
    Holds,
    /// Not within.
    Fails,
    /// Nothing was promised; it is there to compare with.
    Shown,
    /// It could not be measured here, and why.
    Missing(String),
}

/// One line.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// What came out.
    pub value: String,
    /// What it must be, or what it is compared with.
    pub beside: String,
    /// What it is worth.
    pub judgement: Judgement,
}

/// All lines, printed as they come in and once more at the end.
#[derive(Debug, Default)]
pub struct Table {
    figures: Vec<Figure>,
}

impl Table {
    /// A figure that must not be above `limit`.
    pub fn at_most(&mut self, what: &str, value: f64, limit: f64, unit: &str) {
        let judgement = if value <= limit {
            Judgement::Holds
        } else {
            Judgement::Fails
        };
        let beside = if limit > 0.0 {
            format!(
                "at most {} ({:.0} % of it)",
                quantity(limit, unit),
                value / limit * 100.0
            )
        } else {
            "none allowed".to_owned()
        };
        self.push(what, quantity(value, unit), beside, judgement);
    }

    /// A figure that must not be below `limit`.
    pub fn at_least(&mut self, what: &str, value: f64, limit: f64, unit: &str) {
        let judgement = if value >= limit {
            Judgement::Holds
        } else {
            Judgement::Fails
        };
        let beside = format!("at least {}", quantity(limit, unit));
        self.push(what, quantity(value, unit), beside, judgement);
    }

    /// A figure of another tool: ours is `ours`, and must be smaller.
    pub fn rival(&mut self, what: &str, value: f64, ours: f64, unit: &str) {
        let judgement = if ours < value {
            Judgement::Holds
        } else {
            Judgement::Fails
        };
        let beside = format!("{:.1} times ours ({})", value / ours.max(1.0), quantity(ours, unit));
        self.push(what, quantity(value, unit), beside, judgement);
    }

    /// A figure that stands for itself.
    pub fn shown(&mut self, what: &str, value: f64, unit: &str, beside: &str) {
        self.push(what, quantity(value, unit), beside.to_owned(), Judgement::Shown);
    }

    /// A figure that could not be measured here.
    pub fn missing(&mut self, what: &str, why: &str) {
        self.push(
            what,
            String::from("-"),
            String::new(),
            Judgement::Missing(why.to_owned()),
        );
    }

    fn push(&mut self, what: &str, value: String, beside: String, judgement: Judgement) {
        let figure = Figure {
            what: what.to_owned(),
            value,
            beside,
            judgement,
        };
        eprintln!("  {}", line(&figure));
        self.figures.push(figure);
    }

    /// Prints it.
    pub fn print(&self) {
        println!("\n| figure | measured | beside | |\n| --- | ---: | --- | --- |");
        for figure in &self.figures {
            println!(
                "| {} | {} | {} | {} |",
                figure.what,
                figure.value,
                figure.beside,
                words(&figure.judgement)
            );
        }
    }

    /// Whether nothing that was measured fails.
    pub fn holds(&self) -> bool {
        !self.figures.iter().any(|figure| figure.judgement == Judgement::Fails)
    }
}

fn line(figure: &Figure) -> String {
    let mut line = format!("{:<58} {:>12}", figure.what, figure.value);
    if !figure.beside.is_empty() {
        let _ = write!(line, "  {}", figure.beside);
    }
    let _ = write!(line, "  {}", words(&figure.judgement));
    line
}

fn words(judgement: &Judgement) -> String {
    match judgement {
        Judgement::Holds => "holds".to_owned(),
        Judgement::Fails => "FAILS".to_owned(),
        Judgement::Shown => String::new(),
        Judgement::Missing(why) => format!("not measured: {why}"),
    }
}

/// A value with its unit, at three digits or so.
fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "B" if value >= 1e6 => format!("{:.2} MB", value / 1e6),
        "B" if value >= 1e4 => format!("{:.1} kB", value / 1e3),
        "B" => format!("{value:.0} B"),
        "MiB" => format!("{:.2} MiB", value / 1_048_576.0),
        _ if value >= 100.0 => format!("{value:.0} {unit}"),
        _ if value >= 1.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.3} {unit}"),
    }
}

/// The value below which `percent` of `values` lie; 0 when there are none.
pub fn share(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last * percent).div_ceil(100)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_value_that_so_many_are_below() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert!((share(&values, 50) - 51.0).abs() < 0.1);
        assert!((share(&values, 95) - 96.0).abs() < 0.1);
        assert!((share(&[7.0], 95) - 7.0).abs() < 0.1);
        assert!(share(&[], 95).abs() < 0.1);
    }

    #[test]
    fn what_is_above_its_limit_or_above_a_rival_fails() {
        let mut table = Table::default();
        table.at_most("a", 1.0, 2.0, "s");
        table.rival("b", 3.0, 1.0, "B");
        table.missing("c", "no tool");
        assert!(table.holds());
        table.rival("d", 1.0, 3.0, "B");
        assert!(!table.holds());
    }
}
