//! Releases made in memory.

use std::{collections::BTreeMap, io};

use plugmend_shared::{
    bundle::{
        contents::{Content, MemorySink},
        manifest::{Compatibility, FORMAT, FileEntry, Impact, Manifest, Undo},
        pack::{self, PackIndex, Unpacker},
        path::RelPath,
    },
    ids::Digest,
};

/// Fast, for tests that look at something else than sizes.
pub const FAST: i32 = 1;

/// Files by path.
pub type Files = BTreeMap<String, Vec<u8>>;

pub fn files(list: &[(&str, &[u8])]) -> Files {
    list.iter().map(|(p, b)| ((*p).to_owned(), b.to_vec())).collect()
}

pub fn manifest(version: &str, files: &Files) -> Manifest {
    let entries = files.iter().map(|(path, bytes)| FileEntry {
        path: RelPath::new(path).unwrap(),
        exec: false,
        size: bytes.len() as u64,
        sha256: Digest::of(bytes),
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Manifest {
        format: FORMAT,
        product: "demo-pay".parse().unwrap(),
        version: version.parse().unwrap(),
        impact: Impact::default(),
        files: entries,
        preserve: Vec::new(),
        compat: Compatibility::default(),
        fixes: Vec::new(),
        undo: Undo::default(),
        settings: None,
        smoke_tests: Vec::new(),
        approvals: plugmend_shared::bundle::manifest::Approvals::default(),
        remedies: Vec::new(),
        min_agent_version: None,
    }
}

/// Finds contents among files.
pub fn source(files: &Files) -> impl FnMut(&Content) -> io::Result<Vec<u8>> + use<> {
    let by_digest: BTreeMap<Digest, Vec<u8>> = files.values().map(|b| (Digest::of(b), b.clone())).collect();
    move |c: &Content| {
        by_digest
            .get(&c.digest)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

pub fn pack(manifest: &Manifest, files: &Files, level: i32) -> Vec<u8> {
    let mut out = Vec::new();
    pack::write(manifest, &mut source(files), &mut out, level, &mut |_| {}).unwrap();
    out
}

pub fn index(pack: &[u8], manifest: &Manifest) -> PackIndex {
    PackIndex::parse(pack, pack.len() as u64, manifest).unwrap()
}

/// Everything one does not have, unpacked from the planned ranges given in pieces of `piece` bytes, and how many bytes
/// were fetched for it.
pub fn fetch(
    pack: &[u8],
    index: &PackIndex,
    have: &dyn Fn(&Digest) -> bool,
    piece: usize,
) -> Result<(MemorySink, u64), pack::PackError> {
    let mut sink = MemorySink::default();
    let mut fetched = 0;
    for range in pack::plan(index, have) {
        let mut unpacker = Unpacker::new(index, &range)?;
        let bytes = &pack[range.bytes.start as usize..range.bytes.end as usize];
        for part in bytes.chunks(piece) {
            unpacker.push(part, &mut sink)?;
            fetched += part.len() as u64;
        }
        unpacker.finish()?;
    }
    Ok((sink, fetched))
}

/// Text that compresses about as well as code does, the same for the same seed.
pub fn prose(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut out = Vec::with_capacity(len + 16);
    while out.len() < len {
        let word = next() % 4096;
        out.extend(
            format!(
                "{}{:x} ",
                ["fn", "let", "if", "return"][(word % 4) as usize],
                word * 2_654_435_761
            )
            .bytes(),
        );
    }
    out.truncate(len);
    out
}
