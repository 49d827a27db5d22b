//! `completions` and `man`: the command line, for the shell and for `man`.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use serde_json::json;

use crate::output::Output;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// For which shell.
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// The folder to write to; made when it is not there.
    dir: PathBuf,
}

/// The script that completes `plugmend`'s words in a shell.
///
/// # Errors
/// When it is not text.
pub fn completions(arguments: &Completions, mut command: Command) -> anyhow::Result<Output> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "plugmend", &mut script);
    let script = String::from_utf8(script).context("the script is not text")?;
    let data = json!({ "shell": arguments.shell.to_string(), "script": script });
    Ok(Output::new(script, data))
}

/// Writes a page for each verb.
///
/// # Errors
/// When it can not be written.
pub fn man(arguments: &Man, command: Command) -> anyhow::Result<Output> {
    let at = || format!("can not write to {}", arguments.dir.display());
    fs::create_dir_all(&arguments.dir).with_context(at)?;
    let mut pages = Vec::new();
    for (name, page) in pages_of(command)? {
        let name = format!("{name}.1");
        fs::write(arguments.dir.join(&name), page).with_context(at)?;
        pages.push(name);
    }
    let words = format!(
        "{} pages in {}; read one with 'man -l {}'",
        pages.len(),
        arguments.dir.display(),
        arguments.dir.join("plugmend.1").display()
    );
    Ok(Output::new(words, json!({ "dir": arguments.dir, "pages": pages })))
}

/// The name and the page of each verb, however deep.
fn pages_of(mut command: Command) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    command = command.disable_help_subcommand(true);
    // Words that all verbs share, and each verb's whole name, come by this.
    command.build();
    let mut pages = Vec::new();
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands().cloned());
        let name = command
            .get_display_name()
            .unwrap_or_else(|| command.get_name())
            .to_owned();
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        pages.push((name, page));
    }
    pages.sort();
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command as Process, Stdio},
    };

    use clap::{CommandFactory as _, ValueEnum as _};

    use super::*;
    use crate::cli::{Cli, verbs};

    #[test]
    fn each_verb_has_a_page() {
        let pages: Vec<String> = pages_of(Cli::command())
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        for verb in verbs() {
            let name = format!("plugmend-{}", verb.replace(' ', "-"));
            assert!(pages.contains(&name), "{name} is not among {pages:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("new/man1");
        man(&Man { dir: to.clone() }, Cli::command()).unwrap();
        let page = fs::read_to_string(to.join("plugmend-incident-act.1")).unwrap();
        assert!(page.starts_with(".ie") && page.contains("config_fix"), "{page}");
    }

    #[test]
    fn bash_can_read_its_completions() {
        let script = |shell| format!("{:?}", completions(&Completions { shell }, Cli::command()).unwrap());
        for shell in Shell::value_variants() {
            assert!(script(*shell).contains("incident"), "{shell}");
        }
        let mut text = Vec::new();
        clap_complete::generate(Shell::Bash, &mut Cli::command(), "plugmend", &mut text);
        let mut bash = Process::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
        bash.stdin.take().unwrap().write_all(&text).unwrap();
        assert!(bash.wait().unwrap().success());
    }
}
