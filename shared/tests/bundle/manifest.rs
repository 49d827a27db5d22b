//! What a manifest may say.

use plugmend_shared::bundle::{
    ManifestError,
    limits::{MAX_FILES, MAX_MANIFEST_BYTES},
    manifest::{Manifest, SettingKey, SettingKind, SettingsFormat, SettingsSpec, SmokeTest},
    path::RelPath,
};
use proptest::prelude::*;

use crate::support::{files, manifest};

fn refused(manifest: &Manifest) -> ManifestError {
    Manifest::parse(&serde_json::to_vec(manifest).unwrap()).unwrap_err()
}

fn with_paths(paths: &[&str]) -> Manifest {
    manifest(
        "1.0.0",
        &files(&paths.iter().map(|p| (*p, b"x".as_slice())).collect::<Vec<_>>()),
    )
}

#[test]
fn the_canonical_form_does_not_change() {
    let mut full = with_paths(&["index.js", "lib/pay.js"]);
    full.preserve = vec![RelPath::new("cache").unwrap()];
    full.fixes = vec!["error_spike".to_owned()];
    full.compat.env.insert("node".to_owned(), ">=18".parse().unwrap());
    full.smoke_tests = vec![SmokeTest {
        name: "loads".to_owned(),
        argv: vec!["node".to_owned(), "-e".to_owned(), "require('./')".to_owned()],
        timeout_ms: 5000,
        exit: 0,
        stdout_contains: None,
    }];
    let bytes = full.to_bytes().unwrap();
    insta::assert_snapshot!(String::from_utf8(bytes.clone()).unwrap(), @r#"{"format":1,"product":"demo-pay","version":"1.0.0","impact":"medium","files":[{"path":"index.js","size":1,"sha256":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},{"path":"lib/pay.js","size":1,"sha256":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}],"preserve":["cache"],"compat":{"env":{"node":">=18"}},"fixes":["error_spike"],"smoke_tests":[{"name":"loads","argv":["node","-e","require('./')"],"timeout_ms":5000,"exit":0}]}"#);
    assert_eq!(Manifest::parse(&bytes).unwrap(), full);
}

#[test]
fn another_spelling_of_the_same_manifest_is_refused() {
    let bytes = with_paths(&["a"]).to_bytes().unwrap();
    let spaced = String::from_utf8(bytes).unwrap().replace(':', ": ");
    assert!(matches!(
        Manifest::parse(spaced.as_bytes()),
        Err(ManifestError::NotCanonical)
    ));
}

#[test]
fn paths_that_climb_out_or_deceive_are_refused() {
    let good = String::from_utf8(with_paths(&["safe"]).to_bytes().unwrap()).unwrap();
    let long = "a".repeat(5000);
    let deep = "a/".repeat(70) + "b";
    for bad in [
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "./a",
        "a\\\\b",
        "c:x",
        "a\\u0000b",
        "a\\nb",
        "",
        "a/",
        ".plugmend-x/a",
        "e\\u0301",
        "a\\u202eb",
        &long,
        &deep,
    ] {
        let text = good.replace("\"safe\"", &format!("\"{bad}\""));
        let refusal = Manifest::parse(text.as_bytes());
        assert!(matches!(refusal, Err(ManifestError::Syntax(_))), "{bad:.20} was let in");
    }
}

#[test]
fn names_that_meet_on_some_filesystem_are_refused() {
    for pair in [
        ["a", "A"],
        ["straße", "strasse"],
        ["ſ", "s"],
        ["ﬁle", "file"],
        ["dir/x", "Dir/y"],
        ["Å", "å"],
        ["a\u{200d}b", "ab"],
        ["a／b", "a/b"],
    ] {
        assert!(
            matches!(refused(&with_paths(&pair)), ManifestError::Collision(_)),
            "{pair:?} were let in"
        );
    }
    Manifest::parse(&with_paths(&["a/x", "a/y", "a-b/z", "b"]).to_bytes().unwrap()).unwrap();
}

#[test]
fn a_file_where_a_folder_is_wanted_is_refused() {
    for paths in [&["a", "a/b"][..], &["a", "a-b", "a/b"], &["A", "a/b"]] {
        assert!(
            matches!(refused(&with_paths(paths)), ManifestError::Collision(_)),
            "{paths:?}"
        );
    }
}

#[test]
fn a_release_does_not_reach_into_preserved_paths() {
    for preserve in ["uploads", "uploads/a.png", "uploads/a.png/x", "Uploads"] {
        let mut m = with_paths(&["uploads/a.png"]);
        m.preserve = vec![RelPath::new(preserve).unwrap()];
        assert!(matches!(refused(&m), ManifestError::Collision(_)), "{preserve}");
    }
    let mut nested = with_paths(&["a"]);
    nested.preserve = vec![RelPath::new("data").unwrap(), RelPath::new("data/cache").unwrap()];
    assert!(matches!(refused(&nested), ManifestError::Collision(_)));
}

fn settings(file: &str) -> SettingsSpec {
    let key = SettingKey {
        kind: SettingKind::Integer,
        min: Some(1.0),
        max: Some(10.0),
        choices: Vec::new(),
        host_only: false,
    };
    SettingsSpec {
        file: RelPath::new(file).unwrap(),
        format: SettingsFormat::Json,
        keys: [("retries".to_owned(), key)].into(),
    }
}

#[test]
fn the_settings_file_is_data_and_not_part_of_the_release() {
    let mut m = with_paths(&["index.js"]);
    m.preserve = vec![RelPath::new("data").unwrap()];
    m.settings = Some(settings("data/settings.json"));
    let ok = Manifest::parse(&m.to_bytes().unwrap()).unwrap();
    assert_eq!(ok.preserved().count(), 1);
    m.settings = Some(settings("settings.json"));
    let ok = Manifest::parse(&m.to_bytes().unwrap()).unwrap();
    assert_eq!(ok.preserved().count(), 2);
    m.settings = Some(settings("settings.php"));
    assert!(matches!(refused(&m), ManifestError::Settings(_)));
    let mut shipped = with_paths(&["settings.json"]);
    shipped.settings = Some(settings("settings.json"));
    assert!(matches!(refused(&shipped), ManifestError::Collision(_)));
    let mut crossed = settings("settings.json");
    crossed.keys.get_mut("retries").unwrap().min = Some(11.0);
    m.settings = Some(crossed);
    assert!(matches!(refused(&m), ManifestError::Settings(_)));
}

#[test]
fn smoke_tests_have_bounds() {
    let test = SmokeTest {
        name: "t".to_owned(),
        argv: vec!["php".to_owned()],
        timeout_ms: 1,
        exit: 0,
        stdout_contains: None,
    };
    let mut m = with_paths(&["a"]);
    let cases = [
        SmokeTest {
            argv: vec![],
            ..test.clone()
        },
        SmokeTest {
            argv: vec!["x\0y".to_owned()],
            ..test.clone()
        },
        SmokeTest {
            argv: vec!["x".repeat(5000)],
            ..test.clone()
        },
        SmokeTest {
            timeout_ms: 0,
            ..test.clone()
        },
        SmokeTest {
            timeout_ms: u64::MAX,
            ..test.clone()
        },
    ];
    for case in cases {
        m.smoke_tests = vec![case];
        assert!(matches!(refused(&m), ManifestError::SmokeTest(_)));
    }
    m.smoke_tests = vec![SmokeTest {
        argv: vec!["a".to_owned(); 65],
        ..test
    }];
    assert!(matches!(refused(&m), ManifestError::Syntax(_)));
}

#[test]
fn a_digest_has_one_size_and_nothing_has_its_own() {
    let mut m = with_paths(&["a", "b"]);
    m.files[1].size = 2;
    assert!(matches!(refused(&m), ManifestError::Inconsistent(_)));
    let mut m = with_paths(&["a"]);
    m.files[0].size = 0;
    assert!(matches!(refused(&m), ManifestError::Inconsistent(_)));
    let empty = manifest("1.0.0", &files(&[("a", b"")]));
    assert_eq!(Manifest::parse(&empty.to_bytes().unwrap()).unwrap().contents(), []);
}

#[test]
fn ten_million_files_are_refused_without_being_read() {
    // What such a manifest decompresses to is cut off at the limit; what is within it stops at its 200,001st file.
    let entry = format!("{{\"path\":\"f\",\"size\":1,\"sha256\":\"{}\"}},", "0".repeat(64));
    let start = "{\"format\":1,\"product\":\"p\",\"version\":\"1.0.0\",\"impact\":\"low\",\"files\":[";
    let some = [start.as_bytes(), entry.repeat(MAX_FILES + 1).as_bytes()].concat();
    assert!(
        matches!(Manifest::parse(&some), Err(ManifestError::Syntax(e)) if e.to_string().contains("more than 200000"))
    );
    let many = entry.repeat((MAX_MANIFEST_BYTES as usize / entry.len()) + 1);
    assert!(matches!(Manifest::parse(many.as_bytes()), Err(ManifestError::TooLarge)));
    let bomb = plugmend_shared::bundle::codec::compress(many.as_bytes(), 1).unwrap();
    assert!(matches!(
        Manifest::parse_compressed(&bomb),
        Err(ManifestError::Compressed(_))
    ));
}

#[test]
fn nesting_and_unknown_fields_are_refused_and_a_newer_format_is_named() {
    let deep = format!("{{\"format\":1,\"x\":{}", "[".repeat(1_000_000));
    assert!(matches!(
        Manifest::parse(deep.as_bytes()),
        Err(ManifestError::Syntax(_))
    ));
    let newer = b"{\"format\":2,\"novelty\":true}";
    assert!(matches!(Manifest::parse(newer), Err(ManifestError::Format(2))));
}

#[test]
fn totals_are_limited() {
    let mut m = with_paths(&["a"]);
    m.files[0].size = u64::MAX;
    assert!(matches!(refused(&m), ManifestError::Limit(_)));
    let mut m = with_paths(&["a", "b", "c", "d", "e"]);
    for file in &mut m.files {
        file.size = 512 * 1024 * 1024;
    }
    assert!(matches!(refused(&m), ManifestError::Limit(_)));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = Manifest::parse(&bytes);
        let _ = Manifest::parse_compressed(&bytes);
    }

    #[test]
    fn a_flipped_bit_gives_another_digest_or_a_refusal(at in 0usize..10_000, bit in 0u8..8) {
        let original = with_paths(&["index.js", "lib/pay.js"]);
        let mut bytes = original.to_bytes().unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(other) = Manifest::parse(&bytes) {
            prop_assert_ne!(other.digest().unwrap(), original.digest().unwrap());
        }
    }
}
