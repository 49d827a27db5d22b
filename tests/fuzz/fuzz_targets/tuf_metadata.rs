//! Metadata of any role: reading never panics, and what was read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugmend_shared::tuf::{Document, Envelope, Root, Snapshot, Targets, Timestamp, json};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = json::parse(bytes)
        && let Ok(canonical) = json::canonical(&value)
        && !bytes.contains(&b'\\')
    {
        // Escapes aside (control characters stay raw in the canonical form), it reads back as itself.
        assert_eq!(json::parse(&canonical).ok(), Some(value), "canonical JSON changes its meaning");
    }
    if let Ok(envelope) = Envelope::parse(bytes) {
        let written = envelope.to_bytes().expect("what was read can be written");
        assert_eq!(Envelope::parse(&written).expect("what was written can be read"), envelope);
    }
    let _ = Document::<Root>::parse(bytes, "root");
    let _ = Document::<Timestamp>::parse(bytes, "timestamp");
    let _ = Document::<Snapshot>::parse(bytes, "snapshot");
    let _ = Document::<Targets>::parse(bytes, "targets");
});
