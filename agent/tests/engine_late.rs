//! What processes of the old version save after the swap: the shop sees it, or it is kept and told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers: a panic is the report")]

mod engine_support;
#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;

use std::{fs, path::PathBuf};

use engine_support::{Host, SETTINGS, Shop, acked, command, perform, shop, update};
use plugmend_agent::domain::installed::LayoutKind;
use plugmend_shared::protocol::command::CommandKind;

const LAYOUTS: [LayoutKind; 3] = [LayoutKind::Exchange, LayoutKind::Symlink, LayoutKind::Stub];

fn tree(host: &Host, name: &str) -> PathBuf {
    let stub = host.plugin().join("versions").join(name);
    if stub.exists() { stub } else { host.work().join(name) }
}

/// A program that saves by renaming, in its own tree.
fn save(host: &Host, name: &str, content: &str) {
    let tree = tree(host, name);
    fs::write(tree.join("saved"), content).unwrap();
    fs::rename(tree.join("saved"), tree.join(SETTINGS)).unwrap();
}

fn seen(host: &Host) -> String {
    fs::read_to_string(host.plugin().join(SETTINGS)).unwrap()
}

fn kept(host: &Host) -> Vec<String> {
    let entries = fs::read_dir(host.work().join("kept")).unwrap();
    entries
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
        .collect()
}

#[test]
fn what_an_old_process_saves_while_it_is_reloaded_is_seen() {
    for layout in LAYOUTS {
        let Shop { _top, mut host } = shop(layout);
        let old = host.work().join("r0-1.0.0");
        let script = format!(
            "cd {} && echo '{{\"late\": 1}}' >saved && mv saved {SETTINGS}",
            old.display()
        );
        host.reload = Some(["/bin/sh", "-c", &script].map(str::to_owned).to_vec());
        let mut engine = host.open().unwrap();
        let outcome = acked(perform(&mut engine, &update(1, "1.1.0")));
        assert_eq!(seen(&host), "{\"late\": 1}\n", "{layout}");
        assert!(outcome.explanation.contains("written late"), "{layout}: {outcome:?}");
    }
}

#[test]
fn an_old_process_that_saves_over_a_new_order_hides_neither() {
    for layout in LAYOUTS {
        let Shop { _top, mut host } = shop(layout);
        let old = host.work().join("r0-1.0.0");
        let script = format!(
            "echo '{{\"new\": 1}}' >{} && cd {} && echo '{{\"late\": 1}}' >saved && mv saved {SETTINGS}",
            host.plugin().join(SETTINGS).display(),
            old.display()
        );
        host.reload = Some(["/bin/sh", "-c", &script].map(str::to_owned).to_vec());
        let mut engine = host.open().unwrap();
        let outcome = acked(perform(&mut engine, &update(1, "1.1.0")));
        assert_eq!(seen(&host), "{\"new\": 1}\n", "{layout}");
        assert!(kept(&host).contains(&"{\"late\": 1}\n".to_owned()), "{layout}");
        assert!(
            outcome.explanation.contains("changed by both versions"),
            "{layout}: {outcome:?}"
        );
    }
}

#[test]
fn a_way_back_shows_what_was_written_since_and_not_a_late_save_of_long_ago() {
    for layout in LAYOUTS {
        let Shop { _top, host } = shop(layout);
        let mut engine = host.open().unwrap();
        acked(perform(&mut engine, &update(1, "1.1.0")));
        acked(perform(&mut engine, &update(2, "1.2.0")));
        for (n, (left, to)) in [("r1-1.1.0", "1.1.0"), ("r0-1.0.0", "1.0.0")].into_iter().enumerate() {
            save(&host, left, "late");
            let orders = format!("{{\"orders\": {n}}}\n");
            fs::write(host.plugin().join(SETTINGS), &orders).unwrap();
            let outcome = acked(perform(
                &mut engine,
                &command(3 + n as u64, CommandKind::Rollback, Some(to)),
            ));
            assert_eq!(seen(&host), orders, "{layout} {to}");
            assert!(outcome.explanation.contains("is kept at"), "{layout} {to}: {outcome:?}");
            assert_eq!(kept(&host).iter().filter(|copy| *copy == "late").count(), n + 1);
        }
    }
}
