//! Which crates, under which licences, are in the lock file.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Crates that may not come in: one crypto provider (ring), and no crate with an open hole.
pub const BANNED_CRATES: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "aws-lc-fips-sys",
    "openssl",
    "openssl-sys",
    "native-tls",
    "rsa",
];

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
}

/// The banned crates that are in a lock file's text.
pub fn banned_crates(lock: &str) -> Result<Vec<String>> {
    let lock: Lock = toml::from_str(lock).context("read Cargo.lock")?;
    let names = lock.package.into_iter().map(|p| p.name);
    Ok(names.filter(|name| BANNED_CRATES.contains(&name.as_str())).collect())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    license: Option<String>,
}

#[derive(Deserialize)]
struct Deny {
    licenses: Licences,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
}

/// Crates whose licence expression can not be met with the licences that `deny.toml` allows.
pub fn unknown_licences(root: &Path) -> Result<Vec<String>> {
    let deny: Deny = toml::from_str(&std::fs::read_to_string(root.join("deny.toml"))?).context("read deny.toml")?;
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root)
        .output()?;
    ensure!(
        out.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    let metadata: Metadata = serde_json::from_slice(&out.stdout)?;
    let refused = |p: &Package| !p.license.as_deref().is_some_and(|l| permitted(l, &deny.licenses.allow));
    Ok(metadata
        .packages
        .iter()
        .filter(|p| refused(p))
        .map(|p| format!("{} ({})", p.name, p.license.as_deref().unwrap_or("no licence")))
        .collect())
}

/// Whether an SPDX expression (flat, or with one level of brackets) can be met: every AND part has an allowed OR part.
fn permitted(expression: &str, allowed: &BTreeSet<String>) -> bool {
    // Old crates write a slash for OR.
    let expression = expression.replace(" / ", " OR ").replace('/', " OR ");
    expression.split(" AND ").all(|part| {
        part.trim_matches(|c| matches!(c, '(' | ')' | ' '))
            .split(" OR ")
            .any(|licence| allowed.contains(licence.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_and_part_needs_one_allowed_licence() {
        let allowed: BTreeSet<String> = ["MIT", "Unicode-3.0"].map(str::to_owned).into();
        assert!(permitted("GPL-3.0 OR MIT", &allowed));
        assert!(permitted("MIT/Apache-2.0", &allowed));
        assert!(permitted("(MIT OR Apache-2.0) AND Unicode-3.0", &allowed));
        assert!(!permitted("MIT AND GPL-3.0", &allowed));
    }

    #[test]
    fn a_banned_crate_is_found() {
        let lock =
            "[[package]]\nname = \"ring\"\nversion = \"1.0.0\"\n[[package]]\nname = \"rsa\"\nversion = \"1.0.0\"\n";
        assert_eq!(banned_crates(lock).unwrap(), ["rsa"]);
    }
}
