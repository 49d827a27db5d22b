//! The built-in runner: fetches a release and verifies it as an agent would, lays it out, and runs its smoke tests in
//! the sandbox. It believes nobody: not its caller, not the repository, and least of all the release.

mod error;
mod fetch;
pub mod guard;
mod layout;
mod metadata;
mod report;
mod smoke;
mod source;

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use plugmend_sandbox::{Protection, SandboxOptions};
use plugmend_shared::ids::{Digest, Product};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

pub use error::RunError;
pub use source::Source;

use super::{
    StagingResult,
    types::{MAX_TIMEOUT_SECONDS, RunBody},
};
use metadata::Metadata;
use report::Report;

/// The wait for a turn takes at most one part in so many of a run's time.
const WAITING_SHARE: u32 = 4;

/// Where trust starts.
#[derive(Debug, Clone)]
pub enum Anchor {
    /// A root's file on this host.
    File(PathBuf),
    /// The SHA-256 of one of the repository's roots.
    Sha256(Digest),
    /// The first that the repository shows: for a developer's machine only.
    FirstSeen,
}

/// What a runner needs.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// Where releases come from.
    pub source: Source,
    /// Where trust starts.
    pub anchor: Anchor,
    /// Its own folder: trusted metadata, and releases while they are tried out.
    pub state: PathBuf,
    /// How tests are confined.
    pub sandbox: SandboxOptions,
    /// How many runs there are at a time.
    pub slots: usize,
    /// How many more may wait for their turn.
    pub waiting: usize,
    /// How long a run may take when its caller does not say.
    pub timeout: Duration,
}

/// A staging runner.
#[derive(Debug)]
pub struct Runner {
    options: RunnerOptions,
    metadata: Mutex<Metadata>,
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    next: AtomicU64,
}

impl Runner {
    /// Opens the runner's folder and clears away what an earlier life has left.
    ///
    /// # Errors
    /// The folder can not be used.
    pub fn open(options: RunnerOptions) -> Result<Self, RunError> {
        let work = options.state.join("work");
        if work.exists() {
            fs::remove_dir_all(&work).map_err(RunError::Disk)?;
        }
        // A test that runs as nobody must be able to come to its release.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&work)
            .map_err(RunError::Disk)?;
        let metadata = Metadata::open(&options.state.join("trusted"), options.anchor.clone())?;
        Ok(Self {
            metadata: Mutex::new(metadata),
            slots: Arc::new(Semaphore::new(options.slots)),
            waiting: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            options,
        })
    }

    /// How tests are confined on this host.
    ///
    /// # Errors
    /// They can not be: then every run is refused.
    pub fn protection(&self) -> Result<Protection, RunError> {
        Ok(plugmend_sandbox::available(&self.options.sandbox)?)
    }

    /// Tries a release out; `now` judges the repository's metadata.
    ///
    /// # Errors
    /// The run could not be made: nothing is known about the release.
    pub async fn run(&self, body: &RunBody, now: Timestamp) -> Result<StagingResult, RunError> {
        let began = Instant::now();
        let product = body.product.as_ref().ok_or(RunError::NoProduct)?;
        let asked = body.timeout_seconds.unwrap_or(MAX_TIMEOUT_SECONDS);
        let limit = match body.timeout_seconds {
            Some(_) => Duration::from_secs(asked.clamp(1, MAX_TIMEOUT_SECONDS).into()),
            None => self.options.timeout,
        };
        // The caller waits no longer than the limit; a crowd before the door takes a part of that at most.
        let turn = tokio::time::timeout(limit / WAITING_SHARE, self.turn())
            .await
            .map_err(|_| RunError::Busy)??;
        let deadline = began + limit;
        let mut report = Report::begin(began);
        let place = Place::make(&self.options.state, self.next.fetch_add(1, Ordering::Relaxed))?;
        let left = deadline.saturating_duration_since(Instant::now());
        let fetched = self.fetch(product, body, &place, &mut report, now);
        let release = match tokio::time::timeout(left, fetched).await {
            Ok(Ok(release)) => release,
            // Its content is not what was signed: that is a word about the release.
            Ok(Err(RunError::Damaged(why))) => {
                report.error(&format!("the release does not hold what was signed: {why}"));
                return Ok(report.end(0));
            }
            Ok(Err(e)) => return Err(e),
            Err(_) => return Err(RunError::OutOfTime("the release was not fetched")),
        };
        let sandbox = self.options.sandbox.clone();
        // The turn goes along: a caller that hangs up does not make room for another while its tests still run.
        let tested = tokio::task::spawn_blocking(move || {
            let result = smoke::run(&release, &place, &sandbox, deadline, report);
            drop((place, turn));
            result
        });
        tested.await.map_err(|e| RunError::Internal(e.to_string()))?
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, RunError> {
        if let Ok(turn) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(turn);
        }
        let _waiting = Waiting::begin(&self.waiting, self.options.waiting)?;
        let turn = Arc::clone(&self.slots).acquire_owned().await;
        turn.map_err(|_| RunError::Internal("the slots are closed".to_owned()))
    }

    async fn fetch(
        &self,
        product: &Product,
        body: &RunBody,
        place: &Place,
        report: &mut Report,
        now: Timestamp,
    ) -> Result<plugmend_shared::bundle::manifest::Manifest, RunError> {
        let source = &self.options.source;
        let release = {
            let mut metadata = self.metadata.lock().await;
            metadata.release(source, product, &body.version, now).await?
        };
        if body.release_digest.is_some_and(|wanted| wanted != release.digest) {
            return Err(RunError::OtherRelease(release.digest));
        }
        report.line(&format!(
            "{product} {} ({}) is signed and in force",
            release.version, release.digest
        ));
        let (manifest, bytes) = fetch::release(source, product, &release, place).await?;
        report.line(&format!(
            "{} files verified, {bytes} bytes fetched",
            manifest.files.len()
        ));
        Ok(manifest)
    }
}

/// One who waits for a turn.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize, most: usize) -> Result<Self, RunError> {
        let taken = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            (now < most).then_some(now + 1)
        });
        taken.map(|_| Self(count)).map_err(|_| RunError::Busy)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where one run does its work; gone with it.
#[derive(Debug)]
struct Place {
    folder: PathBuf,
}

impl Place {
    fn make(state: &Path, number: u64) -> Result<Self, RunError> {
        let folder = state.join("work").join(format!("run-{number}"));
        let place = Self { folder };
        for folder in [place.folder.clone(), place.tree(), place.incoming(), place.scratch()] {
            fs::DirBuilder::new()
                .mode(0o755)
                .create(folder)
                .map_err(RunError::Disk)?;
        }
        Ok(place)
    }

    fn tree(&self) -> PathBuf {
        self.folder.join("release")
    }

    fn incoming(&self) -> PathBuf {
        self.folder.join("incoming")
    }

    fn scratch(&self) -> PathBuf {
        self.folder.join("scratch")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "a run's folder is left until the next start");
        }
    }
}
