//! Manifests, as they are and compressed: refused, or canonical and within every bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugmend_shared::bundle::manifest::Manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.to_bytes().expect("what was read can be written"), bytes);
        for file in &manifest.files {
            let path = file.path.as_str();
            assert!(!path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path}");
        }
    }
    let _ = Manifest::parse_compressed(bytes);
});
