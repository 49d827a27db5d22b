//! The built-in staging runner: on a published repository, with real sandboxes, over HTTP and as a process of its own.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod support;

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use plugmend_control_plane::{
    http,
    outgoing::{Endpoint, HttpClient},
    staging::{
        RunBody, StagingClient, StagingError, StagingRequest, StagingResult,
        runner::{Anchor, RunError, Runner, RunnerOptions, Source},
    },
};
use plugmend_sandbox::SandboxOptions;
use plugmend_shared::{bundle::manifest::SmokeTest, ids::Digest};
use tokio::sync::watch;
use uuid::Uuid;

use support::{
    plane::Plane,
    releases::{Built, Engineers, PRODUCT, begin, build, from_manifest, publish, upload},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_plugmend-control-plane");
const TOKEN: &str = "a-token-for-these-tests";

/// A published release with these smoke tests, and the runner's folder.
struct Stage {
    plane: Plane,
    engineers: Engineers,
    built: Built,
    state: tempfile::TempDir,
}

fn test(name: &str, script: &str) -> SmokeTest {
    SmokeTest {
        name: name.to_owned(),
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        timeout_ms: 60_000,
        exit: 0,
        stdout_contains: None,
    }
}

impl Stage {
    async fn with(tests: Vec<SmokeTest>) -> Self {
        let (plane, mut engineers) = begin().await;
        let files = [("index.js", "one"), ("lib/deep/pay.js", "pay")];
        let mut manifest = build("1.2.3", &files).manifest;
        manifest.smoke_tests = tests;
        let built = from_manifest(manifest, &files);
        upload(&plane, &built).await;
        engineers.add(&built);
        publish(&plane, engineers.submission()).await.expect(200);
        Self {
            plane,
            engineers,
            built,
            state: tempfile::tempdir().unwrap(),
        }
    }

    fn folder(&self) -> std::path::PathBuf {
        self.plane.repository.path().join("repository")
    }

    fn options(&self) -> RunnerOptions {
        RunnerOptions {
            source: Source::Folder(self.folder()),
            anchor: Anchor::File(self.folder().join("metadata/1.root.json")),
            state: self.state.path().join("runner"),
            sandbox: SandboxOptions {
                helper: vec![PROGRAM.to_owned()],
                ..SandboxOptions::default()
            },
            slots: 1,
            waiting: 0,
            timeout: Duration::from_mins(2),
        }
    }

    fn body() -> RunBody {
        RunBody {
            merchant_id: Uuid::from_u128(1).into(),
            plugin_id: Uuid::from_u128(2).into(),
            version: "1.2.3".parse().unwrap(),
            product: Some(PRODUCT.parse().unwrap()),
            release_digest: None,
            timeout_seconds: None,
        }
    }

    async fn run(&self) -> Result<StagingResult, RunError> {
        self.run_as(self.options(), &Self::body()).await
    }

    async fn run_as(&self, options: RunnerOptions, body: &RunBody) -> Result<StagingResult, RunError> {
        Runner::open(options).unwrap().run(body, self.plane.now()).await
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.built.manifest.to_bytes().unwrap())
    }
}

#[tokio::test]
async fn a_release_whose_tests_succeed_passes_and_the_log_says_how_they_were_confined() {
    let mut second = test("says so", "echo version 1.2.3; echo password=hunter2");
    second.stdout_contains = Some("version 1.2.3".to_owned());
    let look = "test \"$(cat lib/deep/pay.js)\" = pay && test ! -w lib";
    let stage = Stage::with(vec![test("files are there", look), second]).await;
    let result = stage.run().await.unwrap();
    assert!(
        result.passed && result.tests_run == 2 && result.errors.is_empty(),
        "{result:?}"
    );
    let log = result.logs.join("\n");
    assert!(
        log.contains("is signed and in force") && log.contains("2 files verified"),
        "{log}"
    );
    assert!(
        log.contains("ran as user") && log.contains("password=[hidden]"),
        "{log}"
    );
    let work = stage.state.path().join("runner/work");
    assert_eq!(std::fs::read_dir(work).unwrap().count(), 0, "nothing is left behind");
    // Once more, on the metadata that it has kept.
    assert!(stage.run().await.unwrap().passed);
}

#[tokio::test]
async fn what_goes_wrong_is_named_in_words() {
    let mut silent = test("silent", "true");
    silent.stdout_contains = Some("anything".to_owned());
    let mut slow = test("slow", "sleep 1000");
    slow.timeout_ms = 300;
    let mut missing = test("missing", "");
    missing.argv = vec!["no-such-program".to_owned()];
    let stage = Stage::with(vec![
        test("code", "echo it broke >&2; exit 7"),
        silent,
        slow,
        missing,
        test(
            "flood",
            "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done",
        ),
        test("big file", "dd if=/dev/zero of=$TMPDIR/big bs=1M count=200"),
        test("shot", "kill -KILL $$"),
        test("good", "true"),
    ])
    .await;
    let result = stage.run().await.unwrap();
    // One could not be started: it was not run.
    assert!(!result.passed && result.tests_run == 7, "{result:?}");
    for (name, words) in [
        ("code", "exit code 7: it broke"),
        ("silent", "its output does not contain 'anything'"),
        ("slow", "was ended after 0.3 s"),
        ("missing", "no-such-program could not be started"),
        ("flood", "its output passed 16 MiB"),
        ("big file", "it wrote a file over the size limit"),
        ("shot", "signal 9"),
    ] {
        let error = result.errors.iter().find(|error| error.contains(&format!("'{name}'")));
        assert!(
            error.is_some_and(|error| error.contains(words)),
            "{name}: {:#?}",
            result.errors
        );
    }
    assert_eq!(result.errors.len(), 7, "{:#?}", result.errors);
}

#[tokio::test]
async fn a_release_without_tests_does_not_pass() {
    let stage = Stage::with(Vec::new()).await;
    let result = stage.run().await.unwrap();
    assert!(!result.passed && result.tests_run == 0);
    assert!(result.errors[0].contains("no smoke tests"));
}

#[tokio::test]
async fn the_runs_own_time_is_kept_over_all_its_tests() {
    let stage = Stage::with((0..5).map(|n| test(&format!("t{n}"), "sleep 1000")).collect()).await;
    let body = RunBody {
        timeout_seconds: Some(1),
        ..Stage::body()
    };
    let result = stage.run_as(stage.options(), &body).await.unwrap();
    assert!(!result.passed && result.tests_run <= 2, "{result:?}");
    assert!(
        result.errors.iter().any(|e| e.contains("time was up")),
        "{:#?}",
        result.errors
    );
}

#[tokio::test]
async fn only_the_signed_release_that_was_meant_is_tried_out() {
    let mut stage = Stage::with(vec![test("good", "true")]).await;
    let with = |change: &dyn Fn(&mut RunBody)| {
        let mut body = Stage::body();
        change(&mut body);
        body
    };
    let options = || stage.options();
    let right = stage.digest();
    let meant = with(&|body| body.release_digest = Some(right));
    assert!(stage.run_as(options(), &meant).await.unwrap().passed);
    let other = with(&|body| body.release_digest = Some(Digest::of(b"other")));
    assert!(matches!(
        stage.run_as(options(), &other).await,
        Err(RunError::OtherRelease(_))
    ));
    let unknown = with(&|body| body.version = "9.9.9".parse().unwrap());
    assert!(matches!(
        stage.run_as(options(), &unknown).await,
        Err(RunError::UnknownRelease { .. })
    ));
    let foreign = with(&|body| body.product = Some("another".parse().unwrap()));
    assert!(matches!(
        stage.run_as(options(), &foreign).await,
        Err(RunError::UnknownProduct(_))
    ));
    let none = with(&|body| body.product = None);
    assert!(matches!(stage.run_as(options(), &none).await, Err(RunError::NoProduct)));
    let pinned = RunnerOptions {
        anchor: Anchor::Sha256(Digest::of(b"another root")),
        state: stage.state.path().join("other"),
        ..options()
    };
    assert!(matches!(
        stage.run_as(pinned, &Stage::body()).await,
        Err(RunError::NoRoot(_))
    ));
    // Nobody has renewed the metadata for a year.
    stage.plane.advance(365 * 24 * 3600);
    assert!(matches!(stage.run().await, Err(RunError::Untrusted(_))));
    stage.engineers.roots.clear();
}

#[tokio::test]
async fn bytes_that_were_not_signed_are_a_failed_result() {
    let stage = Stage::with(vec![test("good", "true")]).await;
    let folder = stage.folder().join(format!("targets/{PRODUCT}/1.2.3"));
    let pack = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let pack = pack
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with(".pack"))
        .unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[5] ^= 1;
    std::fs::write(&pack, &bytes).unwrap();
    let result = stage.run().await.unwrap();
    assert!(!result.passed && result.tests_run == 0);
    assert!(
        result.errors[0].contains("does not hold what was signed"),
        "{:?}",
        result.errors
    );
}

/// A runner that listens, reading the repository from the API, and a client of it.
fn serve(stage: &Stage, stop: &watch::Sender<bool>) -> StagingClient {
    let spawn = |router| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(http::serve_plain(listener, router, stop.subscribe()));
        at
    };
    let token = || TOKEN.to_owned().into();
    let api = spawn(http::api_router_with_repository(stage.plane.state.clone(), &token()).unwrap());
    let client = HttpClient::new(None).unwrap();
    let options = RunnerOptions {
        source: Source::Http {
            client: client.clone(),
            at: Endpoint::parse(&format!("http://{api}/repo")).unwrap(),
            token: Some(token()),
        },
        anchor: Anchor::Sha256(Digest::of(
            &std::fs::read(stage.folder().join("metadata/1.root.json")).unwrap(),
        )),
        ..stage.options()
    };
    let runner = Arc::new(Runner::open(options).unwrap());
    let at = spawn(http::staging_router(runner, stage.plane.state.clock.clone(), &token()));
    StagingClient::new(client, &format!("http://{at}"), token()).unwrap()
}

fn request(stage: &Stage) -> StagingRequest {
    StagingRequest {
        merchant_id: Uuid::from_u128(1).into(),
        plugin_id: Uuid::from_u128(2).into(),
        product: PRODUCT.parse().unwrap(),
        version: "1.2.3".parse().unwrap(),
        release_digest: Some(stage.digest()),
    }
}

const LIMIT: Duration = Duration::from_mins(2);

#[tokio::test]
async fn client_and_runner_understand_each_other_over_http() {
    let stage = Stage::with(vec![test("good", "true")]).await;
    let stop = watch::Sender::new(false);
    let client = serve(&stage, &stop);
    let result = client.run(&request(&stage), LIMIT).await.unwrap();
    assert!(result.passed && result.tests_run == 1, "{result:?}");
    let mut unknown = request(&stage);
    unknown.version = "3.0.0".parse().unwrap();
    match client.run(&unknown, LIMIT).await {
        Err(StagingError::Refused { status: 422, words }) => assert!(words.contains("3.0.0"), "{words}"),
        other => panic!("{other:?}"),
    }
    stop.send_replace(true);
}

#[tokio::test]
async fn who_comes_when_every_slot_is_taken_is_asked_to_come_later() {
    let mut slow = test("slow", "sleep 1000");
    slow.timeout_ms = 3000;
    let stage = Stage::with(vec![slow]).await;
    let stop = watch::Sender::new(false);
    let client = serve(&stage, &stop);
    let asked = request(&stage);
    // One slot, and nobody may wait: of two at the same time one is sent away.
    let (one, other) = tokio::join!(client.run(&asked, LIMIT), client.run(&asked, LIMIT));
    let busy = |result: &Result<StagingResult, StagingError>| matches!(result, Err(StagingError::Busy { retry_after: Some(after) }) if !after.is_zero());
    assert!(busy(&one) != busy(&other), "{one:?} {other:?}");
    stop.send_replace(true);
}

#[tokio::test]
async fn nothing_is_run_or_read_without_the_token() {
    let stage = Stage::with(vec![test("good", "true")]).await;
    let stop = watch::Sender::new(false);
    let runner = Arc::new(Runner::open(stage.options()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let router = http::staging_router(runner, stage.plane.state.clock.clone(), &TOKEN.to_owned().into());
    tokio::spawn(http::serve_plain(listener, router, stop.subscribe()));
    let stranger = StagingClient::new(HttpClient::new(None).unwrap(), &at, "another-token".to_owned().into()).unwrap();
    let refused = stranger.run(&request(&stage), LIMIT).await;
    assert!(matches!(refused, Err(StagingError::Unauthorised)), "{refused:?}");
    stop.send_replace(true);
}

fn runner_process(state: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["serve", "--roles", "staging-runner"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("STAGING_RUNNER_TOKEN", TOKEN)
        .env("PLUGMEND_STATE_DIR", state.join("control-plane"))
        .env("PLUGMEND_STAGING_BIND", "127.0.0.1:0")
        .env("PLUGMEND_STAGING_REPOSITORY", state)
        .env("PLUGMEND_STAGING_ROOT_SHA256", Digest::of(b"root").to_string())
        .env("PLUGMEND_STAGING_STATE_DIR", state.join("runner"))
        .stdin(Stdio::null());
    command
}

/// What a runner says that does not start.
fn refusal(command: &mut Command) -> String {
    let out = command.output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(78), "{said}");
    said
}

#[test]
fn a_runner_that_could_read_a_key_does_not_start() {
    let home = tempfile::tempdir().unwrap();
    let keys = home.path().join("control-plane/pki");
    std::fs::create_dir_all(&keys).unwrap();
    std::fs::write(keys.join("ca-key.pem"), "key").unwrap();
    let said = refusal(&mut runner_process(home.path()));
    assert!(said.contains("ca-key.pem") || said.contains("is root"), "{said}");
    let said = refusal(runner_process(home.path()).env("DATABASE_URL", "postgres://user:hunter2@db/x"));
    assert!(said.contains("DATABASE_URL") || said.contains("is root"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let said = refusal(runner_process(home.path()).args(["--roles", "api"]));
    assert!(said.contains("process of its own") || said.contains("roles"), "{said}");
    let said = refusal(runner_process(home.path()).env_remove("STAGING_RUNNER_TOKEN"));
    assert!(said.contains("STAGING_RUNNER_TOKEN"), "{said}");
}
