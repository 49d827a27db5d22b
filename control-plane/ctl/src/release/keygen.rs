//! `release keygen`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use plugmend_shared::tuf::sign::SigningKey;
use ring::rand::SystemRandom;
use serde_json::json;
use zeroize::Zeroizing;

use super::keys::{self, PublicKey};
use crate::output::Output;

/// Arguments of `release keygen`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where the private key goes (mode 0600); the public half goes beside it, with `.pub` appended.
    #[arg(long, short)]
    out: PathBuf,
    /// Whose key it is, for people.
    #[arg(long)]
    owner: Option<String>,
}

/// Draws the key.
pub fn run(arguments: &Arguments) -> anyhow::Result<Output> {
    let (pkcs8, key) = SigningKey::generate(&SystemRandom::new()).context("can not draw a key")?;
    let pkcs8 = Zeroizing::new(pkcs8);
    keys::write_private(&arguments.out, &pkcs8)?;
    let mut name = arguments.out.clone().into_os_string();
    name.push(".pub");
    let public_path = PathBuf::from(name);
    let public = PublicKey {
        keyid: key.id().clone(),
        owner: arguments.owner.clone(),
        key: key.public().clone(),
    };
    keys::write_public(&public_path, &public)?;
    let words = format!(
        "key {}\nprivate: {} (keep it offline; nobody else may have it)\npublic:  {} (give it to whoever runs \
         'release init')",
        key.id(),
        arguments.out.display(),
        public_path.display()
    );
    let data = json!({ "keyid": key.id(), "private": arguments.out, "public": public_path });
    Ok(Output::new(words, data))
}
