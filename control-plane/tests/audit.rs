//! The audit trail is proved against its witnesses: what a superuser of the database does to it is found.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::path::Path;

use plugmend_control_plane::{
    service::audit_chain::{NewestCheckpoint, SealError, Sealer},
    store::audit_chain,
};
use plugmend_shared::{
    audit::{
        checkpoint::{Checkpoint, LogKey, notes},
        verify::{Finding, Report, Verifier},
    },
    clock::{Clock as _, SystemClock},
};
use ring::{rand::SystemRandom, signature::Ed25519KeyPair};
use support::database::TestDatabase;

const ORIGIN: &str = "shop.example/audit";

struct Log {
    database: TestDatabase,
    outside: tempfile::TempDir,
    key: Vec<u8>,
}

impl Log {
    /// With so many entries, sealed one by one.
    async fn with(entries: u32) -> Self {
        let log = Self {
            database: TestDatabase::migrated().await,
            outside: tempfile::tempdir().unwrap(),
            key: Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                .unwrap()
                .as_ref()
                .to_vec(),
        };
        for n in 0..entries {
            log.entry(n).await;
            log.seal().await.unwrap();
        }
        log
    }

    async fn entry(&self, n: u32) {
        let entry =
            format!("SELECT log_plugin_audit(NULL, NULL, 'ada', 'ops', 'did {n}', '{{\"n\": {n}, \"x\": 1.50}}')");
        self.database.run(&entry).await;
    }

    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_pkcs8(&self.key).unwrap()
    }

    fn sealer(&self, dir: &Path) -> Sealer {
        Sealer::new(self.database.db.clone(), ORIGIN, self.pair(), dir).unwrap()
    }

    async fn seal(&self) -> Result<(u64, bool), SealError> {
        self.sealer(self.outside.path()).seal(SystemClock.now()).await
    }

    fn key(&self) -> LogKey {
        LogKey::of(ORIGIN, &self.pair()).unwrap()
    }

    /// What the file outside has witnessed.
    fn witnessed(&self) -> Vec<Checkpoint> {
        let text = std::fs::read_to_string(self.outside.path().join("checkpoints")).unwrap();
        notes(&text)
            .iter()
            .map(|note| Checkpoint::verify(note, &self.key()).unwrap())
            .collect()
    }

    async fn verify(&self) -> Report {
        let mut verifier = Verifier::new(self.witnessed());
        let db = &self.database.db;
        for line in audit_chain::export(db, 0, 10_000).await.unwrap() {
            // Through its written form, as a file has it.
            verifier.line(&serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap());
        }
        for line in audit_chain::without_place(db, 1000).await.unwrap() {
            verifier.line(&line);
        }
        verifier.end()
    }

    /// As a superuser who switches the rules off.
    async fn tamper(&self, sql: &str) {
        let sql = format!("BEGIN; SET LOCAL session_replication_role = replica; {sql}; COMMIT");
        self.database.run(&sql).await;
    }
}

#[tokio::test]
async fn an_untouched_trail_is_proved() {
    let log = Log::with(5).await;
    log.entry(5).await;
    let report = log.verify().await;
    assert_eq!((report.entries, report.covered, report.waiting), (5, 5, 1));
    assert!(report.findings.is_empty(), "{report:?}");
    log.seal().await.unwrap();
    assert_eq!(log.verify().await.covered, 6);
}

#[tokio::test]
async fn what_a_superuser_does_to_the_trail_is_found() {
    let cases: &[(&str, &[Finding])] = &[
        (
            "UPDATE plugin_audit SET action = 'did nothing' WHERE action = 'did 2'",
            &[Finding::Edited(2)],
        ),
        // As JSON it is the same; as it was written it is not.
        (
            "UPDATE plugin_audit SET details = '{\"n\": 2, \"x\": 1.5}' WHERE action = 'did 2'",
            &[Finding::Edited(2)],
        ),
        (
            "UPDATE plugin_audit SET created_at = created_at - interval '1 second' WHERE action = 'did 2'",
            &[Finding::Edited(2)],
        ),
        (
            "DELETE FROM plugin_audit WHERE action = 'did 2'",
            &[Finding::Removed(2)],
        ),
        (
            "DELETE FROM plugin_audit WHERE action = 'did 4'; DELETE FROM audit_leaves WHERE seq = 4",
            &[Finding::CutOff { has: 4, witnessed: 5 }],
        ),
        (
            "UPDATE audit_leaves l SET entry_id = o.entry_id, leaf = o.leaf FROM audit_leaves o
          WHERE l.seq + o.seq = 5 AND l.seq IN (2, 3) AND (SELECT count(*) FROM audit_leaves) > 0",
            &[],
        ),
        (
            "INSERT INTO plugin_audit (actor_type, action, created_at) VALUES ('ops', 'never was', now() - interval '1 day')",
            &[],
        ),
    ];
    for (sql, wanted) in cases {
        let log = Log::with(5).await;
        if sql.starts_with("UPDATE audit_leaves") {
            log.tamper("ALTER TABLE audit_leaves DROP CONSTRAINT audit_leaves_entry_id_key")
                .await;
        }
        log.tamper(sql).await;
        let report = log.verify().await;
        assert!(!report.findings.is_empty(), "{sql}");
        for finding in *wanted {
            assert!(report.findings.contains(finding), "{sql}: {:?}", report.findings);
        }
    }
}

#[tokio::test]
async fn leaves_and_checkpoints_made_to_fit_do_not_help_against_a_witness() {
    let log = Log::with(5).await;
    // An entry is changed, and its leaf with it.
    log.tamper("UPDATE plugin_audit SET action = 'did nothing' WHERE action = 'did 2'")
        .await;
    let entries = audit_chain::export(&log.database.db, 0, 100).await.unwrap();
    let leaf = entries[2].entry.as_ref().unwrap().leaf().unwrap();
    log.tamper(&format!("UPDATE audit_leaves SET leaf = '\\x{leaf}' WHERE seq = 2"))
        .await;
    let report = log.verify().await;
    assert_eq!(report.findings, [Finding::Differs { after: 2, until: 3 }]);

    // With the key as well: everything is signed anew, and contradicts what was witnessed before.
    log.tamper("TRUNCATE audit_leaves, audit_checkpoints, audit_waiting")
        .await;
    log.tamper("INSERT INTO audit_waiting (entry_id) SELECT entry_id FROM plugin_audit ORDER BY created_at")
        .await;
    let elsewhere = tempfile::tempdir().unwrap();
    log.sealer(elsewhere.path()).seal(SystemClock.now()).await.unwrap();
    let report = log.verify().await;
    assert!(
        report.findings.contains(&Finding::Differs { after: 2, until: 3 }),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_database_that_fell_behind_its_witness_is_not_signed_on() {
    let log = Log::with(5).await;
    log.tamper("DELETE FROM audit_leaves WHERE seq >= 3; DELETE FROM audit_checkpoints WHERE size > 3")
        .await;
    log.entry(9).await;
    let refused = log.seal().await.unwrap_err();
    assert!(
        matches!(
            refused,
            SealError::Behind {
                has: 3,
                witnessed: 5,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(log.witnessed().len(), 5);
}

#[tokio::test]
async fn entries_of_transactions_that_overlap_get_their_places_and_none_is_forgotten() {
    use sqlx::{Connection as _, Executor as _, PgConnection};
    let log = Log::with(1).await;
    let mut slow = PgConnection::connect(&log.database.url).await.unwrap();
    slow.execute("BEGIN; SELECT log_plugin_audit(NULL, NULL, 'ada', 'ops', 'slow')")
        .await
        .unwrap();
    log.entry(1).await;
    assert_eq!(log.seal().await.unwrap().0, 1);
    slow.execute("COMMIT").await.unwrap();
    assert_eq!(log.seal().await.unwrap().0, 1);
    assert!(log.verify().await.findings.is_empty());
    assert_eq!(log.database.number("SELECT count(*) FROM audit_leaves").await, 3);
    assert_eq!(log.database.number("SELECT count(*) FROM audit_waiting").await, 0);
}

#[tokio::test]
async fn replicas_that_seal_at_once_make_one_log_and_each_its_own_witness() {
    let log = Log::with(0).await;
    let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    for n in 0..20 {
        log.entry(n).await;
        let sealers: Vec<_> = dirs.iter().map(|dir| log.sealer(dir.path())).collect();
        let together = sealers.iter().map(|sealer| sealer.seal(SystemClock.now()));
        for sealed in futures_util::future::join_all(together).await {
            sealed.unwrap();
        }
    }
    for dir in &dirs {
        log.sealer(dir.path()).seal(SystemClock.now()).await.unwrap();
        let text = std::fs::read_to_string(dir.path().join("checkpoints")).unwrap();
        assert_eq!(notes(&text).len(), 20);
    }
    // Another key can not go on where this one has begun.
    let other = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let other = Ed25519KeyPair::from_pkcs8(other.as_ref()).unwrap();
    let stranger = tempfile::tempdir().unwrap();
    let sealer = Sealer::new(log.database.db.clone(), ORIGIN, other, stranger.path()).unwrap();
    assert!(matches!(
        sealer.seal(SystemClock.now()).await,
        Err(SealError::OtherKey(_))
    ));
}

#[tokio::test]
async fn a_file_that_a_crash_cut_off_goes_on_whole() {
    let log = Log::with(3).await;
    let file = log.outside.path().join("checkpoints");
    let text = std::fs::read(&file).unwrap();
    std::fs::write(&file, &text[..text.len() - 20]).unwrap();
    log.entry(3).await;
    log.seal().await.unwrap();
    assert_eq!(
        log.witnessed()
            .iter()
            .map(|checkpoint| checkpoint.size)
            .collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
}

#[tokio::test]
async fn ops_are_told_once_when_an_agent_witnesses_what_is_gone() {
    let log = Log::with(3).await;
    let newest = NewestCheckpoint::new(Some(log.key()));
    let db = &log.database.db;
    newest.refresh(db).await.unwrap();
    let held = newest.note().unwrap();
    newest.heard(db, &held).await.unwrap();
    log.tamper("DELETE FROM audit_leaves WHERE seq >= 2; DELETE FROM audit_checkpoints WHERE size > 2")
        .await;
    newest.refresh(db).await.unwrap();
    let told = "SELECT count(*) FROM outbox_events WHERE kind = 'audit.contradicted'";
    // What nobody signed proves nothing.
    newest.heard(db, &held.replace("\n3\n", "\n9\n")).await.unwrap();
    assert_eq!(log.database.number(told).await, 0);
    for _ in 0..3 {
        newest.heard(db, &held).await.unwrap();
    }
    assert_eq!(log.database.number(told).await, 1);
}

#[tokio::test]
async fn the_first_sealing_of_a_long_trail_is_no_tampering() {
    let log = Log::with(0).await;
    log.database
        .run(
            "INSERT INTO plugin_audit (actor_type, action, details, created_at)
             SELECT 'system', 'did ' || n, '{}', now() - interval '90 days' + n * interval '1 minute'
             FROM generate_series(1, 2500) AS n",
        )
        .await;
    log.seal().await.unwrap();
    assert_eq!(log.verify().await.findings, [], "others still wait for their places");
    while log.seal().await.unwrap().1 {}
    let report = log.verify().await;
    assert_eq!((report.entries, report.covered, report.checkpoints), (2500, 2500, 3));
    assert_eq!(report.findings, []);
    log.entry(1).await;
    log.seal().await.unwrap();
    assert_eq!(log.verify().await.findings, []);
}

#[tokio::test]
async fn a_file_of_checkpoints_that_grew_large_is_put_aside_and_still_witnesses() {
    let log = Log::with(3).await;
    let file = log.outside.path().join("checkpoints");
    let notes_so_far = std::fs::read(&file).unwrap();
    std::fs::write(&file, [vec![b'\n'; 64 * 1024 * 1024], notes_so_far].concat()).unwrap();
    log.entry(3).await;
    log.seal().await.unwrap();
    assert_eq!(
        log.witnessed()
            .iter()
            .map(|checkpoint| checkpoint.size)
            .collect::<Vec<_>>(),
        [4]
    );
    // Before anything is in the new file, the one put aside speaks.
    std::fs::remove_file(&file).unwrap();
    log.tamper("DELETE FROM audit_leaves WHERE seq >= 2; DELETE FROM audit_checkpoints WHERE size > 2")
        .await;
    assert!(matches!(
        log.seal().await,
        Err(SealError::Behind {
            has: 2,
            witnessed: 3,
            ..
        })
    ));
}
