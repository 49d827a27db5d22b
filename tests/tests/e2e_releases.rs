//! Nothing is published, and nothing is installed, that too few people signed.

use std::fs;

use plugmend_tests::{
    shop::shelf,
    system::{FIRST, Whole, update_to},
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_signature_of_two_publishes_nothing() {
    let whole = Whole::start("exchange").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    shelf::write(folder.path(), "1.1.0").unwrap();
    whole.releases.build(folder.path(), "1.1.0", "").unwrap();
    whole.releases.sign_as("holder-1").unwrap();
    assert!(whole.releases.publish().is_err());

    // The same person once more is still one person.
    whole.releases.sign_as("holder-1").unwrap();
    assert!(whole.releases.publish().is_err());
    assert!(
        whole.order("update", update_to("1.1.0")).await.is_err(),
        "an order for what nobody published was taken"
    );

    whole.releases.sign_as("holder-3").unwrap();
    whole.releases.publish().unwrap();
    let ended = whole.update("1.1.0").await.unwrap();
    assert_eq!(ended.status, "completed", "{}\n{}", ended.raw, whole.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_changed_on_the_server_is_refused_before_anything_is_activated() {
    let whole = Whole::start("exchange").await.unwrap();
    whole.publish("1.1.0", shelf::write).unwrap();
    let mut spoilt = 0;
    for path in files_below(&whole.control_plane.state_dir().join("repository")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Every way to the content, and every byte of it: else what is not spoilt is found elsewhere, or not needed.
        if ["pack", "delta", "blocks"].iter().any(|kind| name.contains(kind)) {
            let mut bytes = fs::read(&path).unwrap();
            for byte in &mut bytes {
                *byte ^= 1;
            }
            fs::write(&path, bytes).unwrap();
            spoilt += 1;
        }
    }
    assert!(spoilt > 0, "no pack was found in the repository");

    let mut order = update_to("1.1.0");
    order["max_retries"] = json!(0);
    let id = whole.order("update", order).await.unwrap();
    let ended = whole.ended(&id).await.unwrap();

    assert_eq!(ended.status, "failed", "{}", ended.raw);
    assert_eq!(shelf::version(&whole.plugin).as_deref(), Some(FIRST));
    assert_eq!(whole.watcher.swaps().len(), 1, "something was activated");
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}
