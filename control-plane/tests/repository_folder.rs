//! A control plane that is killed at every step of publishing into a folder, while clients look.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod support;

use std::{
    fs,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use plugmend_control_plane::repo::OnlineKeys;
use plugmend_shared::clock::{Clock as _, SystemClock};
use ring::rand::SystemRandom;
use rustix::{
    fs::inotify,
    process::{Pid, Signal, kill_process},
};
use support::{
    database::TestDatabase,
    publisher::{Environment, Process, as_an_agent},
    releases::{Engineers, build},
};

fn look(folder: &Path) -> Vec<String> {
    as_an_agent(|path| fs::read(folder.join(path)).ok())
}

/// Every folder below and with this one.
fn folders(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_owned()];
    let mut at = 0;
    while let Some(folder) = found.get(at).cloned() {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        found.extend(entries.filter(|path| path.is_dir()));
        at += 1;
    }
    found
}

/// The file whose coming ends a count.
const END: &str = "end";

/// Counts what happens to files below a folder, and kills a process at the n-th happening.
struct Killer {
    seen: Arc<AtomicU32>,
    top: PathBuf,
    thread: Option<thread::JoinHandle<()>>,
}

impl Killer {
    fn at(nth: u32, process: &Process, top: &Path) -> Self {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        let what = inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CLOSE_WRITE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE;
        for folder in folders(top) {
            inotify::add_watch(&watch, &folder, what).unwrap();
        }
        let pid = Pid::from_child(&process.child);
        let seen = Arc::<AtomicU32>::default();
        let thread = thread::spawn({
            let seen = Arc::clone(&seen);
            move || count(&watch, nth, pid, &seen)
        });
        Self {
            seen,
            top: top.to_owned(),
            thread: Some(thread),
        }
    }

    /// How much happened until now: the file that says so comes after everything else, however late it is counted.
    fn end(mut self) -> u32 {
        fs::write(self.top.join(END), "").unwrap();
        self.thread.take().unwrap().join().unwrap();
        fs::remove_file(self.top.join(END)).unwrap();
        self.seen.load(Ordering::SeqCst)
    }
}

fn count(watch: &OwnedFd, nth: u32, pid: Pid, seen: &AtomicU32) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(watch, &mut buffer);
    loop {
        let event = events.next().unwrap();
        if event.file_name().is_some_and(|name| name.to_bytes() == END.as_bytes()) {
            return;
        }
        if seen.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            kill_process(pid, Signal::KILL).unwrap();
        }
    }
}

/// Looks at a folder for as long as it lives; panics at the first thing that does not fit.
struct Client {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<usize>>,
}

impl Client {
    fn of(folder: &Path) -> Self {
        let (stop, folder) = (Arc::<AtomicBool>::default(), folder.to_owned());
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut most = 0;
                while !stop.load(Ordering::SeqCst) {
                    let seen = look(&folder).len();
                    assert!(seen >= most, "a release has gone");
                    most = seen;
                    thread::park_timeout(Duration::from_millis(5));
                }
                most
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    fn end(mut self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_is_killed_anywhere_leaves_clients_whole_and_can_be_repeated() {
    let database = TestDatabase::migrated().await;
    let state = tempfile::tempdir().unwrap();
    let keys = OnlineKeys::load_or_make(&state.path().join("repository-keys"), &SystemRandom::new()).unwrap();
    let mut engineers = Engineers::new(keys.public(), SystemClock.now());
    let first = build("1.0.0", &[("index.js", "one")]);
    engineers.add(&first);
    let none = Environment::new();
    let mut process = Process::start(state.path(), &database, &none).await;
    process.upload(&first).await;
    process.publish(&engineers.submission()).await;
    let folder = state.path().join("repository");
    assert_eq!(look(&folder), ["1.0.0"]);

    let client = Client::of(&folder);
    let mut published = 1;
    for step in 1..=200_u32 {
        let version = format!("1.{step}.0");
        let built = build(&version, &[("index.js", &version)]);
        engineers.next();
        engineers.add(&built);
        let submission = engineers.submission();
        process.upload(&built).await;
        let killer = Killer::at(step, &process, &folder);
        let answered = process.try_publish(&submission).await;
        let happened = killer.end();
        let seen = look(&folder).len();
        assert!(seen == published || seen == published + 1, "step {step}: {seen}");

        if happened >= step {
            process = Process::start(state.path(), &database, &none).await;
        }
        process.publish(&submission).await;
        published += 1;
        assert_eq!(look(&folder).len(), published, "step {step}");
        if happened < step {
            assert!(answered && step > 10, "only {happened} steps in {step}");
            assert!(client.end() <= published);
            return;
        }
    }
    panic!("a publication takes more than 200 steps");
}
