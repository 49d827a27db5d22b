//! Signed heads of the tree: a checkpoint of C2SP tlog-checkpoint, signed as a C2SP signed-note with Ed25519.
//!
//! ```text
//! plugmend.example/audit
//! 42
//! <root, Base64>
//! time 2026-11-22T20:00:00Z
//!
//! — plugmend.example/audit <key id and signature, Base64>
//! ```

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use ring::signature::{self, Ed25519KeyPair, KeyPair as _};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::ids::Digest;

/// The longest note that is read, in bytes.
pub const MAX_NOTE: usize = 1024;
/// Ed25519, in the first byte of a note's key (C2SP signed-note).
const ED25519: u8 = 1;
const TIME: &str = "time ";

/// A head of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// When it was signed.
    pub at: Timestamp,
}

/// The public half of a log's key, as it is given to those who verify: `<origin>+<key id>+<Base64>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    origin: String,
    public: [u8; 32],
}

/// Why a note or a key is not taken.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum CheckpointError {
    /// Not the shape of a checkpoint.
    #[error("not a signed checkpoint: {0}")]
    Shape(&'static str),
    /// Signed by another key, or changed.
    #[error("the checkpoint is not signed by this log's key, or was changed")]
    Signature,
    /// Not the shape of a key.
    #[error("not a key of an audit log (<name>+<key id>+<Base64>)")]
    Key,
}

impl LogKey {
    /// The key that a pair signs with.
    ///
    /// # Errors
    /// When the pair is no Ed25519 pair.
    pub fn of(origin: &str, pair: &Ed25519KeyPair) -> Result<Self, CheckpointError> {
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| CheckpointError::Key)?;
        Ok(Self {
            origin: origin.to_owned(),
            public,
        })
    }

    /// Which log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    fn id(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(&self.origin)
            .chain_update([b'\n', ED25519])
            .chain_update(self.public)
            .finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519][..], &self.public].concat());
        write!(f, "{}+{}+{key}", self.origin, hex::encode(self.id()))
    }
}

impl FromStr for LogKey {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(origin), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(CheckpointError::Key);
        };
        let bytes = STANDARD.decode(key).map_err(|_| CheckpointError::Key)?;
        let [ED25519, public @ ..] = bytes.as_slice() else {
            return Err(CheckpointError::Key);
        };
        let key = Self {
            origin: origin.to_owned(),
            public: public.try_into().map_err(|_| CheckpointError::Key)?,
        };
        if hex::encode(key.id()) == id {
            Ok(key)
        } else {
            Err(CheckpointError::Key)
        }
    }
}

impl Checkpoint {
    /// Signs it.
    ///
    /// # Errors
    /// When the pair is no Ed25519 pair.
    pub fn sign(&self, pair: &Ed25519KeyPair) -> Result<String, CheckpointError> {
        let text = self.text();
        let id = LogKey::of(&self.origin, pair)?.id();
        let signed = [&id[..], pair.sign(text.as_bytes()).as_ref()].concat();
        Ok(format!(
            "{text}\n\u{2014} {} {}\n",
            self.origin,
            STANDARD.encode(signed)
        ))
    }

    fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n{TIME}{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.0),
            self.at
        )
    }

    /// Reads a note without asking who signed it: enough to compare sizes, never to trust.
    ///
    /// # Errors
    /// When it has not the shape of one.
    pub fn read_unverified(note: &str) -> Result<Self, CheckpointError> {
        Self::split(note).map(|(checkpoint, ..)| checkpoint)
    }

    /// Reads a note that this key signed.
    ///
    /// # Errors
    /// When it has not the shape of one, or the signature is not the key's.
    pub fn verify(note: &str, key: &LogKey) -> Result<Self, CheckpointError> {
        let (checkpoint, text, signatures) = Self::split(note)?;
        if checkpoint.origin != key.origin {
            return Err(CheckpointError::Signature);
        }
        let prefix = format!("\u{2014} {} ", key.origin);
        let public = signature::UnparsedPublicKey::new(&signature::ED25519, key.public);
        // Others may have signed beside it; their lines mean nothing here.
        let good = signatures
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .any(|line| {
                let bytes = STANDARD.decode(line).unwrap_or_default();
                let signed = bytes.strip_prefix(&key.id());
                signed.is_some_and(|signature| public.verify(text.as_bytes(), signature).is_ok())
            });
        if good {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Signature)
        }
    }

    fn split(note: &str) -> Result<(Self, &str, &str), CheckpointError> {
        if note.len() > MAX_NOTE {
            return Err(CheckpointError::Shape("it is longer than 1,024 bytes"));
        }
        let end = note.find("\n\n").ok_or(CheckpointError::Shape("it has no signature"))?;
        let (text, signatures) = (&note[..=end], &note[end + 2..]);
        let mut lines = text.lines();
        let mut line = |what| lines.next().ok_or(CheckpointError::Shape(what));
        let origin = line("it names no log")?;
        let size = line("it has no size")?;
        let root = STANDARD.decode(line("it has no root")?).unwrap_or_default();
        let at = line("it has no time")?.strip_prefix(TIME).unwrap_or_default();
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size
                .parse()
                .map_err(|_| CheckpointError::Shape("its size is no number"))?,
            root: Digest(
                root.try_into()
                    .map_err(|_| CheckpointError::Shape("its root is no hash"))?,
            ),
            at: at
                .parse()
                .map_err(|_| CheckpointError::Shape("its time can not be read"))?,
        };
        // One spelling only: what was signed is what was read.
        if checkpoint.text() == text {
            Ok((checkpoint, text, signatures))
        } else {
            Err(CheckpointError::Shape("it is not written as checkpoints are"))
        }
    }
}

/// The notes of a file of checkpoints, one after the other as they are appended. What is cut off at its end is left
/// out.
pub fn notes(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut note = String::new();
    for line in text.split_inclusive('\n') {
        note.push_str(line);
        if line.starts_with('\u{2014}') && line.ends_with('\n') {
            out.push(std::mem::take(&mut note));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::rand::SystemRandom;

    use super::*;

    fn pair() -> Ed25519KeyPair {
        let bytes = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Ed25519KeyPair::from_pkcs8(bytes.as_ref()).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: "shop.example/audit".to_owned(),
            size: 42,
            root: Digest::of(b"root"),
            at: Timestamp::from_second(1_800_000_000).unwrap(),
        }
    }

    #[test]
    fn a_checkpoint_is_believed_from_its_own_log_and_unchanged_only() {
        let (ours, theirs) = (pair(), pair());
        let note = checkpoint().sign(&ours).unwrap();
        let key = LogKey::of("shop.example/audit", &ours).unwrap();
        assert_eq!(Checkpoint::verify(&note, &key).unwrap(), checkpoint());
        let other = LogKey::of("shop.example/audit", &theirs).unwrap();
        assert_eq!(Checkpoint::verify(&note, &other), Err(CheckpointError::Signature));
        let elsewhere = LogKey::of("other.example/audit", &ours).unwrap();
        assert_eq!(Checkpoint::verify(&note, &elsewhere), Err(CheckpointError::Signature));
        for (was, is) in [
            ("\n42\n", "\n41\n"),
            ("\n42\n", "\n042\n"),
            ("2027", "2028"),
            ("time ", "tide "),
        ] {
            let changed = note.replace(was, is);
            assert_ne!(changed, note);
            assert!(Checkpoint::verify(&changed, &key).is_err(), "{is}");
        }
        assert!(Checkpoint::verify(&"x".repeat(2000), &key).is_err());
    }

    #[test]
    fn a_key_survives_writing_and_reading() {
        let key = LogKey::of("shop.example/audit", &pair()).unwrap();
        assert_eq!(key.to_string().parse::<LogKey>().unwrap(), key);
        for wrong in ["", "a+b", "a+00000000+AAAA"] {
            assert_eq!(wrong.parse::<LogKey>(), Err(CheckpointError::Key), "{wrong}");
        }
    }

    #[test]
    fn a_file_that_was_cut_off_gives_what_is_whole() {
        let note = checkpoint().sign(&pair()).unwrap();
        let file = format!("{note}{note}{}", &note[..note.len() - 5]);
        assert_eq!(notes(&file), [note.clone(), note]);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_stumble(text in ".{0,200}") {
            let _refused_or_not = Checkpoint::read_unverified(&text);
            let _few = notes(&text);
        }
    }
}
