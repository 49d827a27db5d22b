//! Key files: the private half readable by its owner only, the public half for everybody.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use plugmend_shared::tuf::{Key, KeyId, sign::SigningKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// No key file of ours is longer.
const MAX_FILE: u64 = 16 * 1024;

/// The public half, as it is handed to whoever sets up the repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublicKey {
    /// Its name.
    pub keyid: KeyId,
    /// Whose it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The key.
    pub key: Key,
}

/// Public keys of the control plane, as `plugmend-control-plane repo-keys` prints them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OnlineKeys {
    /// Signs snapshots.
    pub snapshot: Vec<Key>,
    /// Signs timestamps.
    pub timestamp: Vec<Key>,
}

/// Writes a private key, PEM (RFC 7468), readable by its owner only; never over another file.
pub fn write_private(path: &Path, pkcs8: &[u8]) -> anyhow::Result<()> {
    let body = Zeroizing::new(STANDARD.encode(pkcs8));
    let text = Zeroizing::new(format!("{BEGIN}\n{}\n{END}\n", *body));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("can not create {}; a key file is never overwritten", path.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("can not write {}", path.display()))
}

/// Reads a private key.
///
/// # Errors
/// When others could read the file, or it is no Ed25519 key in PKCS#8 PEM.
pub fn read_private(path: &Path) -> anyhow::Result<SigningKey> {
    let at = || format!("can not use the key {}", path.display());
    let meta = fs::metadata(path).with_context(at)?;
    ensure!(
        meta.is_file() && meta.len() <= MAX_FILE,
        "{} is not a key file",
        path.display()
    );
    // No bit for group and others may be set.
    ensure!(
        meta.mode().trailing_zeros() >= 6,
        "others can read the private key {}: run 'chmod 600' on it, and consider it stolen if they did",
        path.display()
    );
    let text = Zeroizing::new(fs::read_to_string(path).with_context(at)?);
    let body = text.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let body = body.with_context(|| format!("{} has no '{BEGIN}'", path.display()))?;
    let packed = Zeroizing::new(body.split_ascii_whitespace().collect::<String>());
    let der = Zeroizing::new(STANDARD.decode(packed.as_bytes()).with_context(at)?);
    SigningKey::from_pkcs8(&der).with_context(at)
}

/// Writes the public half beside it.
pub fn write_public(path: &Path, key: &PublicKey) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(key)?;
    text.push(b'\n');
    fs::write(path, text).with_context(|| format!("can not write {}", path.display()))
}

/// Reads public halves.
pub fn read_public(paths: &[std::path::PathBuf]) -> anyhow::Result<Vec<Key>> {
    let mut keys: Vec<Key> = Vec::new();
    for path in paths {
        let public: PublicKey = read_json(path)?;
        let id = public
            .key
            .id()
            .with_context(|| format!("{} has a malformed key", path.display()))?;
        ensure!(
            id == public.keyid,
            "{}: the name does not go with the key",
            path.display()
        );
        let verifier = public.key.verifier();
        let verifier = verifier.with_context(|| format!("{} has a key that can not verify", path.display()))?;
        let twice = keys
            .iter()
            .filter_map(Key::verifier)
            .any(|known| known.same_key(&verifier));
        ensure!(
            !twice,
            "{}: one key is given twice; it would count once",
            path.display()
        );
        keys.push(public.key);
    }
    Ok(keys)
}

/// Reads a small JSON file.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let at = || format!("can not read {}", path.display());
    ensure!(
        fs::metadata(path).with_context(at)?.len() <= MAX_FILE,
        "{} is too large",
        path.display()
    );
    serde_json::from_slice(&fs::read(path).with_context(at)?).with_context(at)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use ring::rand::SystemRandom;

    use super::*;

    #[test]
    fn a_private_key_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.pem");
        let (der, key) = SigningKey::generate(&SystemRandom::new()).unwrap();
        write_private(&path, &der).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read_private(&path).unwrap().id(), key.id());
        assert!(write_private(&path, &der).is_err(), "it was overwritten");
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(read_private(&path).unwrap_err().to_string().contains("chmod 600"));
        }
    }

    #[test]
    fn one_key_is_not_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (_, key) = SigningKey::generate(&SystemRandom::new()).unwrap();
        let public = PublicKey {
            keyid: key.id().clone(),
            owner: None,
            key: key.public().clone(),
        };
        let (a, b) = (dir.path().join("a.pub"), dir.path().join("b.pub"));
        write_public(&a, &public).unwrap();
        write_public(&b, &public).unwrap();
        assert_eq!(read_public(std::slice::from_ref(&a)).unwrap().len(), 1);
        assert!(read_public(&[a, b]).is_err());
    }
}
