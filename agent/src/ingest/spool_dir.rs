//! The NDJSON spool directory: the plugin appends JSON lines to a file of its own (any name) and hands it over by
//! renaming it to `<anything>.ndjson`; the agent reads it and removes it. It works while the agent is down, and without
//! any extension of the plugin's language.
//!
//! What lies there is hostile: links and pipes are not opened, files with more than one name are not read, sizes and
//! numbers are bounded, and no path is resolved twice (everything goes through the open directory).

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::Path,
    time::Duration,
};

use plugmend_shared::clock::{Clock as _, SystemClock};
use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, unlinkat},
    io::Errno,
};
use tokio::time::sleep;

use super::{hub::Hub, lines::Lines};

/// What the name of a file that was handed over ends with.
pub const SPOOL_SUFFIX: &str = ".ndjson";
/// How often the directory is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// Entries that are looked at in one scan.
const MAX_ENTRIES: usize = 1000;
/// Files that are read in one scan, oldest name first.
const MAX_FILES: usize = 16;
/// What is read of one file, in bytes; the rest is dropped.
const MAX_FILE: u64 = 8 * 1024 * 1024;
const CHUNK: usize = 64 * 1024;
/// After each chunk: bounds what a full spool costs to about 1 MB a second.
const PAUSE: Duration = Duration::from_millis(60);

/// Looks for files for ever.
pub(super) async fn run(dir: Option<&Path>, hub: &Hub) {
    let Some(dir) = dir else { return };
    // Links on the way to the directory are the host's and are followed once, now; the plugin can not add any later.
    let mut resolved = dir.canonicalize().ok();
    loop {
        if resolved.is_none() {
            resolved = dir.canonicalize().ok();
        }
        let result = match &resolved {
            Some(dir) => scan(dir, hub).await,
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let trouble = result.err().map(|error| {
            format!(
                "{}: {error}; it must be a directory in which the agent may remove files",
                dir.display()
            )
        });
        hub.trouble("spool_dir", trouble);
        sleep(EVERY).await;
    }
}

pub(super) async fn scan(dir: &Path, hub: &Hub) -> io::Result<()> {
    let dir = open_dir(dir)?;
    for name in candidates(&dir)? {
        if let Some(file) = claim(&dir, &name, hub)? {
            read(file, hub).await?;
        }
    }
    Ok(())
}

fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // Before Linux 5.6, or under a sandbox that does not know the call: the last step is checked at least.
        Err(Errno::NOSYS | Errno::PERM) => openat(CWD, path, flags, Mode::empty()),
        other => other,
    };
    Ok(opened?)
}

fn candidates(dir: &OwnedFd) -> io::Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)?.take(MAX_ENTRIES) {
        let entry = entry?;
        if entry.file_name().to_bytes().ends_with(SPOOL_SUFFIX.as_bytes()) {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort();
    names.truncate(MAX_FILES);
    Ok(names)
}

/// Opens a file and takes its name away. Without that the same lines would be counted again and again, so nothing is
/// read of a file that can not be removed.
fn claim(dir: &OwnedFd, name: &std::ffi::CStr, hub: &Hub) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = match openat(dir, name, flags, Mode::empty()) {
        Ok(opened) => Some(opened),
        Err(Errno::NOENT) => return Ok(None),
        // A link, a socket, a file that we may not read.
        Err(_) => None,
    };
    let good = match &opened {
        Some(file) => {
            let stat = fstat(file)?;
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1
        }
        None => false,
    };
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        // A directory with such a name is left alone: removing it is the host's business.
        Err(Errno::ISDIR | Errno::PERM) if !good => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    if !good {
        hub.dropped(1);
    }
    Ok(opened.filter(|_| good).map(File::from))
}

async fn read(file: File, hub: &Hub) -> io::Result<()> {
    let size = file.metadata()?.len();
    let mut file = file.take(MAX_FILE);
    let mut lines = Lines::default();
    let mut chunk = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK) + 1)];
    let wall = SystemClock.now();
    let mut take = |line: &[u8]| hub.spooled_event(line, wall);
    loop {
        let length = file.read(&mut chunk)?;
        if length == 0 {
            break;
        }
        let too_long = lines.feed(chunk.get(..length).unwrap_or_default(), &mut take);
        hub.refused(too_long);
        if length == chunk.len() {
            sleep(PAUSE).await;
        }
    }
    lines.finish(&mut take);
    if size > MAX_FILE {
        hub.dropped(1);
    }
    Ok(())
}
