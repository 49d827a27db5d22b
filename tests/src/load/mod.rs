//! Customers: a load generator that keeps every answer and judges it.
//!
//! Half of the customers hold one connection open, half come anew each time. Nothing is retried: an answer that did not
//! come is a failure, whoever's it was.

mod connection;
mod remembering;
mod report;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::task::JoinSet;

pub use self::report::{Report, Swap};
pub use self::{connection::Connection, remembering::Remembering};

/// What one customer asks, and what it thinks of the answer.
pub trait Customer: Send + Sync + 'static {
    /// The `number`th request; numbers never repeat.
    fn request(&self, number: u64) -> Request<Full<Bytes>>;
    /// What the answer to it is worth.
    fn judge(&self, number: u64, status: StatusCode, body: &[u8]) -> Verdict;
}

/// What an answer is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A right answer by this version, and by no other.
    Right(String),
    /// No answer, or a wrong one.
    Failed(String),
    /// An answer by parts of two versions.
    Mixed(String),
    /// An error that is known to be a bug of the installed version itself: whoever put that version there is not to
    /// blame for it.
    OwnBug(String),
}

/// One request and what came of it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When it was sent.
    pub sent: Instant,
    /// When its answer was there.
    pub answered: Instant,
    /// What it was worth.
    pub verdict: Verdict,
}

/// Who comes, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Customers that keep their connection.
    pub keep_alive: u32,
    /// Customers that connect anew for each request.
    pub fresh: u32,
    /// How long each rests between two requests.
    pub pause: Duration,
    /// Requests after which all stop.
    pub limit: u64,
}

/// The longest that one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

struct Shared {
    at: SocketAddr,
    customer: Arc<dyn Customer>,
    plan: Plan,
    next: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
    samples: Mutex<Vec<Sample>>,
}

/// Customers at work.
pub struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Load {
    /// Lets customers come to `at` until the plan's limit or [`Load::finish`].
    pub fn start(at: SocketAddr, customer: Arc<dyn Customer>, plan: Plan) -> Self {
        let shared = Arc::new(Shared {
            at,
            customer,
            plan,
            next: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            samples: Mutex::new(Vec::new()),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..plan.keep_alive {
            tasks.spawn(come(shared.clone(), true));
        }
        for _ in 0..plan.fresh {
            tasks.spawn(come(shared.clone(), false));
        }
        Self { shared, tasks }
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u64 {
        self.shared.next.load(Ordering::Relaxed).min(self.shared.plan.limit)
    }

    /// Answers so far that were not right.
    pub fn not_right(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Waits until the plan's limit is reached.
    pub async fn run_out(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Sends nothing more, waits for the answers on their way, and gives all samples in the order of their answers.
    pub async fn finish(mut self) -> Result<Vec<Sample>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.run_out().await;
        let mut samples = match self.shared.samples.lock() {
            Ok(samples) => samples.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        };
        samples.sort_by_key(|s| s.answered);
        Ok(samples)
    }
}

async fn come(shared: Arc<Shared>, keep: bool) {
    let mut open: Option<Connection> = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= shared.plan.limit {
            break;
        }
        let sent = Instant::now();
        let (verdict, left) = ask(&shared, number, open.take()).await;
        open = left.filter(|_| keep);
        if !matches!(verdict, Verdict::Right(_)) {
            shared.failed.fetch_add(1, Ordering::Relaxed);
        }
        let sample = Sample {
            sent,
            answered: Instant::now(),
            verdict,
        };
        if let Ok(mut samples) = shared.samples.lock() {
            samples.push(sample);
        }
        tokio::time::sleep(shared.plan.pause).await;
    }
}

async fn ask(shared: &Shared, number: u64, open: Option<Connection>) -> (Verdict, Option<Connection>) {
    let request = shared.customer.request(number);
    let asked = async {
        let mut connection = match open {
            Some(connection) => connection,
            None => Connection::open(shared.at).await?,
        };
        let (status, body, again) = connection.ask(request).await?;
        anyhow::Ok((
            shared.customer.judge(number, status, &body),
            again.then_some(connection),
        ))
    };
    match tokio::time::timeout(ANSWER_LIMIT, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => (Verdict::Failed(format!("{error:#}")), None),
        Err(_) => (Verdict::Failed("no answer in time".to_owned()), None),
    }
}
