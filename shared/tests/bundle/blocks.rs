//! Updates without a delta: little more than what changed is fetched, and what comes out is the signed or nothing.

use std::{collections::BTreeMap, ops::Range};

use plugmend_shared::{
    bundle::{
        blocks::{self, Gathering, Lacking},
        manifest::Manifest,
    },
    ids::Digest,
};
use proptest::prelude::*;

use crate::support::{Files, files, manifest, prose, source};

fn write(manifest: &Manifest, files: &Files) -> Vec<u8> {
    let mut out = Vec::new();
    let written = blocks::write(manifest, &mut source(files), &mut out, &mut |_| {}).unwrap();
    assert_eq!(written.len, out.len() as u64);
    out
}

/// Runs a gathering against a file; gives what came together, the bytes and the rounds that it took.
fn run(mut gathering: Gathering, file: &[u8]) -> (BTreeMap<Digest, Vec<u8>>, usize, usize) {
    let (mut came, mut bytes, mut rounds) = (Vec::new(), 0, 0);
    loop {
        let ranges: Vec<Range<u64>> = gathering.step(&came);
        if ranges.is_empty() {
            return (gathering.finish().into_iter().collect(), bytes, rounds);
        }
        rounds += 1;
        came = ranges
            .iter()
            .map(|r| file[r.start as usize..r.end as usize].to_vec())
            .collect();
        bytes += came.iter().map(Vec::len).sum::<usize>();
    }
}

/// The manifest, then the contents; and the bytes it took.
fn update(
    (from, old): (&Manifest, &Files),
    to: &Manifest,
    file: &[u8],
) -> (Option<Manifest>, BTreeMap<Digest, Vec<u8>>, usize) {
    let (len, digest) = (file.len() as u64, to.digest().unwrap());
    let size = to.to_bytes().unwrap().len() as u64;
    let gathering = Gathering::manifest(len, (digest, size), from.to_bytes().unwrap(), u64::MAX);
    let (came, first, _) = run(gathering, file);
    let found = came.get(&digest).map(|bytes| Manifest::parse(bytes).unwrap());
    let have: Vec<Digest> = from.contents().iter().map(|c| c.digest).collect();
    let lacking = Lacking {
        to,
        manifest_size: size,
        from,
    };
    let gathering = Gathering::contents(len, lacking, &|d| have.contains(d), &mut source(old));
    let (contents, second, rounds) = run(gathering, file);
    assert!(rounds <= 4);
    (found, contents, first + second)
}

fn tree() -> Files {
    let mut out = files(&[("empty", b""), ("version.txt", b"1.0.0")]);
    for i in 0..300 {
        out.insert(format!("lib/m{:02}/part{i:03}.js", i % 10), prose(i, 9_000));
    }
    out.insert("dist/main.11aa22bb.js".to_owned(), prose(900, 300_000));
    out
}

#[test]
fn a_small_patch_of_a_large_release_costs_little_more_than_itself() {
    let old = tree();
    let mut new = old.clone();
    new.get_mut("lib/m07/part217.js")
        .unwrap()
        .splice(4000..4004, *b"if (!amount) return;");
    new.insert("version.txt".to_owned(), b"1.0.1".to_vec());
    let mut bundle = new.remove("dist/main.11aa22bb.js").unwrap();
    bundle.splice(200_000..200_000, *b"one more line\n");
    new.insert("dist/main.99ff88ee.js".to_owned(), bundle);
    let (from, to) = (manifest("1.0.0", &old), manifest("1.0.1", &new));
    let file = write(&to, &new);
    let (found, contents, bytes) = update((&from, &old), &to, &file);
    assert_eq!(found, Some(to));
    for path in ["lib/m07/part217.js", "version.txt", "dist/main.99ff88ee.js"] {
        assert_eq!(contents[&Digest::of(&new[path])], new[path]);
    }
    assert!(bytes < 3_500, "{bytes} bytes");
    assert_eq!(file, write(&manifest("1.0.1", &new), &new));
}

#[test]
fn a_release_that_has_nothing_in_common_is_left_to_the_frames() {
    let old = files(&[("a.js", &prose(1, 400_000))]);
    let new = files(&[("a.js", &prose(2, 400_000)), ("small.js", &prose(3, 400))]);
    let (from, to) = (manifest("1.0.0", &old), manifest("2.0.0", &new));
    let (_, contents, bytes) = update((&from, &old), &to, &write(&to, &new));
    assert_eq!(contents.len(), 1, "only the small one is worth it");
    assert!(bytes < 3_000, "{bytes} bytes");
}

#[test]
fn no_more_is_asked_for_than_is_allowed() {
    let (old, new) = (files(&[("a", b"one")]), tree());
    let (from, to) = (manifest("1.0.0", &old), manifest("2.0.0", &new));
    let file = write(&to, &new);
    let name = (to.digest().unwrap(), to.to_bytes().unwrap().len() as u64);
    let gathering = Gathering::manifest(file.len() as u64, name, from.to_bytes().unwrap(), 500);
    let (came, bytes, _) = run(gathering, &file);
    assert!(came.is_empty() && bytes <= 500, "{bytes} bytes");
}

#[test]
fn a_file_that_is_too_short_for_its_tables_asks_for_nothing() {
    let old = tree();
    let from = manifest("1.0.0", &old);
    let size = from.to_bytes().unwrap().len() as u64;
    for len in [0, 1, 100, 500] {
        let name = (from.digest().unwrap(), size);
        let mut gathering = Gathering::manifest(len, name, from.to_bytes().unwrap(), u64::MAX);
        assert!(gathering.step::<Vec<u8>>(&[]).is_empty());
        let lacking = Lacking {
            to: &from,
            manifest_size: size,
            from: &from,
        };
        let mut gathering = Gathering::contents(len, lacking, &|_| false, &mut source(&old));
        assert!(gathering.step::<Vec<u8>>(&[]).is_empty());
    }
}

/// What one edit does to a file.
fn edited(mut bytes: Vec<u8>, (at, cut, put): (usize, usize, Vec<u8>)) -> Vec<u8> {
    let start = at % (bytes.len() + 1);
    let end = (start + cut).min(bytes.len());
    bytes.splice(start..end, put);
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(usize, usize, Vec<u8>)>> {
    let edit = (any::<usize>(), 0usize..2000, prop::collection::vec(any::<u8>(), 0..700));
    prop::collection::vec(edit, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_changed_the_signed_contents_come_out(seed in 0u64..1000, len in 0usize..70_000, edits in edits(), added in 0u64..4) {
        let mut old = files(&[("kept.js", &prose(seed, 3_000)), ("main.js", &prose(seed + 1, len))]);
        let mut new = old.clone();
        let main = edits.into_iter().fold(new["main.js"].clone(), edited);
        new.insert("main.js".to_owned(), main);
        for n in 0..added {
            old.insert(format!("gone/{n}.js"), prose(seed + n, 500));
            new.insert(format!("added/{n}.js"), prose(seed + 70 + n, 900));
        }
        let (from, to) = (manifest("1.0.0", &old), manifest("1.0.1", &new));
        let (found, contents, _) = update((&from, &old), &to, &write(&to, &new));
        prop_assert_eq!(found, Some(to.clone()));
        let have: Vec<Digest> = from.contents().iter().map(|c| c.digest).collect();
        for content in to.contents().iter().filter(|c| !have.contains(&c.digest)) {
            prop_assert_eq!(Digest::of(&contents[&content.digest]), content.digest);
        }
    }

    #[test]
    fn garbled_blocks_give_the_signed_bytes_or_none(seed in 0u64..1000, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..400)) {
        let old = files(&[("a.js", &prose(seed, 30_000)), ("b.js", &prose(seed + 1, 200))]);
        let mut new = old.clone();
        new.get_mut("a.js").unwrap()[15_000] ^= 1;
        let (from, to) = (manifest("1.0.0", &old), manifest("1.0.1", &new));
        let mut file = write(&to, &new);
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let (found, contents, bytes) = update((&from, &old), &to, &file);
        prop_assert!(found.is_none_or(|found| found == to));
        prop_assert!(contents.iter().all(|(digest, bytes)| Digest::of(bytes) == *digest));
        prop_assert!(bytes < 300_000);
    }

    #[test]
    fn a_file_of_noise_is_no_worse(noise in prop::collection::vec(any::<u8>(), 400..40_000)) {
        let old = files(&[("a.js", &prose(1, 30_000))]);
        let new = files(&[("a.js", &prose(2, 30_000)), ("b.js", &prose(3, 10))]);
        let (from, to) = (manifest("1.0.0", &old), manifest("1.0.1", &new));
        let (found, contents, _) = update((&from, &old), &to, &noise);
        prop_assert!(found.is_none() && contents.is_empty());
    }

    #[test]
    fn an_answer_that_is_missing_or_short_costs_no_more_than_its_items(short in any::<prop::sample::Index>(), by in 1usize..5) {
        let old = files(&[("a.js", &prose(1, 30_000)), ("b.js", &prose(5, 30_000))]);
        let new = files(&[("a.js", &prose(2, 30_000)), ("b.js", &prose(6, 30_000))]);
        let (from, to) = (manifest("1.0.0", &old), manifest("1.0.1", &new));
        let file = write(&to, &new);
        let lacking = Lacking { to: &to, manifest_size: to.to_bytes().unwrap().len() as u64, from: &from };
        let mut gathering = Gathering::contents(file.len() as u64, lacking, &|_| false, &mut source(&old));
        let mut came: Vec<Vec<u8>> = Vec::new();
        loop {
            let ranges = gathering.step(&came);
            if ranges.is_empty() {
                break;
            }
            came = ranges.iter().map(|r| file[r.start as usize..r.end as usize].to_vec()).collect();
            let torn = short.index(came.len());
            let len = came[torn].len().saturating_sub(by);
            came[torn].truncate(len);
        }
        for (digest, bytes) in gathering.finish() {
            prop_assert_eq!(Digest::of(&bytes), digest);
        }
    }
}
