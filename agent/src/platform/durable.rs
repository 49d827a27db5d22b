//! Small files that survive a power cut: written beside, synced, renamed into place, and the folder synced.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use super::{
    beneath::Dir,
    error::{Context as _, FsError},
};

/// Puts `bytes` at `rel` beneath `dir`: at every instant a reader finds the old content or the new, whole.
///
/// # Errors
/// No room, or the disk failed; the old content is then still there.
pub fn write_atomic(dir: &Dir, rel: &Path, bytes: &[u8], mode: u32) -> Result<(), FsError> {
    let temp = beside(rel);
    let path = dir.path().join(rel);
    dir.remove_file(&temp)?;
    let written = write_new(dir, &temp, bytes, mode).and_then(|()| dir.rename(&temp, dir, rel));
    if let Err(e) = written {
        // The room that the half-written file took is wanted back; the error that matters is the first.
        let _ = dir.remove_file(&temp);
        return Err(e);
    }
    crash_point!("platform.durable.after_rename");
    match rel.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => dir.open_dir(parent)?.sync(),
        _ => dir.sync(),
    }
    .map_err(|mut e| {
        e.path = path;
        e
    })
}

/// Makes a new file with `bytes` in it, synced.
///
/// # Errors
/// As [`write_atomic`], or it exists.
pub fn write_new(dir: &Dir, rel: &Path, bytes: &[u8], mode: u32) -> Result<(), FsError> {
    let path = dir.path().join(rel);
    let mut file = dir.create_file(rel, mode)?;
    fault_point!("platform.durable.write").at("write", &path)?;
    file.write_all(bytes).at("write", &path)?;
    crash_point!("platform.durable.before_fsync");
    file.sync_all().at("sync", &path)
}

/// Reads a regular file of at most `max` bytes; `None` when nothing is there.
///
/// # Errors
/// It is longer, not a regular file, or can not be read.
pub fn read_bounded(dir: &Dir, rel: &Path, max: u64) -> Result<Option<Vec<u8>>, FsError> {
    let path = dir.path().join(rel);
    let file = match dir.open_file(rel) {
        Ok(file) => file,
        Err(e) if e.is_missing() => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .at("read", &path)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge)).at("read", &path);
    }
    Ok(Some(bytes))
}

/// The name under which a file is written before it takes its place.
fn beside(rel: &Path) -> PathBuf {
    let mut name = OsString::from(".plugmend-new-");
    name.push(rel.file_name().unwrap_or_default());
    rel.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside() {
        let top = tempfile::tempdir().unwrap();
        let dir = Dir::open(top.path()).unwrap();
        write_atomic(&dir, Path::new("f"), b"one", 0o600).unwrap();
        write_atomic(&dir, Path::new("f"), b"two", 0o600).unwrap();
        assert_eq!(read_bounded(&dir, Path::new("f"), 3).unwrap().unwrap(), b"two");
        assert_eq!(dir.entries().unwrap().len(), 1);
    }

    #[test]
    fn a_file_over_the_limit_is_an_error() {
        let top = tempfile::tempdir().unwrap();
        let dir = Dir::open(top.path()).unwrap();
        write_atomic(&dir, Path::new("f"), b"four", 0o600).unwrap();
        assert!(read_bounded(&dir, Path::new("f"), 3).is_err());
        assert!(read_bounded(&dir, Path::new("g"), 3).unwrap().is_none());
    }
}
