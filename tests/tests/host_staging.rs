//! The staging runner as it is meant to run: a process of its own, under a user of its own, beside a control plane
//! whose keys it can not read. Releases that mean harm end as failed results, and the next is tried out as ever.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::Command,
    time::Duration,
};

use plugmend_control_plane::{
    outgoing::HttpClient,
    staging::{StagingClient, StagingRequest, StagingResult},
};
use plugmend_shared::ids::Digest;
use plugmend_tests::{
    ports,
    process::Running,
    shop::shelf,
    system::{Backstage, Terms, binaries},
    wait,
};
use uuid::Uuid;

const PRODUCT: &str = "shelf";
const TOKEN: &str = "a-token-for-host-tests";
/// A user that owns nothing.
const RUNNER: u32 = 64_321;
const LIMIT: Duration = Duration::from_mins(3);

/// Lets everybody come to `folder`, and read what is beneath `readable`.
fn open_up(folder: &Path, readable: &Path) {
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(folder, 0o711);
    let mut waiting = vec![readable.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            mode(&path, 0o755);
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            mode(&path, 0o644);
        }
    }
}

fn runner(backstage: &Backstage, port: u16) -> Command {
    let state = backstage.control_plane.state_dir();
    let own = backstage.folder("runner").unwrap();
    chown(&own, Some(RUNNER), Some(RUNNER)).unwrap();
    let root = fs::read(backstage.releases.root_file()).unwrap();
    // Where the runner's user may read: a checkout can lie in somebody's home.
    let program = backstage.folder("program").unwrap().join("plugmend-control-plane");
    if !program.exists() {
        fs::copy(binaries::program("plugmend-control-plane").unwrap(), &program).unwrap();
    }
    let mut command = Command::new(program);
    command
        .args(["serve", "--roles", "staging-runner"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("STAGING_RUNNER_TOKEN", TOKEN)
        .env("PLUGMEND_STATE_DIR", &state)
        .env("PLUGMEND_STAGING_BIND", format!("127.0.0.1:{port}"))
        .env("PLUGMEND_STAGING_REPOSITORY", state.join("repository"))
        .env("PLUGMEND_STAGING_ROOT_SHA256", Digest::of(&root).to_string())
        .env("PLUGMEND_STAGING_STATE_DIR", own)
        .current_dir("/");
    command
}

async fn run(client: &StagingClient, version: &str) -> StagingResult {
    let request = StagingRequest {
        merchant_id: Uuid::from_u128(1).into(),
        plugin_id: Uuid::from_u128(2).into(),
        product: PRODUCT.parse().unwrap(),
        version: version.parse().unwrap(),
        release_digest: None,
    };
    client.run(&request, LIMIT).await.unwrap()
}

/// Smoke tests, each a line of shell, as a release's descriptor has them.
fn descriptor(deeds: &[(&str, &str)]) -> String {
    let one = |(name, script): &(&str, &str)| {
        let script = script.replace('\\', "\\\\").replace('"', "\\\"");
        format!("[[smoke_tests]]\nname = \"{name}\"\nargv = [\"bash\", \"-c\", \"{script}\"]\ntimeout_ms = 5000\n")
    };
    deeds.iter().map(one).collect()
}

fn processes_with(mark: &str) -> usize {
    let lines = fs::read_dir("/proc").unwrap().flatten();
    let lines = lines.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(mark))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: the runner has a user of its own"]
async fn releases_that_mean_harm_fail_and_leave_nothing_behind() {
    let backstage = Backstage::start(PRODUCT, "", Terms::default()).await.unwrap();
    let state = backstage.control_plane.state_dir();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let neighbour = listener.local_addr().unwrap().port();
    let key = state.join("pki/ca-key.pem").display().to_string();
    assert!(Path::new(&key).exists());
    let network = format!("echo hello > /dev/tcp/127.0.0.1/{neighbour}");
    let mark = format!("98{}", std::process::id());
    let daemon = format!("setsid sleep {mark} & disown; exit 3");
    let harmful = [
        ("fork bomb", "b(){ b | b & }; b; sleep 1000"),
        (
            "disk",
            "while :; do head -c 30000000 /dev/zero > $TMPDIR/f$((n++)) || exit 3; done",
        ),
        ("network", network.as_str()),
        ("outside", "echo here > /etc/plugmend-was-here"),
        ("key", &format!("cat {key}")),
        ("key by proc", &format!("cat /proc/1/root{key}")),
        ("link", &format!("ln -s {key} $TMPDIR/l && cat $TMPDIR/l")),
        ("parent", "kill -9 $PPID; kill -9 -1; exit 3"),
        ("daemon", &daemon),
        ("forever", "sleep 1000"),
    ];
    let release = |version: &str, deeds: &[(&str, &str)]| {
        let folder = backstage.folder(&format!("builds/{version}")).unwrap();
        shelf::write(&folder, version).unwrap();
        backstage
            .releases
            .release(&folder, version, &descriptor(deeds))
            .unwrap();
    };
    release("1.0.0", &harmful);
    release("1.0.1", &[("good", "test -n \"$TMPDIR\" && touch $TMPDIR/x")]);
    open_up(&state, &state.join("repository"));

    // As root it does not start.
    let port = ports::free().unwrap();
    let refused = runner(&backstage, port).output().unwrap();
    assert_eq!(
        refused.status.code(),
        Some(78),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );

    let mut command = runner(&backstage, port);
    command.uid(RUNNER).gid(RUNNER);
    let log = backstage.folder("logs").unwrap().join("runner.log");
    let mut running = Running::spawn("the staging runner", &mut command, &log).unwrap();
    wait::until("the runner to listen", Duration::from_mins(1), || {
        running.check()?;
        Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(()))
    })
    .unwrap();
    let http = HttpClient::new(None).unwrap();
    let client = StagingClient::new(http, &format!("http://127.0.0.1:{port}"), TOKEN.to_owned().into()).unwrap();

    let result = run(&client, "1.0.0").await;
    assert!(!result.passed, "{result:#?}");
    for (name, _) in &harmful {
        let failed = result.errors.iter().any(|error| error.contains(&format!("'{name}'")));
        assert!(failed, "{name} succeeded: {result:#?}");
    }
    assert!(!result.logs.join("\n").contains("PRIVATE KEY"), "{result:#?}");
    assert!(!Path::new("/etc/plugmend-was-here").exists());
    assert_eq!(processes_with(&mark), 0, "a daemon outlived its test");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "a test came through to the network");
    let work = backstage.folder("runner").unwrap().join("work");
    assert_eq!(fs::read_dir(work).unwrap().count(), 0);

    let result = run(&client, "1.0.1").await;
    assert!(result.passed, "{result:#?}\n{}", running.tail(20));
}
