//! A SIRA that answers as it is told, by HTTP over a real socket.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// How it answers.
#[derive(Debug, Clone)]
pub enum Manner {
    /// With this JSON.
    Json(Value),
    /// With this status, and nothing.
    Status(u16),
    /// With this status first, then with this JSON.
    Recovers(u16, Value),
    /// With a redirect to itself.
    Redirect,
    /// With these bytes as the body.
    Bytes(Vec<u8>),
    /// With so many bytes.
    Huge(usize),
    /// With a head, then a byte now and then.
    Drips,
    /// Not at all.
    Silent,
    /// With what is not HTTP.
    NotHttp,
    /// By closing the connection.
    Closes,
}

/// A running one.
pub struct FakeSira {
    /// Where.
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
    manner: Arc<Mutex<Manner>>,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl FakeSira {
    /// Starts one.
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let manner = Arc::new(Mutex::new(manner));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (counter, how, requests) = (asked.clone(), manner.clone(), seen.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (counter, how, requests) = (counter.clone(), how.clone(), requests.clone());
                tokio::spawn(async move {
                    let (request, stream) = read_request(stream).await;
                    let nth = counter.fetch_add(1, Ordering::SeqCst);
                    requests.lock().unwrap().push(request);
                    let manner = how.lock().unwrap().clone();
                    answer(stream, manner, nth).await;
                });
            }
        });
        Self {
            address,
            asked,
            manner,
            seen,
            task,
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The requests that came, head and body.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Has it answer otherwise from now on.
    pub fn becomes(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

impl Drop for FakeSira {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_request(mut stream: TcpStream) -> (String, TcpStream) {
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = stream.read(&mut chunk).await.unwrap_or(0);
        all.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&all);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length:")
                        .map(str::to_owned)
                })
                .and_then(|n| n.trim().parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                break;
            }
        }
        if n == 0 {
            break;
        }
    }
    (String::from_utf8_lossy(&all).into_owned(), stream)
}

async fn answer(mut stream: TcpStream, manner: Manner, nth: usize) {
    let json = |status: u16, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let bytes = match manner {
        Manner::Status(status) => json(status, b""),
        Manner::Recovers(status, _) if nth == 0 => json(status, b""),
        Manner::Json(value) | Manner::Recovers(_, value) => json(200, value.to_string().as_bytes()),
        Manner::Redirect => b"HTTP/1.1 307 X\r\nlocation: /api/sira/decide\r\ncontent-length: 0\r\n\r\n".to_vec(),
        Manner::Bytes(bytes) => json(200, &bytes),
        Manner::Huge(bytes) => json(200, &vec![b' '; bytes]),
        Manner::Drips => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n")
                .await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            return;
        }
        Manner::Silent => {
            std::future::pending::<()>().await;
            return;
        }
        Manner::NotHttp => b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        Manner::Closes => return,
    };
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}
