//! `ca init` and `ca show`: the agents' CA.

use clap::Subcommand;

use crate::{app, config::Settings};

/// What to do with the CA.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make the CA: a key that only its owner can read, and a certificate.
    Init,
    /// Print the fingerprint that agents are enrolled with (`ca_sha256`).
    Show,
}

/// Does it, and prints the fingerprint.
///
/// # Errors
/// When the CA can not be made or read.
#[expect(clippy::print_stdout, reason = "the fingerprint is this verb's output")]
pub fn run(settings: &Settings, verb: &Verb) -> anyhow::Result<()> {
    let fingerprint = match verb {
        Verb::Init => app::init_ca(settings)?,
        Verb::Show => app::ca_fingerprint(settings)?,
    };
    println!("{fingerprint}");
    Ok(())
}
