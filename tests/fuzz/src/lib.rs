//! What the fuzz targets share: a small real release, and damage done to real bytes.
//!
//! Most formats are guarded by hashes, which no fuzzer guesses: so targets either damage what a publisher really wrote,
//! or wrap the fuzzer's bytes the way a publisher with the right keys but bad intentions would.

pub mod tuf;

use std::{collections::BTreeMap, io, sync::OnceLock};

use plugmend_shared::{
    bundle::{
        blocks,
        contents::{Content, ContentSink},
        delta,
        manifest::{Approvals, Compatibility, FORMAT, FileEntry, Impact, Manifest, Undo},
        pack,
        path::RelPath,
    },
    ids::Digest,
};

/// Files by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Two releases, the pack of the second, and the delta between them.
pub struct Sample {
    /// The installed release.
    pub from: Manifest,
    /// Its canonical bytes.
    pub from_bytes: Vec<u8>,
    /// Its files.
    pub installed: Files,
    /// The next release.
    pub to: Manifest,
    /// Its digest.
    pub digest: Digest,
    /// Its pack.
    pub pack: Vec<u8>,
    /// Its blocks.
    pub blocks: Vec<u8>,
    /// From the one to the other.
    pub delta: Vec<u8>,
}

/// The sample, made once.
pub fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(make)
}

fn make() -> Sample {
    let installed = files(0);
    let next = files(1);
    let (from, to) = (manifest("1.0.0", &installed), manifest("1.0.1", &next));
    let mut packed = Vec::new();
    pack::write(&to, &mut source(&next), &mut packed, 1, &mut |_| {}).expect("the sample packs");
    let delta =
        delta::write((&from, &mut source(&installed)), (&to, &mut source(&next)), 1).expect("the sample has a delta");
    let mut cut = Vec::new();
    blocks::write(&to, &mut source(&next), &mut cut, &mut |_| {}).expect("the sample has blocks");
    Sample {
        blocks: cut,
        from_bytes: from.to_bytes().expect("the sample is a manifest"),
        digest: to.digest().expect("the sample is a manifest"),
        delta: delta.bytes,
        pack: packed,
        from,
        installed,
        to,
    }
}

fn files(change: usize) -> Files {
    let mut files: Files = (0..12)
        .map(|n| (format!("lib/part{n}.php"), format!("<?php return {n};\n").repeat(200 + n).into_bytes()))
        .collect();
    files.insert("empty".to_owned(), Vec::new());
    if change > 0 {
        files.insert("lib/part3.php".to_owned(), b"<?php return 33;\n".repeat(203));
        files.insert("lib/new.php".to_owned(), b"<?php echo 'new';\n".to_vec());
    }
    files
}

fn manifest(version: &str, files: &Files) -> Manifest {
    let mut entries: Vec<FileEntry> = files
        .iter()
        .map(|(path, bytes)| FileEntry {
            path: RelPath::new(path).expect("the sample's paths are good"),
            exec: false,
            size: bytes.len() as u64,
            sha256: Digest::of(bytes),
        })
        .collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Manifest {
        format: FORMAT,
        product: "demo-pay".parse().expect("a product"),
        version: version.parse().expect("a version"),
        impact: Impact::default(),
        files: entries,
        preserve: Vec::new(),
        compat: Compatibility::default(),
        fixes: Vec::new(),
        undo: Undo::default(),
        settings: None,
        smoke_tests: Vec::new(),
        approvals: Approvals::default(),
        remedies: Vec::new(),
        min_agent_version: None,
    }
}

/// Finds contents among files.
pub fn source(files: &Files) -> impl FnMut(&Content) -> io::Result<Vec<u8>> + use<> {
    let by_digest: BTreeMap<Digest, Vec<u8>> = files.values().map(|b| (Digest::of(b), b.clone())).collect();
    move |content: &Content| by_digest.get(&content.digest).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Damages `bytes` as `orders` says: each four bytes are a place (16 bits), a byte, and what to do with it.
pub fn damage(bytes: &[u8], orders: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for order in orders.chunks_exact(4).take(64) {
        let [low, high, byte, how] = order else { continue };
        let at = usize::from(u16::from_le_bytes([*low, *high])) % (out.len() + 1);
        match how % 4 {
            0 if at < out.len() => out[at] = *byte,
            1 if at < out.len() => out[at] ^= 1 << (byte % 8),
            2 => out.insert(at, *byte),
            _ => out.truncate(at),
        }
    }
    out
}

/// A sink that panics when something is accepted that is not what its digest says.
#[derive(Default)]
pub struct Strict {
    open: Option<(Content, Vec<u8>)>,
    /// How many contents were accepted.
    pub accepted: usize,
}

impl ContentSink for Strict {
    fn begin(&mut self, content: &Content) -> io::Result<()> {
        self.open = Some((*content, Vec::new()));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (content, held) = self.open.as_mut().expect("nothing is written before it began");
        held.extend_from_slice(bytes);
        assert!(held.len() as u64 <= content.size, "more than the content has");
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        let (content, held) = self.open.take().expect("nothing is accepted before it began");
        assert_eq!(Digest::of(&held), content.digest, "accepted without being genuine");
        self.accepted += 1;
        Ok(())
    }
}
