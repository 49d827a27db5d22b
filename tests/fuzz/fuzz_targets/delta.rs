//! A delta pack that was damaged on its way, or made by nobody: refused, or it gives what the manifest says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugmend_fuzz::{Strict, damage, sample, source};
use plugmend_shared::bundle::delta::Delta;

fuzz_target!(|bytes: &[u8]| {
    let sample = sample();
    let mut installed = source(&sample.installed);
    for delta in [damage(&sample.delta, bytes), bytes.to_vec()] {
        let Ok(open) = Delta::open(&delta, (&sample.from, &sample.from_bytes), &sample.digest) else {
            continue;
        };
        assert_eq!(open.manifest(), &sample.to, "another release than was asked for");
        let _ = open.unpack(&mut installed, &mut Strict::default());
    }
});
