//! Gives entries of the audit trail their places, signs the head of the tree, and keeps what was signed outside of the
//! database as well.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use jiff::Timestamp;
use plugmend_shared::audit::{
    checkpoint::{Checkpoint, CheckpointError, LogKey, notes},
    merkle::Tree,
    verify::BATCH,
};
use ring::signature::Ed25519KeyPair;
use serde_json::json;
use thiserror::Error;

use crate::{
    domain::event::{Event, EventKind},
    store::{Db, StoreError, Tx, audit_chain, outbox},
};

/// Checkpoints that are copied to the file at once.
const COPIED_AT_ONCE: i64 = 1000;
/// At this size, in bytes, the file of checkpoints is put aside under a name of its own, and a new one is begun: some
/// 300,000 checkpoints, two weeks of the busiest fleet.
const ROLL: u64 = 64 * 1024 * 1024;

/// Why nothing was sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// The file knows more than the database: entries were removed, or a backup was restored.
    #[error(
        "the audit trail has {has} sealed entries, but {path} has witnessed {witnessed}: entries were removed, or the \
         database was restored from a backup. Nothing is signed until that is cleared up; 'plugmend audit verify' says \
         more. After a restore that people know of, move the file away"
    )]
    Behind {
        /// Entries in the database.
        has: u64,
        /// Entries in the newest checkpoint of the file.
        witnessed: u64,
        /// The file.
        path: PathBuf,
    },
    /// The newest checkpoint is another key's.
    #[error("the newest checkpoint is not signed by this process' key; replicas have to share {0}")]
    OtherKey(PathBuf),
    /// A checkpoint can not be made.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The file can not be read or written.
    #[error("the file of checkpoints {path} can not be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Signs heads of the tree.
pub struct Sealer {
    db: Db,
    origin: String,
    pair: Ed25519KeyPair,
    key: LogKey,
    dir: PathBuf,
}

impl Sealer {
    /// For the log `origin`, with its key, and the folder where key and checkpoints lie.
    ///
    /// # Errors
    /// When the key is no Ed25519 key.
    pub fn new(db: Db, origin: &str, pair: Ed25519KeyPair, dir: &Path) -> Result<Self, CheckpointError> {
        Ok(Self {
            db,
            origin: origin.to_owned(),
            key: LogKey::of(origin, &pair)?,
            pair,
            dir: dir.to_owned(),
        })
    }

    /// What checkpoints are verified with.
    pub fn key(&self) -> &LogKey {
        &self.key
    }

    /// The file of checkpoints.
    pub fn file(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    /// Gives the entries that wait their places, a bounded number at once, signs the new head, and brings the file up to
    /// date. Among replicas one does so at a time. Answers how many entries, and whether there may be more.
    ///
    /// # Errors
    /// When the file has witnessed more than there is, or something fails; nothing is signed then.
    pub async fn seal(&self, now: Timestamp) -> Result<(u64, bool), SealError> {
        let witnessed = self.witnessed()?;
        let sealed = self.seal_waiting(witnessed, now).await?;
        self.copy_to_file(witnessed).await?;
        Ok((sealed, sealed >= BATCH))
    }

    async fn seal_waiting(&self, witnessed: u64, now: Timestamp) -> Result<u64, SealError> {
        let mut tx = self.db.begin().await?;
        if !audit_chain::become_sealer(&mut tx).await? {
            return Ok(0);
        }
        let mut tree = self.tree(&mut tx).await?;
        if tree.size() < witnessed {
            return Err(SealError::Behind {
                has: tree.size(),
                witnessed,
                path: self.file(),
            });
        }
        let waiting = audit_chain::waiting(&mut tx, i64::try_from(BATCH).unwrap_or(i64::MAX)).await?;
        if waiting.is_empty() {
            // At once, and not when the connection is next used: the turn goes to whoever asks then.
            tx.rollback().await.map_err(StoreError::from)?;
            return Ok(0);
        }
        let first = tree.size();
        let numbers: Vec<i64> = waiting.iter().map(|(number, ..)| *number).collect();
        let mut leaves = Vec::with_capacity(waiting.len());
        for (_, id, entry) in &waiting {
            // One that was removed while it waited was never witnessed: nothing can be said of it.
            let Some(entry) = entry else {
                tracing::error!(entry = %id, "an entry was removed from the audit trail before it was sealed");
                continue;
            };
            let leaf = entry.leaf().map_err(|e| StoreError::corrupt("entry of the audit", e))?;
            tree.push(leaf);
            leaves.push((*id, leaf));
        }
        audit_chain::place(&mut tx, first, &leaves, &numbers).await?;
        if !leaves.is_empty() {
            let checkpoint = Checkpoint {
                origin: self.origin.clone(),
                size: tree.size(),
                root: tree.root(),
                at: now,
            };
            audit_chain::checkpoint(&mut tx, &checkpoint.sign(&self.pair)?, &tree, now).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(leaves.len() as u64)
    }

    /// The tree as it was last signed. What was not signed by this log's key is not built upon.
    async fn tree(&self, tx: &mut Tx) -> Result<Tree, SealError> {
        let Some(newest) = audit_chain::newest(tx).await? else {
            return Ok(Tree::default());
        };
        let checkpoint =
            Checkpoint::verify(&newest.note, &self.key).map_err(|_| SealError::OtherKey(self.dir.join("key.pem")))?;
        if checkpoint.size != newest.tree.size() || checkpoint.root != newest.tree.root() {
            return Err(StoreError::corrupt("checkpoint", "its tree is not the one that was signed").into());
        }
        Ok(newest.tree)
    }

    /// How many entries the newest checkpoint outside covers. A file that has just been begun says nothing yet: then
    /// the one that was put aside last does.
    fn witnessed(&self) -> Result<u64, SealError> {
        let path = self.file();
        match self.newest_in(&path) {
            Ok(0) => {
                let aside = put_aside(&path).map_err(|source| SealError::File { path, source })?;
                let Some(path) = aside else { return Ok(0) };
                self.newest_in(&path).map_err(|source| SealError::File { path, source })
            }
            Ok(size) => Ok(size),
            Err(source) => Err(SealError::File { path, source }),
        }
    }

    fn newest_in(&self, path: &Path) -> io::Result<u64> {
        match tail(path) {
            Ok(text) => {
                let good = |note: &String| Checkpoint::verify(note, &self.key).ok();
                Ok(notes(&text).iter().rev().find_map(good).map_or(0, |newest| newest.size))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    async fn copy_to_file(&self, witnessed: u64) -> Result<(), SealError> {
        let missing = audit_chain::notes_after(&self.db, witnessed, COPIED_AT_ONCE).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let path = self.file();
        roll(&path, witnessed)
            .and_then(|()| append(&path, &missing.concat()))
            .map_err(|source| SealError::File { path, source })
    }
}

/// Puts a file that has grown large aside, as `checkpoints.<entries it has witnessed>`.
fn roll(path: &Path, witnessed: u64) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(file) if file.len() >= ROLL => fs::rename(path, path.with_extension(witnessed.to_string())),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The file that was put aside last, if any.
fn put_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    let Some(dir) = path.parent() else { return Ok(None) };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in entries {
        let found = entry?.path();
        let size = found.extension().and_then(|number| number.to_str()?.parse().ok());
        let Some(size) = size.filter(|_| found.file_stem() == path.file_name()) else {
            continue;
        };
        if newest.as_ref().is_none_or(|(known, _)| size > *known) {
            newest = Some((size, found));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// The end of a file, in bytes: enough for the newest checkpoints.
const TAIL: u64 = 16 * 1024;

/// The end of a file.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let bytes = tail_of(&mut file)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // What stands before the first signature may be the rest of a note.
    let rest = text
        .find(SIGNATURE)
        .and_then(|at| text[at..].find('\n').map(|end| at + end + 1));
    let is_whole = (bytes.len() as u64) < TAIL;
    Ok(text[rest.filter(|_| !is_whole).unwrap_or(0)..].to_owned())
}

/// What the last line of a note begins with.
const SIGNATURE: char = '\u{2014}';

fn tail_of(file: &mut fs::File) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Appends notes. What a crash has left of one at the end goes first, or the next could not be read.
fn append(path: &Path, text: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let bytes = tail_of(&mut file)?;
    let rest = bytes.len() - whole(&bytes);
    if rest > 0 {
        file.set_len(file.metadata()?.len() - rest as u64)?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// How many bytes there are up to the end of the last whole note.
fn whole(bytes: &[u8]) -> usize {
    let mut sign = [0; 4];
    let sign = SIGNATURE.encode_utf8(&mut sign).as_bytes();
    let mut end = 0;
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if line.starts_with(sign) && line.ends_with(b"\n") {
            end = at;
        }
    }
    end
}

/// The newest checkpoint, for agents to witness, and what they say they hold.
#[derive(Debug, Clone, Default)]
pub struct NewestCheckpoint {
    key: Option<LogKey>,
    known: Arc<RwLock<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    note: Option<Arc<str>>,
    size: u64,
    /// The largest that somebody held beyond that, and of which ops were told.
    told: u64,
}

impl NewestCheckpoint {
    /// With the log's key, when it is at hand: without it, nothing that agents hold is believed.
    pub fn new(key: Option<LogKey>) -> Self {
        Self {
            key,
            known: Arc::default(),
        }
    }

    /// As it was signed; none before the first.
    pub fn note(&self) -> Option<Arc<str>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).note.clone()
    }

    /// Hears what an agent holds. Ops are told when it has been signed by this log and has more entries than there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn heard(&self, db: &Db, held: &str) -> Result<(), StoreError> {
        let Ok(claimed) = Checkpoint::read_unverified(held) else {
            return Ok(());
        };
        let is_beyond = || {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            claimed.size > known.size && claimed.size > known.told
        };
        // Cheap for every heartbeat but those that matter.
        let Some(key) = self.key.as_ref().filter(|_| is_beyond()) else {
            return Ok(());
        };
        if Checkpoint::verify(held, key).is_err() {
            return Ok(());
        }
        // It may be newer by a moment than what is known here.
        self.refresh(db).await?;
        if !is_beyond() {
            return Ok(());
        }
        let has = self.known.read().unwrap_or_else(PoisonError::into_inner).size;
        tracing::error!(
            has,
            witnessed = claimed.size,
            "an agent witnesses audit entries that are gone"
        );
        let mut tx = db.begin().await?;
        let event = Event {
            kind: EventKind::AuditContradicted,
            merchant_id: None,
            plugin_id: None,
            data: json!({ "sealed_entries": has, "witnessed_entries": claimed.size, "checkpoint": held }),
        };
        outbox::put(&mut tx, &event).await?;
        tx.commit().await?;
        // Not before: two events do less harm than none.
        self.known.write().unwrap_or_else(PoisonError::into_inner).told = claimed.size;
        Ok(())
    }

    /// Reads it from the database.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refresh(&self, db: &Db) -> Result<(), StoreError> {
        let note = audit_chain::newest_note(db).await?;
        let size = note.as_deref().and_then(|note| Checkpoint::read_unverified(note).ok());
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.size = size.map_or(0, |checkpoint| checkpoint.size);
        known.note = note.map(Arc::from);
        Ok(())
    }
}
