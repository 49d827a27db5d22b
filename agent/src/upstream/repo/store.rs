//! The trusted metadata on disk: the floor below which no repository may take us back.
//!
//! Each file is written beside, fsynced, renamed over the old one, and the folder fsynced: after a crash it is wholly
//! the old or wholly the new one. Every error is the caller's to stop at; a floor that was not kept is no floor.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::names::encode;

/// Why the store can not be relied on.
#[derive(Debug, Error)]
#[error("{what} {} failed; see that the disk is healthy, has space, and that this user may write there", path.display())]
pub struct StoreError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A folder with one file a role, named after the role without a version.
#[derive(Debug)]
pub struct MetadataStore {
    folder: PathBuf,
}

impl MetadataStore {
    /// Opens the folder, making it (for this user alone) where it is missing.
    ///
    /// # Errors
    /// When it can not be made.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| error("making", folder, source))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The stored file of a role; `None` when there is none. A file longer than `max_bytes` is an error.
    ///
    /// # Errors
    /// When it is there and can not be read.
    pub fn load(&self, role: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(role);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(error("opening", &path, source)),
        };
        let mut bytes = Vec::new();
        file.take(max_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|source| error("reading", &path, source))?;
        if bytes.len() as u64 > max_bytes {
            let source = io::Error::new(io::ErrorKind::FileTooLarge, "the stored file is too large");
            return Err(error("reading", &path, source));
        }
        Ok(Some(bytes))
    }

    /// Replaces the stored file of a role, durably.
    ///
    /// # Errors
    /// When any step fails; the old file then still stands, or the new one does without the promise that it lasts.
    pub fn save(&self, role: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(role);
        // Never the name of a role's file, which ends in `.json`.
        let beside = self.folder.join(format!("{}.new", encode(role)));
        let result = write_synced(&beside, bytes).and_then(|()| {
            fault_point!("metadata.rename")?;
            fs::rename(&beside, &path)
        });
        if let Err(source) = result {
            // Best effort: what is left over is overwritten by the next save.
            let _ = fs::remove_file(&beside);
            return Err(error("writing", &path, source));
        }
        self.sync_folder()
    }

    /// Removes the stored file of a role, durably; nothing when there is none.
    ///
    /// # Errors
    /// When it stands and can not be removed.
    pub fn remove(&self, role: &str) -> Result<(), StoreError> {
        let path = self.path(role);
        match fault_point!("metadata.remove").and_then(|()| fs::remove_file(&path)) {
            Ok(()) => self.sync_folder(),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(error("removing", &path, source)),
        }
    }

    fn sync_folder(&self) -> Result<(), StoreError> {
        fault_point!("metadata.sync_folder")
            .and_then(|()| File::open(&self.folder)?.sync_all())
            .map_err(|source| error("syncing", &self.folder, source))
    }

    fn path(&self, role: &str) -> PathBuf {
        self.folder.join(format!("{}.json", encode(role)))
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    fault_point!("metadata.write")?;
    file.write_all(bytes)?;
    fault_point!("metadata.sync")?;
    file.sync_all()
}

fn error(what: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError {
        what,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn store() -> (tempfile::TempDir, MetadataStore) {
        let home = tempfile::tempdir().unwrap();
        let store = MetadataStore::open(&home.path().join("metadata")).unwrap();
        (home, store)
    }

    #[test]
    fn what_is_saved_is_loaded_and_readable_by_this_user_alone() {
        let (_home, store) = store();
        assert_eq!(store.load("root", 10).unwrap(), None);
        store.save("root", b"one").unwrap();
        store.save("root", b"two").unwrap();
        assert_eq!(store.load("root", 10).unwrap().unwrap(), b"two");
        assert_eq!(
            fs::metadata(store.path("root")).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::metadata(&store.folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(
            fs::read_dir(&store.folder).unwrap().count(),
            1,
            "nothing is left beside"
        );
        store.remove("root").unwrap();
        store.remove("root").unwrap();
        assert_eq!(store.load("root", 10).unwrap(), None);
    }

    #[test]
    fn a_failing_save_is_an_error_and_leaves_the_old_file() {
        let (_home, store) = store();
        store.save("timestamp", b"floor").unwrap();
        // A folder in the way of the file written beside: as root, permissions would not stop us.
        fs::create_dir(store.folder.join("timestamp.new")).unwrap();
        assert!(store.save("timestamp", b"higher").is_err());
        assert_eq!(store.load("timestamp", 10).unwrap().unwrap(), b"floor");
        // A folder in the way of the rename.
        fs::create_dir_all(store.folder.join("snapshot.json/x")).unwrap();
        assert!(store.save("snapshot", b"new").is_err());
        assert!(store.load("snapshot", 10).is_err());
    }

    #[test]
    fn a_stored_file_that_is_too_large_is_an_error() {
        let (_home, store) = store();
        store.save("root", b"12345").unwrap();
        assert!(store.load("root", 5).is_ok());
        assert!(store.load("root", 4).is_err());
    }

    #[test]
    fn a_half_written_file_of_a_crash_is_overwritten() {
        let (_home, store) = store();
        fs::write(store.folder.join("root.new"), b"a much longer half-written text").unwrap();
        store.save("root", b"whole").unwrap();
        assert_eq!(store.load("root", 10).unwrap().unwrap(), b"whole");
    }

    #[test]
    fn hostile_role_names_do_not_leave_the_folder() {
        let (home, store) = store();
        store.save("../../escaped", b"x").unwrap();
        assert_eq!(store.load("../../escaped", 10).unwrap().unwrap(), b"x");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
