//! Datagrams of a hostile plugin: counted in fixed memory, every number finite.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugmend_shared::telemetry::{Counters, statsd};

fuzz_target!(|bytes: &[u8]| {
    let mut counters = Counters::default();
    let tally = statsd::parse_datagram(bytes, 100, &mut |fact| counters.record(&fact));
    assert!(tally.taken + tally.refused <= 100);
    let (from, to) = ("2026-01-01T00:00:00Z".parse().expect("a time"), "2026-01-01T00:02:00Z".parse().expect("a time"));
    counters.close(1, from, to).check().expect("a window of any plugin can be sent");
});
