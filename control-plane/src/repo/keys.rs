//! The online keys: they say which signed releases are current, and nothing else.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use plugmend_shared::tuf::{Key, sign::SigningKey};
use ring::rand::SecureRandom;
use serde::Serialize;
use zeroize::Zeroizing;

use super::RepoError;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const MAX_FILE: u64 = 16 * 1024;

/// Both private keys.
#[derive(Debug)]
pub struct OnlineKeys {
    pub(super) snapshot: SigningKey,
    pub(super) timestamp: SigningKey,
}

/// Their public halves, as `plugmend release init` takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicKeys {
    /// Signs snapshots.
    pub snapshot: Vec<Key>,
    /// Signs timestamps.
    pub timestamp: Vec<Key>,
}

impl OnlineKeys {
    /// Reads `snapshot.pem` and `timestamp.pem` of a folder (0600 and made on the spot when it has neither; a mounted
    /// secret does as well).
    ///
    /// # Errors
    /// When others can read a key, one is no Ed25519 key in PKCS#8 PEM, or they can not be made.
    pub fn load_or_make(dir: &Path, random: &dyn SecureRandom) -> Result<Self, RepoError> {
        Ok(Self {
            snapshot: load_or_make(&dir.join("snapshot.pem"), random)?,
            timestamp: load_or_make(&dir.join("timestamp.pem"), random)?,
        })
    }

    /// The public halves.
    pub fn public(&self) -> PublicKeys {
        PublicKeys {
            snapshot: vec![self.snapshot.public().clone()],
            timestamp: vec![self.timestamp.public().clone()],
        }
    }
}

fn load_or_make(path: &Path, random: &dyn SecureRandom) -> Result<SigningKey, RepoError> {
    match read(path) {
        Ok(key) => key,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path, random),
        Err(source) => Err(RepoError::KeyFile {
            path: path.to_owned(),
            source,
        }),
    }
}

fn read(path: &Path) -> io::Result<Result<SigningKey, RepoError>> {
    let file = fs::File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a key file"));
    }
    // No bit for group and others may be set.
    if meta.mode().trailing_zeros() < 6 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "others can read it: make it 0600, and rotate the online keys if they have",
        ));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE).read_to_string(&mut text)?;
    let body = text.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let packed = Zeroizing::new(body.unwrap_or_default().split_ascii_whitespace().collect::<String>());
    let der = STANDARD.decode(packed.as_bytes()).map(Zeroizing::new);
    let der = der.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not PEM"))?;
    Ok(SigningKey::from_pkcs8(&der).map_err(|e| RepoError::Keys(format!("{}: {e}", path.display()))))
}

fn make(path: &Path, random: &dyn SecureRandom) -> Result<SigningKey, RepoError> {
    let (der, key) = SigningKey::generate(random)?;
    let body = Zeroizing::new(STANDARD.encode(Zeroizing::new(der).as_slice()));
    let text = Zeroizing::new(format!("{BEGIN}\n{}\n{END}\n", *body));
    write(path, text.as_bytes()).map_err(|source| RepoError::KeyFile {
        path: path.to_owned(),
        source,
    })?;
    Ok(key)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use ring::rand::SystemRandom;

    use super::*;

    #[test]
    fn keys_are_made_once_and_are_their_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let first = OnlineKeys::load_or_make(dir.path(), &SystemRandom::new())
            .unwrap()
            .public();
        let again = OnlineKeys::load_or_make(dir.path(), &SystemRandom::new())
            .unwrap()
            .public();
        assert_eq!(first, again);
        assert_ne!(first.snapshot, first.timestamp);
        let file = dir.path().join("snapshot.pem");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(OnlineKeys::load_or_make(dir.path(), &SystemRandom::new()).is_err());
    }
}
