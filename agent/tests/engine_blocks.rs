//! Updates that nobody made a delta for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers: a panic is the report")]

mod engine_support;
#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use engine_support::{Files, Host, Shop, acked, files, manifest, perform, shop_with, update};
use plugmend_agent::{domain::installed::LayoutKind, engine::Engine};
use plugmend_shared::protocol::command::{Outcome, OutcomeStatus};

type Asked = Arc<Mutex<Vec<(String, u64)>>>;

fn next() -> Files {
    let mut next = files("1.1.0", "1.1.0");
    next.get_mut("lib/deep/inner.php").unwrap().extend(b"one more line\n");
    next.insert("lib/new.php".to_owned(), b"<?php // new\n".to_vec());
    next
}

/// A shop at 1.1.0, with a release 1.3.0 that has blocks and no delta; nothing asked for yet.
fn at_the_first() -> (Shop, Engine<engine_support::Folder>, Asked) {
    let shop = shop_with(LayoutKind::Exchange, |releases| {
        releases.add_without_delta(manifest("1.3.0", &next()), next());
    });
    let asked = Asked::default();
    let mut engine = shop
        .host
        .open_with(Arc::default(), Arc::default(), Arc::clone(&asked))
        .unwrap();
    acked(perform(&mut engine, &update(1, "1.1.0")));
    asked.lock().unwrap().clear();
    (shop, engine, asked)
}

fn blocks_file(host: &Host) -> PathBuf {
    let mut folders = vec![host.repository().join("targets")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .to_str()
                .is_some_and(|p| p.contains("/1.3.0/") && p.ends_with(".blocks"))
            {
                return path;
            }
        }
    }
    panic!("1.3.0 has no blocks");
}

fn came(outcome: &Outcome, host: &Host) {
    assert_eq!(outcome.status, OutcomeStatus::Committed);
    assert_eq!(host.visible(), next());
}

fn targets(asked: &Asked) -> Vec<(String, u64)> {
    let mut asked = asked.lock().unwrap().clone();
    asked.retain(|(path, _)| path.starts_with("targets/"));
    asked
}

#[test]
fn without_a_delta_little_more_than_what_changed_is_fetched() {
    let (shop, mut engine, asked) = at_the_first();
    let outcome = acked(perform(&mut engine, &update(2, "1.3.0")));
    came(&outcome, &shop.host);
    let targets = targets(&asked);
    assert!(
        targets.iter().all(|(path, _)| path.ends_with(".blocks")),
        "nothing else was needed: {targets:?}"
    );
    let bytes: u64 = targets.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(outcome.bytes_fetched, bytes, "every byte is counted");
    assert!(bytes < 1_500, "{bytes} bytes");
}

#[test]
fn blocks_that_are_garbage_or_gone_only_cost_bytes() {
    for garble in [true, false] {
        let (shop, mut engine, asked) = at_the_first();
        let file = blocks_file(&shop.host);
        if garble {
            let noise: Vec<u8> = fs::read(&file).unwrap().iter().map(|byte| byte ^ 0x5a).collect();
            fs::write(&file, noise).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        let outcome = acked(perform(&mut engine, &update(2, "1.3.0")));
        came(&outcome, &shop.host);
        let targets = targets(&asked);
        for whole in [".manifest.json.zst", ".pack"] {
            assert!(targets.iter().any(|(path, _)| path.ends_with(whole)), "{targets:?}");
        }
        let bytes: u64 = targets.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(outcome.bytes_fetched, bytes, "wasted bytes are counted too");
    }
}
