//! Blocks that were damaged on their way, or made by nobody: what comes together is what was signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugmend_fuzz::{damage, sample, source};
use plugmend_shared::{
    bundle::blocks::{Gathering, Lacking},
    ids::Digest,
};

fuzz_target!(|bytes: &[u8]| {
    let sample = sample();
    let size = sample.to.to_bytes().expect("the sample is a manifest").len() as u64;
    for file in [damage(&sample.blocks, bytes), bytes.to_vec()] {
        let len = file.len() as u64;
        let manifest = Gathering::manifest(len, (sample.digest, size), sample.from_bytes.clone(), len);
        let lacking = Lacking {
            to: &sample.to,
            manifest_size: size,
            from: &sample.from,
        };
        let contents = Gathering::contents(len, lacking, &|_| false, &mut source(&sample.installed));
        for mut gathering in [manifest, contents] {
            let mut came: Vec<&[u8]> = Vec::new();
            loop {
                let ranges = gathering.step(&came);
                if ranges.is_empty() {
                    break;
                }
                let part = |at: u64| usize::try_from(at).expect("the sample is small");
                came = ranges.iter().map(|r| &file[part(r.start)..part(r.end)]).collect();
            }
            for (digest, bytes) in gathering.finish() {
                assert_eq!(Digest::of(&bytes), digest, "other bytes than were signed");
            }
        }
    }
});
