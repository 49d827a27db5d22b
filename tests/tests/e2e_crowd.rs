//! A crowd of incidents through the real programs. `make soak` does the same with ten thousand.

use std::time::Duration;

use plugmend_tests::crowd::{self, Plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn incidents_are_worked_off_while_replicas_and_postgres_are_killed() {
    let plan = Plan {
        incidents: 40,
        seed: 3,
        longest_life: Duration::from_secs(8),
        fleet_percent: 50,
    };
    let tally = crowd::run(&plan).await.unwrap();
    // An entry for each step of each: decided, created, staged, applied, ended, mitigated and more.
    assert!(tally.audit_entries >= 40 * 6, "{tally:?}");
}
