//! The index of a pack whose publisher is malicious: the right check sums over any content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugmend_fuzz::{Strict, sample};
use plugmend_shared::{
    bundle::pack::{PackIndex, Unpacker, plan},
    ids::Digest,
};

fuzz_target!(|bytes: &[u8]| {
    let sample = sample();
    let packed = zstd::bulk::compress(bytes, 1).expect("zstd compresses");
    let mut pack = sample.pack.clone();
    let index = PackIndex::parse(&pack, pack.len() as u64, &sample.to).expect("the sample has an index");
    let frames_end = index.frames().last().map_or(0, |frame| frame.bytes.end);
    pack.truncate(usize::try_from(frames_end).expect("a small pack"));
    pack.extend_from_slice(&packed);
    pack.extend_from_slice(&Digest::of(&packed).0[..8]);
    pack.extend_from_slice(&u32::try_from(packed.len()).expect("a small index").to_le_bytes());
    pack.extend_from_slice(b"PLUGMPK1");
    let Ok(index) = PackIndex::parse(&pack, pack.len() as u64, &sample.to) else {
        return;
    };
    let mut sink = Strict::default();
    for range in plan(&index, &|_| false) {
        let mut unpacker = Unpacker::new(&index, &range).expect("a planned range");
        let part = usize::try_from(range.bytes.start).expect("small")..usize::try_from(range.bytes.end).expect("small");
        if unpacker.push(&pack[part], &mut sink).is_err() {
            return;
        }
    }
});
