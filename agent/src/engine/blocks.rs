//! Fetching without a delta: a manifest and contents from pieces of what runs, and the blocks that are new.

use std::io;

use plugmend_shared::{
    bundle::{
        blocks::{Gathering, Lacking},
        contents::{Content, ContentSink as _},
        manifest::Manifest,
        release,
    },
    ids::Digest,
    tuf::product::{SignedRelease, SignedTarget},
};

use super::{
    Engine, chain,
    contents::{Incoming, Index, io_failure, write_manifest},
};
use crate::{
    domain::change::{Change, Failure},
    upstream::repo::Transport,
};

impl<T: Transport> Engine<T> {
    /// The release's manifest from the `installed` one's bytes, checked and kept; `None` when it is to be fetched whole.
    pub(super) async fn manifest_by_blocks(
        &mut self,
        release: &SignedRelease,
        installed: Vec<u8>,
    ) -> Result<Option<Manifest>, Failure> {
        let Some(target) = &release.blocks else {
            return Ok(None);
        };
        let name = (release.digest, release.manifest_size);
        let gathering = Gathering::manifest(target.file.length, name, installed, release.manifest.file.length);
        let Some((_, bytes)) = self.gather(target, gathering).await?.pop() else {
            return Ok(None);
        };
        let product = &self.options.product;
        match release::named_manifest(product, release, &bytes) {
            Ok(manifest) => {
                write_manifest(&self.state, &release.digest, &bytes)?;
                Ok(Some(manifest))
            }
            Err(e) => Err(Failure::lasting("bad_manifest", chain(&e))),
        }
    }

    /// Brings in the contents that blocks are good for; the others are left to the frames.
    pub(super) async fn contents_by_blocks(
        &mut self,
        change: &Change,
        (release, manifest): (&SignedRelease, &Manifest),
        index: &Index,
        incoming: &mut Incoming,
    ) -> Result<(), Failure> {
        let installed = change.from.digest.map(|digest| self.manifest(&digest)).transpose()?;
        let (Some(target), Some((from, _))) = (&release.blocks, installed.flatten()) else {
            return Ok(());
        };
        let lacking = Lacking {
            to: manifest,
            manifest_size: release.manifest_size,
            from: &from,
        };
        let gathering = Gathering::contents(
            target.file.length,
            lacking,
            &|digest| index.has(digest) || incoming.has(digest),
            &mut |content| index.content(content),
        );
        for (digest, bytes) in self.gather(target, gathering).await? {
            accept(incoming, digest, &bytes).map_err(|e| io_failure(&e))?;
        }
        Ok(())
    }

    /// What comes together. A repository that gives no such ranges costs the blocks and nothing else.
    async fn gather(
        &mut self,
        target: &SignedTarget,
        mut gathering: Gathering,
    ) -> Result<Vec<(Digest, Vec<u8>)>, Failure> {
        let mut came = Vec::new();
        loop {
            let ranges = gathering.step(&came);
            if ranges.is_empty() {
                return Ok(gathering.finish());
            }
            came.clear();
            for range in ranges {
                match self.get_range(target, range.start, range.end).await {
                    Ok(bytes) => came.push(bytes),
                    Err(failure) if failure.retryable => return Err(failure),
                    Err(failure) => {
                        tracing::info!(why = failure.words, "the blocks did not come; fetching without them");
                        return Ok(gathering.finish());
                    }
                }
            }
        }
    }
}

fn accept(incoming: &mut Incoming, digest: Digest, bytes: &[u8]) -> io::Result<()> {
    let size = bytes.len() as u64;
    incoming.begin(&Content { digest, size })?;
    incoming.write(bytes)?;
    incoming.accept()
}
