//! The words that `plugmend` understands.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::{
    detect, doctor, ops,
    output::{self, Format, Output},
    release, tools, watch,
};

/// Keeps the plugins of online merchants healthy.
#[derive(Debug, Parser)]
#[command(name = "plugmend", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// Print one JSON value instead of words.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(flatten)]
    Ops(ops::Verb),
    /// Follow the fleet, or one incident until it ends.
    Watch(watch::Arguments),
    /// Check the way to the control plane's database, and say what to do where it ends.
    Doctor(doctor::Arguments),
    /// Make, sign and publish releases.
    #[command(subcommand)]
    Release(release::Verb),
    /// Run the detectors on recorded data.
    #[command(subcommand)]
    Detect(detect::Verb),
    /// Print the script that completes these words in a shell.
    Completions(tools::Completions),
    /// Write a manual page for each verb.
    Man(tools::Man),
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> ExitCode {
        let format = if self.json { Format::Json } else { Format::Words };
        let ended = match self.verb {
            Verb::Detect(verb) => return detect::run(&verb).unwrap_or_else(|error| output::fail(&error, format)),
            Verb::Watch(arguments) => watch::run(&arguments, format),
            Verb::Doctor(arguments) => Ok(doctor::run(&arguments)),
            Verb::Release(verb) => release::run(verb, format),
            Verb::Ops(verb) => ops::run(verb, format),
            Verb::Completions(arguments) => tools::completions(&arguments, Self::command()),
            Verb::Man(arguments) => tools::man(&arguments, Self::command()),
        };
        ended.map_or_else(|error| output::fail(&error, format), |done: Output| done.print(format))
    }
}

/// Every verb that does something, as it is typed.
#[cfg(test)]
pub fn verbs() -> Vec<String> {
    fn leaves(command: &clap::Command, before: &str, out: &mut Vec<String>) {
        for verb in command.get_subcommands() {
            let name = format!("{before}{}", verb.get_name());
            if verb.has_subcommands() {
                leaves(verb, &format!("{name} "), out);
            } else {
                out.push(name);
            }
        }
    }
    let mut out = Vec::new();
    leaves(&Cli::command(), "", &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    const PAGE: &str = include_str!("../../../docs/command-line.md");

    #[test]
    fn the_words_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_verb_is_on_the_page() {
        for verb in verbs() {
            let heading = format!("`{verb}");
            assert!(
                PAGE.lines()
                    .any(|line| line.starts_with("| ") && line[2..].starts_with(&heading)),
                "docs/command-line.md says nothing of '{verb}'"
            );
        }
    }

    #[test]
    fn the_page_has_no_verb_that_there_is_not() {
        let verbs = verbs();
        let named = PAGE
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        let mut count = 0;
        for line in named {
            let name = line.split('`').next().unwrap();
            assert!(verbs.iter().any(|verb| verb == name), "there is no '{name}'");
            count += 1;
        }
        assert_eq!(count, verbs.len());
    }

    #[test]
    fn each_example_on_the_page_can_be_typed() {
        let mut count = 0;
        for line in PAGE.lines().filter(|line| line.starts_with("plugmend ")) {
            let words = line.split_once("  #").map_or(line, |(words, _)| words);
            let words = words
                .split(" > ")
                .next()
                .unwrap()
                .split(" < ")
                .next()
                .unwrap()
                .split(" | ")
                .next()
                .unwrap();
            let typed = typed(words);
            if let Err(error) = Cli::try_parse_from(&typed) {
                panic!("'{words}' can not be typed: {error}");
            }
            count += 1;
        }
        assert!(count > 20, "{count} examples");
    }

    /// Words as a shell splits them, with `"…"` as the one way to quote.
    fn typed(line: &str) -> Vec<String> {
        line.split('"')
            .enumerate()
            .flat_map(|(at, part)| {
                if at % 2 == 1 {
                    vec![part.to_owned()]
                } else {
                    part.split_whitespace().map(str::to_owned).collect()
                }
            })
            .collect()
    }

    #[test]
    fn the_page_has_the_exit_codes() {
        for exit in Exit::ALL {
            let row = format!("| {} | ", exit.code());
            assert!(
                PAGE.lines().any(|line| line.starts_with(&row)),
                "{exit:?} is not on the page"
            );
        }
    }
}
