//! Filesystems for tests that need root: everything is mounted in a namespace of the test's own and is gone with it.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::npm;

/// Set in the process that runs inside of the namespace.
const INSIDE: &str = "PLUGMEND_PRIVATE_MOUNTS";

/// Runs `body` inside a mount namespace of its own: this very test program is started again in one, for the test
/// `name` alone (its full path within the program). Fails when the test failed there.
pub fn privately(name: &str, body: impl FnOnce()) -> Result<()> {
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == name) {
        body();
        return Ok(());
    }
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe()?)
        .args([name, "--exact", "--include-ignored", "--nocapture"])
        .env(INSIDE, name)
        .stdin(Stdio::null())
        .status()
        .context("unshare (util-linux) makes the mount namespace")?;
    ensure!(status.success(), "the test failed inside of its mount namespace");
    Ok(())
}

fn mount(arguments: &[&str], on: &Path) -> Result<()> {
    npm::run(Command::new("mount").args(arguments).arg(on)).with_context(|| format!("mount on {}", on.display()))
}

/// A filesystem in memory of `kilobytes`.
pub fn memory(on: &Path, kilobytes: u64) -> Result<()> {
    let options = format!("size={kilobytes}k,mode=0755");
    mount(&["-t", "tmpfs", "-o", &options, "plugmend-test"], on)
}

/// Another filesystem in memory, with room for `inodes` entries only.
pub fn few_inodes(on: &Path, kilobytes: u64, inodes: u64) -> Result<()> {
    let options = format!("size={kilobytes}k,nr_inodes={inodes},mode=0755");
    mount(&["-t", "tmpfs", "-o", &options, "plugmend-test"], on)
}

/// Makes `path` a mount point that shows what it showed before.
pub fn onto_itself(path: &Path) -> Result<()> {
    mount(&["--bind", &path.display().to_string()], path)
}

/// Shows `from` at `on` too.
pub fn bind(from: &Path, on: &Path) -> Result<()> {
    mount(&["--bind", &from.display().to_string()], on)
}

/// Lets nobody write through the mount point `on` any more (`false`), or lets them again (`true`).
pub fn writable(on: &Path, writable: bool) -> Result<()> {
    let option = if writable { "remount,bind,rw" } else { "remount,bind,ro" };
    mount(&["-o", option], on)
}

/// An overlay over `lower`, as containers have it; changes go to `upper`.
pub fn overlay(lower: &Path, upper: &Path, work: &Path, on: &Path) -> Result<()> {
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    mount(&["-t", "overlay", "-o", &options, "plugmend-test"], on)
}

/// Takes away what is mounted on `on`, also while somebody still looks at it.
pub fn unmount(on: &Path) -> Result<()> {
    npm::run(Command::new("umount").arg("--lazy").arg(on))
}
