//! The client workflow: whatever a server sends, nothing is trusted that no key signed; and whatever the holder of a
//! key signs, nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugmend_fuzz::tuf::{SIGNERS, root, signed};
use plugmend_shared::tuf::TrustedSet;

fuzz_target!(|bytes: &[u8]| {
    let now = "2026-11-22T00:00:00Z".parse().expect("a time");
    let fresh = || TrustedSet::new(root(), now).expect("the sample is a root");
    let mut set = fresh();
    assert!(set.next_root(bytes).is_err(), "a root that nobody signed");
    assert!(set.update_timestamp(bytes).is_err(), "a timestamp that nobody signed");
    let _ = TrustedSet::new(bytes, now);

    // The first byte says who signs the rest.
    let Some((who, rest)) = bytes.split_first() else { return };
    let signer = usize::from(*who) % SIGNERS;
    let Some(document) = signed(rest, signer) else { return };
    let _ = set.next_root(&document);
    let mut set = fresh();
    if set.update_timestamp(&document).is_ok() {
        assert_eq!(signer, 1, "only the timestamp's key signs timestamps");
    }
    assert!(set.update_snapshot(&document).is_err(), "a snapshot that no timestamp names");
    assert!(set.update_targets("targets", "root", &document).is_err(), "targets that no snapshot names");
});
