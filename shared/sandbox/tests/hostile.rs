//! What tests with bad intent try, in every confinement that this machine has. Each is prevented, ends by itself or is
//! ended, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use plugmend_sandbox::{Confinement, Limits, Outcome, SandboxError, SandboxOptions, exec::ExecError, run};

const HOSTILE: &str = env!("CARGO_BIN_EXE_plugmend-hostile");
/// Far longer than any deed that ends by itself takes.
const LONG: Duration = Duration::from_mins(2);
const NOBODY: u32 = 65_534;
const PREVENTED: Option<i32> = Some(3);

/// One way to run a test: a confinement, and whether the caller is root.
struct Place {
    home: tempfile::TempDir,
    options: SandboxOptions,
    namespaces: bool,
}

impl Place {
    fn make(confinement: Confinement, as_nobody: bool) -> Self {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut helper = vec![HOSTILE.to_owned()];
        if as_nobody {
            let words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
            helper = words.iter().map(|word| (*word).to_owned()).chain(helper).collect();
        }
        // As a release's tree lies on a host: for everybody to read.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for folder in ["tree", "scratch"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        fs::write(home.path().join("tree/plugin.php"), "<?php").unwrap();
        if rustix::process::geteuid().is_root() {
            chown(home.path().join("scratch"), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let namespaces = confinement == Confinement::Namespaces;
        Self {
            home,
            options: SandboxOptions {
                helper,
                read: vec![Path::new(HOSTILE).parent().unwrap().to_owned()],
                without: if namespaces {
                    vec![Confinement::Landlock]
                } else {
                    vec![Confinement::Namespaces]
                },
                ..SandboxOptions::default()
            },
            namespaces,
        }
    }

    /// Every way that this machine offers; at least one, or the test is worth nothing.
    fn all() -> Vec<Self> {
        let root = rustix::process::geteuid().is_root();
        let mut all = Vec::new();
        for confinement in [Confinement::Namespaces, Confinement::Landlock] {
            for as_nobody in [false, true] {
                let place = Self::make(confinement, as_nobody);
                match plugmend_sandbox::available(&place.options) {
                    Ok(_) if as_nobody && !root => {}
                    Ok(protection) => {
                        assert!(protection.cuts_network(), "{}", protection.words());
                        all.push(place);
                    }
                    Err(SandboxError::Unavailable(why)) => println!("not here: {confinement:?}: {why}"),
                    Err(e) => panic!("{e}: {e:?}"),
                }
            }
        }
        assert!(!all.is_empty(), "this machine can confine nothing");
        all
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn run(&self, words: &[&str], limit: Duration) -> Result<Outcome, SandboxError> {
        let argv: Vec<String> = std::iter::once(HOSTILE)
            .chain(words.iter().copied())
            .map(str::to_owned)
            .collect();
        run(&self.options, &argv, &self.path("tree"), &self.path("scratch"), limit)
    }

    /// Runs a deed that ends by itself, without success.
    fn prevented(&self, words: &[&str]) {
        let outcome = self.run(words, LONG).unwrap();
        let finished = &outcome.finished;
        assert_eq!(
            finished.code,
            PREVENTED,
            "{words:?}: {} ({})",
            finished.words(),
            outcome.protection.words()
        );
    }
}

/// A word that no other process of this machine has.
fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("mark-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Processes of this machine that have `mark` on their command line.
fn running(mark: &str) -> usize {
    let lines = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|p| fs::read(p.path().join("cmdline")).ok());
    lines
        .filter(|line| line.windows(mark.len()).any(|part| part == mark.as_bytes()))
        .count()
}

#[test]
fn a_good_test_runs_and_may_write_to_its_scratch_folder() {
    for place in Place::all() {
        let outcome = place.run(&["good"], LONG).unwrap();
        assert_eq!(outcome.finished.code, Some(0), "{}", outcome.finished.words());
        assert_eq!(outcome.finished.stdout, "all is well\n");
    }
}

#[test]
fn a_test_has_a_root_and_a_user_but_no_rights_of_its_own() {
    for place in Place::all() {
        if !place.namespaces {
            continue;
        }
        let outcome = place.run(&["show"], LONG).unwrap();
        let said = &outcome.finished.stdout;
        let root = said.lines().next().unwrap();
        assert!(
            !root.contains("home") && !root.contains("old") && root.contains("usr"),
            "{said}"
        );
        for line in said.lines().filter(|line| line.starts_with("Cap")) {
            assert!(line.ends_with("0000000000000000"), "{said}");
        }
        assert!(said.contains("NoNewPrivs:\t1"), "{said}");
        assert!(!said.contains("user: 0\n"), "{said}");
        assert!(
            outcome.protection.own_users && outcome.protection.filter,
            "{}",
            outcome.protection.words()
        );
    }
}

#[test]
fn a_fork_bomb_is_contained_and_cleared_away() {
    for place in Place::all() {
        let mark = mark();
        let ended = place.run(&["fork-bomb", &mark], Duration::from_secs(2));
        match ended {
            Err(
                SandboxError::Exec(ExecError::TooLong { .. } | ExecError::TooMuch(_)) | SandboxError::Memory { .. },
            ) => {}
            Ok(outcome) => assert_ne!(outcome.finished.code, Some(0)),
            Err(e) => panic!("{e}"),
        }
        assert_eq!(running(&mark), 0);
    }
}

#[test]
fn a_disk_filler_fills_its_scratch_folder_only() {
    for mut place in Place::all() {
        place.options.limits = Limits {
            file: 32 << 20,
            scratch: 48 << 20,
            ..Limits::default()
        };
        match place.run(&["fill-disk"], LONG) {
            Ok(outcome) => assert_eq!(outcome.finished.code, PREVENTED, "{}", outcome.finished.words()),
            Err(SandboxError::Scratch { .. }) => assert!(!place.namespaces),
            Err(e) => panic!("{e}"),
        }
        if place.namespaces {
            assert_eq!(fs::read_dir(place.path("scratch")).unwrap().count(), 0);
        }
    }
}

#[test]
fn a_memory_filler_is_ended() {
    for mut place in Place::all() {
        place.options.limits.memory = 128 << 20;
        match place.run(&["fill-memory"], LONG) {
            Err(e @ SandboxError::Memory { .. }) => assert!(e.to_string().contains("more than 128 MiB of memory")),
            // Its own limit was faster than our look.
            Ok(outcome) => assert_ne!(outcome.finished.code, Some(0)),
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn a_flood_of_output_is_cut_off() {
    for place in Place::all() {
        match place.run(&["flood"], LONG) {
            Err(SandboxError::Exec(ExecError::TooMuch(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nobody_is_reached_over_the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = listener.local_addr().unwrap().to_string();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = socket.local_addr().unwrap().to_string();
    for place in Place::all() {
        place.prevented(&["connect", &tcp]);
        place.prevented(&["datagram", &udp]);
        place.prevented(&["connect", "192.0.2.1:80"]);
        place.prevented(&["datagram", "192.0.2.1:53"]);
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody came through");
}

#[test]
fn nothing_outside_is_written() {
    for place in Place::all() {
        let outside = place.path("outside");
        // Where these folders lie beneath /tmp, a test has a /tmp of its own, which is gone with it.
        let is_its_own = place.namespaces && outside.starts_with("/tmp");
        let written = place.run(&["write", outside.to_str().unwrap()], LONG).unwrap();
        assert!(
            is_its_own || written.finished.code == PREVENTED,
            "{}",
            written.finished.words()
        );
        let release = place.path("tree/plugin.php");
        place.prevented(&["write", release.to_str().unwrap()]);
        place.prevented(&["write", "/etc/passwd"]);
        place.prevented(&["write", "/usr/bin/plugmend-was-here"]);
        place.prevented(&["write", "/dev/plugmend-was-here"]);
        assert!(!outside.exists());
        assert_eq!(fs::read(release).unwrap(), b"<?php");
    }
}

#[test]
fn a_key_file_is_not_read_by_any_way_round() {
    for place in Place::all() {
        let key = place.path("key.pem");
        fs::write(&key, "secret").unwrap();
        // Even one that is for everybody to read.
        fs::set_permissions(&key, fs::Permissions::from_mode(0o666)).unwrap();
        let key = key.to_str().unwrap();
        place.prevented(&["read", key]);
        place.prevented(&["read", &format!("{}/../key.pem", place.path("tree").display())]);
        place.prevented(&["link-out", key]);
        place.prevented(&["by-proc", key]);
        place.prevented(&["read", "/etc/shadow"]);
        assert_eq!(fs::read(key).unwrap(), b"secret");
    }
}

#[test]
fn nobody_outside_is_traced_or_signalled() {
    let mut bystander = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    for place in Place::all() {
        place.prevented(&["trace-parent"]);
        place.prevented(&["namespaces"]);
        place.prevented(&["signal", &bystander.id().to_string()]);
        place.prevented(&["signal", &std::process::id().to_string()]);
        // Where it can be seen, the parent is the first process of the namespace: a signal to it is without effect.
        let outcome = place.run(&["signal-parent"], LONG);
        assert!(outcome.is_ok_and(|o| place.namespaces || o.finished.code == PREVENTED));
    }
    assert!(bystander.try_wait().unwrap().is_none(), "the bystander was hit");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn who_sleeps_forever_is_ended() {
    for place in Place::all() {
        let mark = mark();
        let ended = place.run(&["sleep", &mark], Duration::from_millis(300));
        assert!(
            matches!(ended, Err(SandboxError::Exec(ExecError::TooLong { .. }))),
            "{ended:?}"
        );
        assert_eq!(running(&mark), 0);
    }
}

#[test]
fn a_daemon_does_not_outlive_its_test() {
    for place in Place::all() {
        let mark = mark();
        let outcome = place.run(&["daemon", &mark], LONG).unwrap();
        // Where there is no process namespace, it can not even leave its session.
        assert_eq!(
            outcome.finished.code,
            if place.namespaces { Some(0) } else { PREVENTED }
        );
        assert_eq!(running(&mark), 0);
    }
}

#[test]
fn huge_arguments_are_a_clean_refusal_or_fit() {
    for place in Place::all() {
        let long = "x".repeat(4096);
        let words: Vec<&str> = std::iter::once("good")
            .chain(std::iter::repeat_n(long.as_str(), 63))
            .collect();
        // As many as a manifest may have: they reach the program, which does not know them.
        place.prevented(&words);
        let longer = "x".repeat(200_000);
        let outcome = place.run(&["good", &longer], LONG);
        assert!(matches!(outcome, Err(SandboxError::NotStarted(_))), "{outcome:?}");
        let far_too_long = "x".repeat(2_000_000);
        assert!(place.run(&["good", &far_too_long], LONG).is_err());
    }
}

#[test]
fn a_program_that_is_not_there_is_said() {
    for place in Place::all() {
        let argv = ["no-such-program-anywhere".to_owned()];
        let ended = run(&place.options, &argv, &place.path("tree"), &place.path("scratch"), LONG);
        match ended {
            Err(e @ SandboxError::NotStarted(_)) => assert!(e.to_string().contains("no-such-program-anywhere")),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn without_any_way_to_confine_a_test_it_is_refused() {
    let mut place = Place::make(Confinement::Namespaces, false);
    place.options.without = vec![Confinement::Namespaces, Confinement::Landlock];
    assert!(matches!(place.run(&["good"], LONG), Err(SandboxError::Unavailable(_))));
    place.options.accept_none = true;
    let outcome = place.run(&["good"], LONG).unwrap();
    assert!(!outcome.protection.cuts_network() && outcome.protection.words().contains("limits only"));
}
