//! A pack that was damaged on its way: whatever is accepted is what the manifest says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugmend_fuzz::{Strict, damage, sample};
use plugmend_shared::bundle::pack::{PackIndex, Unpacker, plan};

fuzz_target!(|bytes: &[u8]| {
    let sample = sample();
    let Some((piece, orders)) = bytes.split_first() else {
        return;
    };
    // The index of the genuine pack, so that damaged frames are really unpacked; then its own.
    let genuine = PackIndex::parse(&sample.pack, sample.pack.len() as u64, &sample.to).expect("the sample's index");
    let pack = damage(&sample.pack, orders);
    let own = PackIndex::parse(&pack, pack.len() as u64, &sample.to);
    for index in [Some(&genuine), own.as_ref().ok()].into_iter().flatten() {
        let mut sink = Strict::default();
        for range in plan(index, &|_| false) {
            let mut unpacker = Unpacker::new(index, &range).expect("a planned range");
            let start = usize::try_from(range.bytes.start).expect("small").min(pack.len());
            let end = usize::try_from(range.bytes.end).expect("small").min(pack.len());
            for part in pack[start..end].chunks(usize::from(*piece) + 1) {
                if unpacker.push(part, &mut sink).is_err() {
                    break;
                }
            }
        }
        assert!(sink.accepted <= index.contents().len());
    }
});
