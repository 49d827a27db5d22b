//! Fetching: the manifest, then what this host has not. A delta pack when there is one from what runs, else blocks,
//! else the frames that are missing; what came in before a restart is not fetched again.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use plugmend_shared::{
    bundle::{
        contents::Content,
        delta::{Delta, DeltaError},
        limits::MAX_DELTA_BYTES,
        manifest::Manifest,
        pack::{FetchRange, PackError, PackIndex, Unpacker, plan},
    },
    ids::Digest,
    tuf::product::{SignedRelease, SignedTarget},
};

use super::{
    Engine, ProgressSink, chain,
    contents::{Incoming, Index, io_error, io_failure, is_no_space, write_manifest},
    fs_failure,
};
use crate::{
    domain::change::{Change, ChangeKind, Failure},
    platform::{beneath::Dir, durable},
    upstream::repo::{RepoError, Transport},
};

/// How much is asked for at once: what is lost when the connection breaks.
const PIECE: u64 = 512 * 1024;
/// Ranges above this are kept on disk as they come, so that a restart goes on in the middle.
const KEEP_ABOVE: u64 = 1024 * 1024;

impl<T: Transport> Engine<T> {
    pub(super) async fn fetch(&mut self, change: &Change, sink: &dyn ProgressSink) -> Result<(), Failure> {
        if change.kind == ChangeKind::Config || change.waiting.is_some() {
            return Ok(());
        }
        let digest = change
            .digest
            .ok_or_else(|| Failure::lasting("no_digest", "the order names no release"))?;
        let release = self
            .repository
            .release_by_digest(&digest)
            .map_err(|e| repo_failure(&e))?
            .cloned();
        let release =
            release.ok_or_else(|| Failure::lasting("not_signed", "the release is no longer among the signed ones"))?;
        crash_point!("engine.fetch.begin");
        let (manifest, delta) = self.get_manifest(change, &release).await?;
        self.judge_manifest(change, &digest, &manifest)?;
        let active = self.layout().active().map_err(|e| super::swap_failure(&e))?;
        // What runs is what a delta pack and blocks build on.
        let from = change
            .from
            .digest
            .map(|digest| self.manifest(&digest))
            .transpose()?
            .flatten();
        let manifests: Vec<&Manifest> = [&manifest]
            .into_iter()
            .chain(from.as_ref().map(|(from, _)| from))
            .collect();
        let index = Index::read(active.dir, &self.ledger.preserved, &manifests).map_err(|e| fs_failure(&e))?;
        let mut incoming = Incoming::open(&self.site.work, &digest).map_err(|e| fs_failure(&e))?;
        let here = incoming.recheck().map_err(|e| fs_failure(&e))?;
        self.check_room(&manifest, &index, here)?;
        if let Some(delta) = delta {
            match self.unpack_delta(&delta, change, &index, &mut incoming) {
                Ok(()) => {}
                Err(DeltaError::Io(e)) if is_no_space(&e) => return Err(io_failure(&e)),
                Err(e) => tracing::info!(error = chain(&e), "the delta pack does not help here; fetching frames"),
            }
        }
        let all_here = |incoming: &Incoming| {
            let contents = manifest.contents();
            contents.iter().all(|c| index.has(&c.digest) || incoming.has(&c.digest))
        };
        if all_here(&incoming) {
            return Ok(());
        }
        self.contents_by_blocks(change, (&release, &manifest), &index, &mut incoming)
            .await?;
        if all_here(&incoming) {
            return Ok(());
        }
        self.fetch_frames(&release, &manifest, &index, &mut incoming, (change, sink))
            .await
    }

    /// The manifest, and the delta pack that it came with.
    async fn get_manifest(
        &mut self,
        change: &Change,
        release: &SignedRelease,
    ) -> Result<(Manifest, Option<Vec<u8>>), Failure> {
        let kept = self.manifest(&release.digest)?;
        let delta = self.get_delta(change, release).await?;
        if let Some((manifest, _)) = kept {
            return Ok((manifest, delta));
        }
        let from = change
            .from
            .digest
            .map(|digest| self.manifest(&digest))
            .transpose()?
            .flatten();
        if let (Some(bytes), Some((from, from_bytes))) = (&delta, &from) {
            match Delta::open(bytes, (from, from_bytes), &release.digest) {
                Ok(opened) => {
                    let (manifest, manifest_bytes) = opened.into_manifest();
                    write_manifest(&self.state, &release.digest, &manifest_bytes)?;
                    return Ok((manifest, delta));
                }
                Err(e) => tracing::info!(error = chain(&e), "the delta pack is refused; fetching the manifest"),
            }
        }
        if let Some((_, from_bytes)) = from
            && let Some(manifest) = self.manifest_by_blocks(release, from_bytes).await?
        {
            return Ok((manifest, None));
        }
        Ok((self.fetch_manifest(release).await?, None))
    }

    /// The manifest itself, checked and kept.
    pub(super) async fn fetch_manifest(&mut self, release: &SignedRelease) -> Result<Manifest, Failure> {
        let bytes = self
            .repository
            .fetch_target(&release.manifest)
            .await
            .map_err(|e| repo_failure(&e))?;
        self.count(bytes.len() as u64);
        let (manifest, bytes) =
            Manifest::parse_compressed(&bytes).map_err(|e| Failure::lasting("bad_manifest", chain(&e)))?;
        if Digest::of(&bytes) != release.digest || manifest.version != release.version {
            return Err(Failure::lasting(
                "bad_manifest",
                "the manifest is not the one that was signed",
            ));
        }
        write_manifest(&self.state, &release.digest, &bytes)?;
        Ok(manifest)
    }

    /// The delta pack from what runs, when there is one; kept, so that a restart has it.
    async fn get_delta(&mut self, change: &Change, release: &SignedRelease) -> Result<Option<Vec<u8>>, Failure> {
        let target = change.from.digest.and_then(|from| release.deltas.get(&from.short()));
        let Some(target) = target.filter(|target| target.file.length <= MAX_DELTA_BYTES) else {
            return Ok(None);
        };
        let incoming = Incoming::open(&self.site.work, &release.digest).map_err(|e| fs_failure(&e))?;
        let place = Path::new("delta");
        let kept = durable::read_bounded(&incoming.dir, place, MAX_DELTA_BYTES).map_err(|e| fs_failure(&e))?;
        if let Some(kept) = kept.filter(|bytes| target.file.check(bytes).is_ok()) {
            return Ok(Some(kept));
        }
        match self.repository.fetch_target(target).await {
            Ok(bytes) => {
                self.count(bytes.len() as u64);
                durable::write_atomic(&incoming.dir, place, &bytes, 0o600).map_err(|e| fs_failure(&e))?;
                Ok(Some(bytes))
            }
            Err(e) if e.is_transient() => Err(repo_failure(&e)),
            Err(e) => {
                tracing::info!(error = chain(&e), "the delta pack did not come; fetching frames");
                Ok(None)
            }
        }
    }

    fn unpack_delta(
        &self,
        bytes: &[u8],
        change: &Change,
        index: &Index,
        incoming: &mut Incoming,
    ) -> Result<(), DeltaError> {
        let from = change
            .from
            .digest
            .and_then(|digest| self.manifest(&digest).ok().flatten());
        let (from, from_bytes) = from.ok_or(DeltaError::Damaged)?;
        let to = change.digest.ok_or(DeltaError::OtherRelease)?;
        let delta = Delta::open(bytes, (&from, &from_bytes), &to)?;
        delta.unpack(&mut |content: &Content| index.content(content), incoming)
    }

    async fn fetch_frames(
        &mut self,
        release: &SignedRelease,
        manifest: &Manifest,
        index: &Index,
        incoming: &mut Incoming,
        (change, sink): (&Change, &dyn ProgressSink),
    ) -> Result<(), Failure> {
        let pack = self.pack_index(release, manifest).await?;
        let ranges = plan(&pack, &|digest| index.has(digest) || incoming.has(digest));
        let all: u64 = ranges.iter().map(FetchRange::len).sum();
        let mut done = 0;
        for range in ranges {
            self.fetch_one(&release.pack, &pack, &range, incoming).await?;
            done += range.len();
            sink.progress(change.command, "fetch", "fetching", Some(share(done, all)));
        }
        Ok(())
    }

    async fn pack_index(&mut self, release: &SignedRelease, manifest: &Manifest) -> Result<PackIndex, Failure> {
        let length = release.pack.file.length;
        let mut tail = PackIndex::tail_hint(manifest).min(length);
        for _ in 0..3 {
            let bytes = self.get_range(&release.pack, length - tail, length).await?;
            match PackIndex::parse(&bytes, length, manifest) {
                Ok(index) => return Ok(index),
                Err(PackError::TailTooShort { needed }) if needed <= length => tail = needed,
                Err(e) => return Err(Failure::lasting("bad_pack", chain(&e))),
            }
        }
        Err(Failure::lasting(
            "bad_pack",
            "the pack's index does not fit its own length",
        ))
    }

    async fn fetch_one(
        &mut self,
        target: &SignedTarget,
        pack: &PackIndex,
        range: &FetchRange,
        incoming: &mut Incoming,
    ) -> Result<(), Failure> {
        let mut unpacker = Unpacker::new(pack, range).map_err(|e| pack_failure(&e))?;
        let spool = (range.len() > KEEP_ABOVE).then(|| PathBuf::from(format!("range-{}", range.bytes.start)));
        if let Some(path) = &spool
            && let Err(e) = replay(path, range.len(), &mut unpacker, incoming)
        {
            // A torn copy, or no file of ours at all: from the start again.
            tracing::info!(error = chain(&e), "a range that was half fetched is fetched anew");
            remove(&incoming.dir, path);
            unpacker = Unpacker::new(pack, range).map_err(|e| pack_failure(&e))?;
        }
        while unpacker.missing() > 0 {
            let from = range.bytes.end - unpacker.missing();
            let bytes = self.get_range(target, from, range.bytes.end.min(from + PIECE)).await?;
            if let Some(path) = &spool {
                let mut file = incoming.dir.append_file(path, 0o600).map_err(|e| fs_failure(&e))?;
                file.write_all(&bytes).map_err(|e| io_failure(&e))?;
            }
            crash_point!("engine.fetch.piece");
            if let Err(e) = unpacker.push(&bytes, incoming) {
                spool.as_ref().inspect(|path| remove(&incoming.dir, path));
                return Err(pack_failure(&e));
            }
        }
        spool.as_ref().inspect(|path| remove(&incoming.dir, path));
        unpacker.finish().map_err(|e| pack_failure(&e))
    }

    pub(super) async fn get_range(
        &mut self,
        target: &SignedTarget,
        from: u64,
        to: u64,
    ) -> Result<bytes::Bytes, Failure> {
        // Over a slow line this goes on for long.
        if let Some(open) = &self.ledger.transaction
            && let Some(failure) = self.left(&open.change, &open.stage)
        {
            return Err(failure);
        }
        let bytes = self
            .repository
            .fetch_range(target, from..to)
            .await
            .map_err(|e| repo_failure(&e))?;
        self.count(bytes.len() as u64);
        Ok(bytes)
    }

    fn count(&mut self, bytes: u64) {
        let count = match &mut self.ledger.transaction {
            Some(open) => &mut open.bytes_fetched,
            None => &mut self.fetched_before,
        };
        *count = count.saturating_add(bytes);
    }
}

/// Gives the unpacker what an earlier life fetched of a range.
fn replay(path: &Path, length: u64, unpacker: &mut Unpacker<'_>, incoming: &mut Incoming) -> Result<(), PackError> {
    let mut file = match incoming.dir.open_file(path) {
        Ok(file) => file.take(length),
        Err(e) if e.is_missing() => return Ok(()),
        Err(e) => return Err(PackError::Io(io_error(e))),
    };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        unpacker.push(buffer.get(..n).unwrap_or_default(), incoming)?;
    }
}

fn remove(dir: &Dir, path: &Path) {
    // It is in a folder that is deleted as a whole in the end.
    let _ = dir.remove_file(path);
}

fn pack_failure(error: &PackError) -> Failure {
    match error {
        PackError::Io(e) => io_failure(e),
        _ => Failure::passing("bad_pack", chain(error)),
    }
}

pub(super) fn repo_failure(error: &RepoError) -> Failure {
    if error.is_transient() {
        Failure::passing("unreachable", chain(error))
    } else {
        Failure::lasting("repository", chain(error))
    }
}

fn share(done: u64, all: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let share = done as f64 / all.max(1) as f64;
    share.min(1.0)
}
