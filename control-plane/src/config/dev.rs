//! What `--dev` makes for itself: keys below the state directory, readable by their owner only.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::{SecureRandom as _, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair as _},
};

use super::ConfigError;

/// The DER that goes before an Ed25519 public key in a `SubjectPublicKeyInfo` (RFC 8410 section 4).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The key that `dev-token` signs with, made at first use.
///
/// # Errors
/// When the state directory can not be written or what lies there is no key.
pub fn signing_key(state_dir: &Path) -> Result<Ed25519KeyPair, ConfigError> {
    let path = state_dir.join("dev-jwt-key.hex");
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    let text = read_or_make(&path)?;
    hex::decode_to_slice(text.trim(), &mut *seed).map_err(|_| broken(&path))?;
    Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| broken(&path))
}

/// Its public half, PEM.
///
/// # Errors
/// As [`signing_key`].
pub fn public_key_pem(state_dir: &Path) -> Result<String, ConfigError> {
    let key = signing_key(state_dir)?;
    let der = [&ED25519_SPKI_PREFIX, key.public_key().as_ref()].concat();
    Ok(format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(der)
    ))
}

/// The key of the plugin secrets' hashes, made at first use, hexadecimal.
///
/// # Errors
/// As [`signing_key`].
pub fn secret_key_hex(state_dir: &Path) -> Result<String, ConfigError> {
    read_or_make(&state_dir.join("dev-secret-key.hex"))
}

fn read_or_make(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        read => return read.map_err(unreadable),
    }
    let mut random = [0; 32];
    SystemRandom::new().fill(&mut random).map_err(|_| broken(path))?;
    let text = hex::encode(random);
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(unreadable)?;
    }
    // Written beside and linked into place, so that another process never sees half a key.
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(unreadable)?;
    file.write_all(text.as_bytes()).map_err(unreadable)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(unreadable)?;
    match linked {
        Ok(()) => Ok(text),
        // Another process was first: its key counts.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => fs::read_to_string(path).map_err(unreadable),
        Err(error) => Err(unreadable(error)),
    }
}

fn broken(path: &Path) -> ConfigError {
    ConfigError::Invalid {
        name: "PLUGMEND_STATE_DIR",
        why: format!(
            "{} is not a key that --dev made; remove it to have a new one",
            path.display()
        ),
    }
}
