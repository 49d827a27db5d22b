//! Bytes for an update, on a release of 4,000 files and 40 MB.

use plugmend_shared::bundle::{delta, manifest::Manifest, pack::PackIndex};

use crate::support::{Files, fetch, index, manifest, pack, prose, source};

fn large() -> Files {
    (0..4000u64)
        .map(|i| {
            (
                format!("includes/module-{:02}/class-part-{i:04}.php", i % 60),
                prose(i, 10_000),
            )
        })
        .collect()
}

#[test]
fn a_one_file_patch_of_4000_files_is_under_2_kb_with_a_delta_and_under_200_kb_without() {
    let old = large();
    let mut new = old.clone();
    let path = new.keys().nth(2345).unwrap().clone();
    let file = new.get_mut(&path).unwrap();
    file.splice(5000..5010, *b"if (!amount) { return false; }");
    let (from, to) = (manifest("10.9.3", &old), manifest("10.9.4", &new));

    let patch = delta::write((&from, &mut source(&old)), (&to, &mut source(&new)), 19).unwrap();
    assert!(patch.bytes.len() < 2000, "delta pack: {} bytes", patch.bytes.len());

    let compressed = to.to_compressed().unwrap();
    assert_eq!(Manifest::parse_compressed(&compressed).unwrap().0, to);
    let pack = pack(&to, &new, 3);
    let index = index(&pack, &to);
    let have: std::collections::HashSet<_> = from.contents().iter().map(|c| c.digest).collect();
    let (_, frames) = fetch(&pack, &index, &|d| have.contains(d), 4096).unwrap();
    let tail = PackIndex::tail_hint(&to);
    let total = compressed.len() as u64 + tail + frames;
    println!(
        "delta {} manifest {} tail {tail} frames {frames}",
        patch.bytes.len(),
        compressed.len()
    );
    assert!(
        total < 200_000,
        "manifest {} + index {tail} + frames {frames} = {total} bytes",
        compressed.len()
    );
}
