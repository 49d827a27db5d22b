//! Files that secrets are written to.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// A new file that only its owner can read. It is made before the secret is asked for: a secret is shown once, and would be
/// lost if there were no place for it. Dropped without a secret, it is taken away again.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    file: File,
    is_kept: bool,
}

impl SecretFile {
    /// Makes the file.
    ///
    /// # Errors
    /// When it is there already, or can not be made.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("can not create {}; name a file that is not there yet", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            is_kept: false,
        })
    }

    /// Writes the secret.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn keep(mut self, secret: &str) -> anyhow::Result<()> {
        self.file
            .write_all(format!("{secret}\n").as_bytes())
            .and_then(|()| self.file.sync_all())
            .with_context(|| format!("can not write {}", self.path.display()))?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if !self.is_kept {
            // It is empty; whoever finds it loses nothing.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_has_its_place_before_it_is_asked_for_and_none_is_left_without() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        drop(SecretFile::create(&path).unwrap());
        assert!(!path.exists());
        SecretFile::create(&path).unwrap().keep("hush").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hush\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let refused = format!("{:#}", SecretFile::create(&path).unwrap_err());
        assert!(refused.contains("not there yet"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hush\n");
    }
}
