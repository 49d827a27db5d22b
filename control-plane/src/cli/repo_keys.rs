//! `repo-keys`: the public halves of the repository's online keys.

use crate::{app, config::Settings};

/// Prints them as JSON; the keys are made when there are none.
///
/// # Errors
/// When they can not be read or made.
#[expect(clippy::print_stdout, reason = "the keys are this verb's output")]
pub fn print(settings: &Settings) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(&app::repository_keys(settings)?)?);
    Ok(())
}
