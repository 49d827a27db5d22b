//! Whole updates in one small file.

use std::io;

use plugmend_shared::bundle::{
    contents::MemorySink,
    delta::{self, Delta, DeltaError},
    manifest::Manifest,
};
use proptest::prelude::*;

use crate::support::{FAST, Files, files, manifest, prose, source};

fn write(old: (&Manifest, &Files), new: (&Manifest, &Files)) -> Vec<u8> {
    delta::write((old.0, &mut source(old.1)), (new.0, &mut source(new.1)), FAST)
        .unwrap()
        .bytes
}

fn apply(bytes: &[u8], old: (&Manifest, &Files), new: &Manifest) -> Result<MemorySink, DeltaError> {
    let old_bytes = old.0.to_bytes().unwrap();
    let delta = Delta::open(bytes, (old.0, &old_bytes), &new.digest().unwrap())?;
    assert_eq!(delta.manifest(), new);
    let mut sink = MemorySink::default();
    delta.unpack(&mut source(old.1), &mut sink)?;
    Ok(sink)
}

fn two_releases() -> (Files, Files) {
    let mut old = files(&[("gone.js", b"left behind"), ("empty", b"")]);
    for i in 0..20 {
        old.insert(format!("lib/{i:02}.js"), prose(i, 20_000));
    }
    old.insert("dist/main.11aa22bb.js".to_owned(), prose(50, 80_000));
    let mut new = old.clone();
    new.remove("gone.js");
    new.get_mut("lib/07.js").unwrap()[100..104].copy_from_slice(b"EDIT");
    new.insert("new.js".to_owned(), prose(70, 900));
    let mut bundle = new.remove("dist/main.11aa22bb.js").unwrap();
    bundle.extend(b"more");
    new.insert("dist/main.99ff88ee.js".to_owned(), bundle);
    new.insert("empty-too".to_owned(), Vec::new());
    (old, new)
}

#[test]
fn a_delta_brings_the_manifest_and_every_new_content() {
    let (old, new) = two_releases();
    let (from, to) = (manifest("1.0.0", &old), manifest("1.0.1", &new));
    let bytes = write((&from, &old), (&to, &new));
    let sink = apply(&bytes, (&from, &old), &to).unwrap();
    assert_eq!(sink.accepted.len(), 3);
    for path in ["lib/07.js", "new.js", "dist/main.99ff88ee.js"] {
        assert_eq!(sink.accepted[&plugmend_shared::ids::Digest::of(&new[path])], new[path]);
    }
    // The renamed bundle of 80 kB went as a patch of its namesake.
    assert!(bytes.len() < 3000, "{} bytes", bytes.len());
    assert_eq!(bytes, write((&from, &old), (&to, &new)));
}

#[test]
fn an_installed_file_that_was_changed_makes_the_delta_fail_not_the_result() {
    let (old, new) = two_releases();
    let (from, to) = (manifest("1.0.0", &old), manifest("1.0.1", &new));
    let bytes = write((&from, &old), (&to, &new));
    let old_bytes = from.to_bytes().unwrap();
    let delta = Delta::open(&bytes, (&from, &old_bytes), &to.digest().unwrap()).unwrap();
    let mut honest = source(&old);
    let mut tampered = |c: &_| -> io::Result<Vec<u8>> {
        let mut bytes = honest(c)?;
        bytes[0] ^= 1;
        bytes.truncate(10_000);
        Ok(bytes)
    };
    let refusal = delta.unpack(&mut tampered, &mut MemorySink::default());
    assert!(matches!(refusal, Err(DeltaError::WrongDigest(_))));
}

#[test]
fn a_delta_for_another_release_is_refused() {
    let (old, new) = two_releases();
    let (from, to) = (manifest("1.0.0", &old), manifest("1.0.1", &new));
    let bytes = write((&from, &old), (&to, &new));
    let other = manifest("0.9.0", &new);
    assert!(apply(&bytes, (&other, &new), &to).is_err());
    let from_bytes = from.to_bytes().unwrap();
    let refusal = Delta::open(&bytes, (&from, &from_bytes), &other.digest().unwrap());
    assert!(matches!(refusal, Err(DeltaError::OtherRelease)));
}

#[test]
fn a_flipped_bit_of_a_delta_never_gives_anything_but_the_signed_contents() {
    let (old, new) = two_releases();
    let (from, to) = (manifest("1.0.0", &old), manifest("1.0.1", &new));
    let bytes = write((&from, &old), (&to, &new));
    let good = apply(&bytes, (&from, &old), &to).unwrap().accepted;
    let mut let_through = 0;
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        match apply(&bad, (&from, &old), &to) {
            Err(_) => {}
            // zstd ignores a few bits of its headers. (The signed digest of the whole file refuses these before.)
            Ok(sink) => {
                assert_eq!(sink.accepted, good);
                let_through += 1;
            }
        }
    }
    assert!(let_through < 30, "{let_through} of {}", bytes.len());
    for cut in [0, 1, 8, 20, bytes.len() / 2, bytes.len() - 1] {
        assert!(apply(&bytes[..cut], (&from, &old), &to).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_two_releases_have_a_delta(
        old in proptest::collection::btree_map("[a-d]/[a-f]{1,2}", proptest::collection::vec(any::<u8>(), 0..400), 0..20),
        new in proptest::collection::btree_map("[a-d]/[a-f]{1,2}", proptest::collection::vec(any::<u8>(), 0..400), 0..20),
    ) {
        let (from, to) = (manifest("1.0.0", &old), manifest("1.0.1", &new));
        let bytes = write((&from, &old), (&to, &new));
        let sink = apply(&bytes, (&from, &old), &to).unwrap();
        for content in to.contents() {
            let have = from.contents().iter().any(|c| c.digest == content.digest);
            prop_assert!(have != sink.accepted.contains_key(&content.digest));
        }
    }

    #[test]
    fn arbitrary_deltas_never_panic(mut bytes: Vec<u8>, honest_start: bool) {
        if honest_start {
            bytes.splice(0..0, *b"PLUGMDL1");
        }
        let (old, new) = (files(&[("a", b"x")]), files(&[("b", b"y")]));
        prop_assert!(apply(&bytes, (&manifest("1.0.0", &old), &old), &manifest("1.0.1", &new)).is_err());
    }
}
