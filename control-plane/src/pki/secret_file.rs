//! Keys on disk: made for their owner only, and refused when others can read them.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use zeroize::Zeroizing;

/// The longest key file, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads a key. One that the group or others may read or write is refused: whoever has it can make agents.
pub fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = OpenOptions::new().read(true).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a regular file of at most 64 KiB",
        ));
    }
    if meta.mode() & 0o077 != 0 {
        let words = format!(
            "its mode is {:o}, so others may have read it; make it 0600, and make a new key if they have",
            meta.mode() & 0o777
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Makes a file that must not exist yet, readable as `mode` says, and has it on disk when this returns.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
