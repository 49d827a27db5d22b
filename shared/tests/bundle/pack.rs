//! Frames and ranges.

use plugmend_shared::bundle::{
    contents::MemorySink,
    pack::{PackError, PackIndex, Unpacker, plan},
};
use proptest::prelude::*;

use crate::support::{FAST, Files, fetch, files, index, manifest, pack, prose};

fn mixed() -> Files {
    let mut out = files(&[("empty", b""), ("twin-a", b"same"), ("twin-b", b"same")]);
    for i in 0..30 {
        out.insert(format!("small/{i:03}.js"), prose(i, 4000 + i as usize * 37));
    }
    out.insert("big.bin".to_owned(), prose(99, 300_000));
    out
}

#[test]
fn what_is_packed_comes_back_whatever_pieces_it_comes_in() {
    let files = mixed();
    let manifest = manifest("1.0.0", &files);
    let pack = pack(&manifest, &files, FAST);
    let index = index(&pack, &manifest);
    for piece in [1, 7, 1000, usize::MAX] {
        let (sink, _) = fetch(&pack, &index, &|_| false, piece).unwrap();
        assert_eq!(sink.accepted.len(), manifest.contents().len());
        for file in manifest.files.iter().filter(|f| f.size > 0) {
            assert_eq!(sink.accepted[&file.sha256], files[file.path.as_str()]);
        }
    }
}

#[test]
fn the_same_release_gives_the_same_pack() {
    let files = mixed();
    let manifest = manifest("1.0.0", &files);
    assert_eq!(pack(&manifest, &files, 19), pack(&manifest, &files, 19));
}

#[test]
fn only_frames_with_missing_contents_are_fetched() {
    let files = mixed();
    let manifest = manifest("1.0.0", &files);
    let pack = pack(&manifest, &files, FAST);
    let index = index(&pack, &manifest);
    assert_eq!(plan(&index, &|_| true), []);
    let missing = manifest
        .files
        .iter()
        .find(|f| f.path.as_str() == "small/017.js")
        .unwrap()
        .sha256;
    let (sink, fetched) = fetch(&pack, &index, &|d| *d != missing, 512).unwrap();
    assert!(sink.accepted.contains_key(&missing));
    assert!(fetched < pack.len() as u64 / 4, "{fetched} of {}", pack.len());
}

#[test]
fn the_index_says_how_much_of_the_end_it_needs() {
    let files = mixed();
    let manifest = manifest("1.0.0", &files);
    let pack = pack(&manifest, &files, FAST);
    let len = pack.len() as u64;
    let tail = |n: u64| &pack[(len - n) as usize..];
    let hint = PackIndex::tail_hint(&manifest);
    PackIndex::parse(tail(hint), len, &manifest).unwrap();
    for short in [0, 10, 19, 20, 25] {
        let Err(PackError::TailTooShort { needed }) = PackIndex::parse(tail(short), len, &manifest) else {
            panic!("{short} bytes were enough");
        };
        assert!(needed > short && needed <= hint);
    }
}

#[test]
fn a_broken_connection_is_resumed_within_a_range() {
    let files = mixed();
    let manifest = manifest("1.0.0", &files);
    let pack = pack(&manifest, &files, FAST);
    let index = index(&pack, &manifest);
    let range = &plan(&index, &|_| false)[0];
    let mut sink = MemorySink::default();
    let mut unpacker = Unpacker::new(&index, range).unwrap();
    unpacker.push(&pack[..1000], &mut sink).unwrap();
    let resume = (range.bytes.end - unpacker.missing()) as usize;
    assert_eq!(resume, 1000);
    assert!(matches!(
        Unpacker::new(&index, range).unwrap().finish(),
        Err(PackError::Truncated(n)) if n == range.len()
    ));
    unpacker
        .push(&pack[resume..range.bytes.end as usize], &mut sink)
        .unwrap();
    unpacker.finish().unwrap();
    assert_eq!(sink.accepted.len(), manifest.contents().len());
}

#[test]
fn a_pack_of_another_release_is_refused() {
    let files = mixed();
    let manifest = manifest("1.0.0", &files);
    let pack_bytes = pack(&manifest, &files, FAST);
    let mut fewer = manifest.clone();
    fewer.files.retain(|f| f.path.as_str() != "big.bin");
    assert!(matches!(
        PackIndex::parse(&pack_bytes, pack_bytes.len() as u64, &fewer),
        Err(PackError::BadIndex)
    ));
}

#[test]
fn every_flipped_bit_of_a_pack_is_refused() {
    let files = files(&[
        ("a", b"hello hello hello"),
        ("b", &prose(1, 90_000)),
        ("c", &prose(2, 70)),
        ("z", &[0; 5000]),
    ]);
    let manifest = manifest("1.0.0", &files);
    let pack = pack(&manifest, &files, FAST);
    // Every bit of the first frames and of the end; every thirteenth byte between.
    for at in (0..pack.len()).filter(|at| *at < 300 || at % 13 == 0 || *at + 300 > pack.len()) {
        let bits: &[u8] = if at % 13 == 0 {
            &[0, 1, 2, 3, 4, 5, 6, 7]
        } else {
            &[0, 5]
        };
        for bit in bits {
            let mut bad = pack.clone();
            bad[at] ^= 1 << bit;
            let got = PackIndex::parse(&bad, bad.len() as u64, &manifest)
                .and_then(|index| fetch(&bad, &index, &|_| false, 4096));
            assert!(got.is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_bomb_in_a_frame_stops_at_the_size_in_the_manifest() {
    // A pack that was honestly made for a file of 50 MB of zeros, held against a manifest that says 1,000 bytes.
    let bomb = files(&[("a", &vec![0; 50_000_000])]);
    let honest = manifest("1.0.0", &bomb);
    let bytes = pack(&honest, &bomb, FAST);
    let mut lying = honest.clone();
    lying.files[0].size = 1000;
    let index = PackIndex::parse(&bytes, bytes.len() as u64, &lying).unwrap();
    assert!(matches!(
        fetch(&bytes, &index, &|_| false, 4096),
        Err(PackError::BadFrame(0) | PackError::WrongDigest(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_release_comes_back(contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..40), piece in 1usize..5000) {
        let files: Files = contents.into_iter().enumerate().map(|(i, c)| (format!("f{i:02}"), c)).collect();
        let manifest = manifest("1.0.0", &files);
        let pack = pack(&manifest, &files, FAST);
        let (sink, _) = fetch(&pack, &index(&pack, &manifest), &|_| false, piece).unwrap();
        for content in manifest.contents() {
            prop_assert_eq!(sink.accepted[&content.digest].len() as u64, content.size);
        }
    }

    #[test]
    fn arbitrary_tails_never_panic(mut tail: Vec<u8>, len in 0u64..10_000, honest_end: bool) {
        if honest_end {
            tail.extend(7u32.to_le_bytes());
            tail.extend(b"PLUGMPK1");
        }
        let _ = PackIndex::parse(&tail, len, &manifest("1.0.0", &mixed()));
    }

    #[test]
    fn arbitrary_frames_never_panic(bytes: Vec<u8>) {
        let files = files(&[("a", &prose(3, 5000))]);
        let manifest = manifest("1.0.0", &files);
        let pack = pack(&manifest, &files, FAST);
        let index = index(&pack, &manifest);
        let range = &plan(&index, &|_| false)[0];
        let mut unpacker = Unpacker::new(&index, range).unwrap();
        let _ = unpacker.push(&bytes, &mut MemorySink::default());
    }
}
