//! The door for the person on the host while the agent runs: a Unix socket in the state directory, for the agent's own
//! user and root. One JSON object in, one out, on one line each.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
    time::timeout,
};

use super::unless_stopped;

/// The longest question, in bytes.
const MAX_QUESTION: u64 = 4096;
/// How long a question may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most people at once.
const AT_ONCE: usize = 4;

/// What a person may ask of a running agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// How it is.
    Status,
    /// Back to the release before, or to the one named.
    Rollback {
        /// The version to go back to.
        #[serde(default)]
        to: Option<semver::Version>,
        /// Also from a release that changed its data: the person has restored the snapshot.
        #[serde(default)]
        force: bool,
    },
    /// Compare the installed files with the signed manifest now.
    Verify,
    /// Look for what could keep the agent from its work.
    Doctor,
}

/// What the agent answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply {
    /// What came of it, as far as it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Reply {
    /// A result.
    pub fn of(result: &impl Serialize) -> Self {
        match serde_json::to_value(result) {
            Ok(result) => Self {
                result: Some(result),
                error: None,
            },
            Err(error) => Self::failed(error.to_string()),
        }
    }

    /// A failure.
    pub fn failed(error: impl Into<String>) -> Self {
        Self {
            result: None,
            error: Some(error.into()),
        }
    }
}

/// Where the door is.
pub fn door(state_dir: &Path) -> PathBuf {
    state_dir.join("control.sock")
}

/// Opens the door. The caller holds the agent's lock: whatever socket lies there is of a dead agent.
///
/// # Errors
/// When the socket can not be made.
pub fn bind(state_dir: &Path) -> io::Result<UnixListener> {
    let path = door(state_dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until the agent stops.
pub async fn run<A, F>(listener: UnixListener, answer: A, mut stop: watch::Receiver<bool>)
where
    A: Fn(Question) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let answer = Arc::new(answer);
    while let Some(accepted) = unless_stopped(listener.accept(), &mut stop).await {
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        let (Ok(place), true) = (places.clone().try_acquire_owned(), admits(&stream)) else {
            continue;
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            let _place = place;
            let _ = serve(stream, &*answer).await;
        });
    }
}

fn admits(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

async fn serve<A, F>(mut stream: UnixStream, answer: &A) -> io::Result<()>
where
    A: Fn(Question) -> F,
    F: Future<Output = Reply>,
{
    let mut line = String::new();
    let mut reader = BufReader::with_capacity(512, (&mut stream).take(MAX_QUESTION));
    let read = timeout(PATIENCE, reader.read_line(&mut line)).await;
    read.map_err(|_| io::ErrorKind::TimedOut)??;
    let reply = match serde_json::from_str(&line) {
        Ok(question) => tokio::select! {
            reply = answer(question) => reply,
            // Nobody waits for it any more, so nobody's place is held, and what was not begun is left.
            () = gone(&mut stream) => return Ok(()),
        },
        Err(error) => Reply::failed(format!("the question is not understood: {error}")),
    };
    let mut bytes = serde_json::to_vec(&reply)?;
    bytes.push(b'\n');
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

/// Waits until the other side has hung up. What it says after its question is not heard.
async fn gone(stream: &mut UnixStream) {
    let mut ignored = [0; 64];
    while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, Write as _};

    use super::*;

    async fn asked(dir: PathBuf, question: &'static str) -> String {
        tokio::task::spawn_blocking(move || {
            let mut stream = std::os::unix::net::UnixStream::connect(door(&dir)).unwrap();
            stream.write_all(question.as_bytes()).unwrap();
            let mut line = String::new();
            std::io::BufReader::new(stream).read_line(&mut line).unwrap();
            line
        })
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn a_question_is_answered_and_nonsense_is_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(door(dir.path()), "left by a killed agent").unwrap();
        let listener = bind(dir.path()).unwrap();
        let mode = fs::metadata(door(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (stop, stopped) = watch::channel(false);
        let answer = |question| async move { Reply::of(&format!("{question:?}")) };
        let task = tokio::spawn(run(listener, answer, stopped));
        assert_eq!(
            asked(dir.path().into(), "{\"do\":\"status\"}\n").await,
            "{\"result\":\"Status\"}\n"
        );
        assert!(
            asked(dir.path().into(), "{\"do\":\"dance\"}\n")
                .await
                .contains("not understood")
        );
        stop.send(true).unwrap();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn who_hangs_up_gives_their_place_to_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let listener = bind(dir.path()).unwrap();
        let (_stop, stopped) = watch::channel(false);
        let waiting = Arc::new(Semaphore::new(0));
        let asked_for_long = waiting.clone();
        let answer = move |question| {
            let waiting = asked_for_long.clone();
            async move {
                if question == Question::Doctor {
                    waiting.add_permits(1);
                    std::future::pending::<()>().await;
                }
                Reply::of(&"here")
            }
        };
        let task = tokio::spawn(run(listener, answer, stopped));
        for _ in 0..3 * AT_ONCE {
            let mut stream = UnixStream::connect(door(dir.path())).await.unwrap();
            stream.write_all(b"{\"do\":\"doctor\"}\n").await.unwrap();
            // It has its place, and hangs up.
            waiting.acquire().await.unwrap().forget();
            drop(stream);
            let said = asked(dir.path().into(), "{\"do\":\"status\"}\n").await;
            assert_eq!(said, "{\"result\":\"here\"}\n", "the place is given back");
        }
        task.abort();
    }
}
