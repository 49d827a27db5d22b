//! `audit-key`: what the audit trail's checkpoints are verified with.

use crate::{app, config::Settings};

/// Prints it; it is made when there is none.
///
/// # Errors
/// When it can not be read or made.
#[expect(clippy::print_stdout, reason = "the key is this verb's output")]
pub fn print(settings: &Settings) -> anyhow::Result<()> {
    println!("{}", app::audit_key(settings)?);
    Ok(())
}
