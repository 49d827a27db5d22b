//! JSON lines of a hostile plugin.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugmend_shared::telemetry::{Counters, event};

fuzz_target!(|bytes: &[u8]| {
    let mut counters = Counters::default();
    let _ = event::time_of(bytes);
    let _ = event::parse_line(bytes, &mut |fact| counters.record(&fact));
    let (from, to) = ("2026-01-01T00:00:00Z".parse().expect("a time"), "2026-01-01T00:02:00Z".parse().expect("a time"));
    counters.close(1, from, to).check().expect("a window of any plugin can be sent");
});
