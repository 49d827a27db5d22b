//! What other tools would send for the same update.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::npm;

/// A tool, and what it takes to measure it.
pub struct Rival {
    /// Its program.
    pub program: &'static str,
    /// How it was used.
    pub how: &'static str,
    /// Bytes for the update from the one tree to the other.
    pub measure: fn(&Path, &Path, &Path) -> Result<u64>,
}

/// Those to stay below.
pub const ALL: [Rival; 3] = [
    Rival {
        program: "rsync",
        how: "rsync --checksum -z --link-dest",
        measure: rsync,
    },
    Rival {
        program: "casync",
        how: "casync, index and new chunks",
        measure: casync,
    },
    Rival {
        program: "ostree",
        how: "ostree, static delta",
        measure: ostree,
    },
];

impl Rival {
    /// Whether it can be run here; it is installed on Debian as root.
    pub fn is_here(&self) -> bool {
        let runs = || {
            let mut command = Command::new(self.program);
            command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|s| s.success())
        };
        if runs() {
            return true;
        }
        if rustix::process::geteuid().is_root() && Path::new("/usr/bin/apt-get").exists() {
            let mut install = Command::new("apt-get");
            install.args(["-qq", "-y", "--no-install-recommends", "install", self.program]);
            // That it could not be installed shows at once.
            let _ = npm::run(install.env("DEBIAN_FRONTEND", "noninteractive"));
        }
        runs()
    }
}

fn rsync(old: &Path, new: &Path, work: &Path) -> Result<u64> {
    let out = Command::new("rsync")
        .args(["-a", "--checksum", "-z", "--no-whole-file", "--stats", "--link-dest"])
        .arg(old)
        .arg(format!("{}/", new.display()))
        .arg(work.join("rsync"))
        .env("LC_ALL", "C")
        .output()?;
    ensure!(out.status.success(), "rsync: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout);
    ["Total bytes sent:", "Total bytes received:"]
        .iter()
        .map(|name| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let digits: String = line
                .context("rsync --stats")?
                .chars()
                .filter(char::is_ascii_digit)
                .collect();
            Ok(digits.parse::<u64>()?)
        })
        .sum()
}

fn casync(old: &Path, new: &Path, work: &Path) -> Result<u64> {
    let store = work.join("casync.castr");
    let make = |index: &Path, tree: &Path| {
        npm::run(
            Command::new("casync")
                .arg("make")
                .arg("--without=all")
                .arg("--store")
                .arg(&store)
                .arg(index)
                .arg(tree),
        )
    };
    make(&work.join("old.caidx"), old)?;
    let before = sizes(&store)?;
    let index = work.join("new.caidx");
    make(&index, new)?;
    let chunks: u64 = sizes(&store)?
        .iter()
        .filter(|(path, _)| !before.contains_key(*path))
        .map(|(_, size)| size)
        .sum();
    Ok(fs::metadata(index)?.len() + chunks)
}

fn ostree(old: &Path, new: &Path, work: &Path) -> Result<u64> {
    let repo = format!("--repo={}", work.join("ostree").display());
    let run = |arguments: &[&str]| -> Result<String> {
        let out = Command::new("ostree").arg(&repo).args(arguments).output()?;
        ensure!(out.status.success(), "ostree: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    fs::create_dir_all(work.join("ostree"))?;
    run(&["init", "--mode=archive"])?;
    let commit = |tree: &Path| {
        let tree = format!("--tree=dir={}", tree.display());
        run(&["commit", "--branch=plugin", "--owner-uid=0", "--owner-gid=0", &tree])
    };
    let (from, to) = (commit(old)?, commit(new)?);
    let file = work.join("ostree.delta");
    let (from, to, name) = (
        format!("--from={from}"),
        format!("--to={to}"),
        format!("--filename={}", file.display()),
    );
    run(&[
        "static-delta",
        "generate",
        "--inline",
        "--min-fallback-size=0",
        &from,
        &to,
        &name,
    ])?;
    Ok(fs::metadata(file)?.len())
}

/// Every file below `folder`, with its size.
fn sizes(folder: &Path) -> Result<BTreeMap<PathBuf, u64>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                found.insert(entry.path(), entry.metadata()?.len());
            }
        }
    }
    Ok(found)
}
