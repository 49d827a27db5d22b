//! The key that the audit trail's checkpoints are signed with: Ed25519, PKCS#8 in PEM, 0600.

use std::{io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{rand::SecureRandom, signature::Ed25519KeyPair};
use zeroize::Zeroizing;

use super::secret_file;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Reads `key.pem` of a folder.
///
/// # Errors
/// When there is none, others can read it, or it is no Ed25519 key.
pub fn load(dir: &Path) -> io::Result<Ed25519KeyPair> {
    read(&secret_file::read(&dir.join("key.pem"))?)
}

/// Reads `key.pem` of a folder; it is made on the spot when there is none. Replicas share it.
///
/// # Errors
/// When others can read it, it is no Ed25519 key, or it can not be made.
pub fn load_or_make(dir: &Path, random: &dyn SecureRandom) -> io::Result<Ed25519KeyPair> {
    let path = dir.join("key.pem");
    match secret_file::read(&path) {
        Ok(pem) => read(&pem),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let der = Ed25519KeyPair::generate_pkcs8(random).map_err(|_| io::Error::other("no randomness"))?;
            let text = Zeroizing::new(format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der.as_ref())));
            match secret_file::create(&path, text.as_bytes(), 0o600) {
                // Whoever was faster made the key that counts.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(&secret_file::read(&path)?),
                made => made.and_then(|()| read(&text)),
            }
        }
        Err(error) => Err(error),
    }
}

fn read(pem: &str) -> io::Result<Ed25519KeyPair> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "no Ed25519 key in PKCS#8 PEM");
    let body = pem.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let body: String = body.ok_or_else(wrong)?.split_whitespace().collect();
    let der = Zeroizing::new(STANDARD.decode(body).map_err(|_| wrong())?);
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| wrong())
}
