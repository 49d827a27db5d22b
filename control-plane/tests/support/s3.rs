//! Enough of S3 for a release repository, in memory: objects with ranges, copies, uploads in parts, lists; and a hook
//! before and after each change.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse as _, Response},
};

/// Called after the n-th change (from 1) was made and before it is answered.
type Hook = Box<dyn Fn(u32) + Send + Sync>;

/// One bucket.
#[derive(Default)]
pub struct S3 {
    objects: Mutex<BTreeMap<String, Bytes>>,
    parts: Mutex<BTreeMap<(String, u32), Bytes>>,
    changes: Mutex<u32>,
    hook: Mutex<Option<Hook>>,
    /// The end of a key whose next writing waits for a permit.
    held: Mutex<Option<(String, Arc<Gate>)>>,
}

/// Where a writing waits.
#[derive(Default)]
pub struct Gate {
    /// Told when it has come.
    pub here: tokio::sync::Notify,
    /// It goes on when this is told.
    pub go: tokio::sync::Notify,
}

impl S3 {
    /// Starts it on a port of its own.
    pub async fn start() -> (Arc<Self>, SocketAddr) {
        let this = Arc::new(Self::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(serve).with_state(Arc::clone(&this));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (this, address)
    }

    /// From now on, after each change, counted from one.
    pub fn after_each_change(&self, hook: impl Fn(u32) + Send + Sync + 'static) {
        *self.changes.lock().unwrap() = 0;
        *self.hook.lock().unwrap() = Some(Box::new(hook));
    }

    /// Nothing more is called.
    pub fn leave_alone(&self) {
        *self.hook.lock().unwrap() = None;
    }

    /// Holds the next writing of a key that ends so.
    pub fn hold(&self, end: &str) -> Arc<Gate> {
        let gate = Arc::<Gate>::default();
        *self.held.lock().unwrap() = Some((end.to_owned(), Arc::clone(&gate)));
        gate
    }

    async fn wait(&self, key: &str) {
        let gate = {
            let mut held = self.held.lock().unwrap();
            let mine = held.as_ref().is_some_and(|(end, _)| key.ends_with(end.as_str()));
            if mine { held.take() } else { None }
        };
        if let Some((_, gate)) = gate {
            gate.here.notify_one();
            gate.go.notified().await;
        }
    }

    /// How many changes there were since the hook was set.
    pub fn changes(&self) -> u32 {
        *self.changes.lock().unwrap()
    }

    /// An object, by its key.
    pub fn object(&self, key: &str) -> Option<Bytes> {
        self.objects.lock().unwrap().get(key).cloned()
    }

    fn changed(&self) {
        let number = {
            let mut changes = self.changes.lock().unwrap();
            *changes += 1;
            *changes
        };
        if let Some(hook) = &*self.hook.lock().unwrap() {
            hook(number);
        }
    }

    fn get(&self, key: &str, headers: &HeaderMap, with_body: bool) -> Response {
        let Some(bytes) = self.object(key) else {
            return (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>").into_response();
        };
        let len = bytes.len();
        let range = headers.get("range").and_then(|range| {
            let (from, to) = range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
            let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().unwrap_or(len - 1));
            Some((from, to.min(len - 1)))
        });
        let answer = Response::builder()
            .header("etag", etag(&bytes))
            .header("last-modified", "Sun, 22 Nov 2026 00:00:00 GMT");
        let (answer, part) = match range {
            Some((from, to)) => (
                answer
                    .status(206)
                    .header("content-range", format!("bytes {from}-{to}/{len}")),
                bytes.slice(from..=to),
            ),
            None => (answer.status(200), bytes),
        };
        let answer = answer.header("content-length", part.len());
        answer
            .body(if with_body { Body::from(part) } else { Body::empty() })
            .unwrap()
    }

    fn list(&self, prefix: &str) -> Response {
        let objects = self.objects.lock().unwrap();
        let contents: Vec<_> = objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, bytes)| {
                format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-11-22T00:00:00.000Z</LastModified>\
                     <ETag>e</ETag><Size>{}</Size></Contents>",
                    bytes.len()
                )
            })
            .collect();
        let contents = contents.concat();
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>").into_response()
    }
}

async fn serve(State(s3): State<Arc<S3>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024 * 1024).await.unwrap();
    let query: BTreeMap<String, String> = serde_query(parts.uri.query().unwrap_or_default());
    let path = parts.uri.path().trim_start_matches('/');
    let key = path.split_once('/').map_or("", |(_bucket, key)| key).to_owned();
    match (&parts.method, query.get("partNumber"), query.get("uploadId")) {
        (&Method::GET, ..) if key.is_empty() => s3.list(query.get("prefix").map_or("", |p| p)),
        (&Method::GET, ..) => s3.get(&key, &parts.headers, true),
        (&Method::HEAD, ..) => s3.get(&key, &parts.headers, false),
        (&Method::POST, ..) if query.contains_key("uploads") => {
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>".into_response()
        }
        (&Method::PUT, Some(number), _) => {
            let number = number.parse().unwrap();
            let etag = etag(&body);
            s3.parts.lock().unwrap().insert((key, number), body);
            [("etag", etag)].into_response()
        }
        (&Method::POST, _, Some(_)) => {
            let mut parts = s3.parts.lock().unwrap();
            let whole: Vec<u8> = parts
                .iter()
                .filter(|((of, _), _)| *of == key)
                .flat_map(|(_, b)| b.to_vec())
                .collect();
            parts.retain(|(of, _), _| *of != key);
            drop(parts);
            s3.objects.lock().unwrap().insert(key, whole.into());
            s3.changed();
            "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>".into_response()
        }
        (&Method::PUT, ..) => {
            s3.wait(&key).await;
            put(&s3, key, body, &parts.headers)
        }
        (&Method::DELETE, _, None) => {
            s3.objects.lock().unwrap().remove(&key);
            s3.changed();
            StatusCode::NO_CONTENT.into_response()
        }
        (&Method::DELETE, ..) => StatusCode::NO_CONTENT.into_response(),
        other => panic!("{other:?} {}", parts.uri),
    }
}

fn put(s3: &S3, key: String, body: Bytes, headers: &HeaderMap) -> Response {
    if headers.contains_key("if-none-match") && s3.object(&key).is_some() {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    if let Some(wanted) = headers.get("if-match") {
        let known = s3.object(&key).map(|bytes| etag(&bytes));
        if known.as_deref() != wanted.to_str().ok() {
            return StatusCode::PRECONDITION_FAILED.into_response();
        }
    }
    let source = headers.get("x-amz-copy-source").map(|source| source.to_str().unwrap());
    let bytes = match source.map(|source| source.trim_start_matches('/').split_once('/').unwrap().1) {
        None => body,
        Some(source) => match s3.object(source) {
            Some(found) => found,
            None => return StatusCode::NOT_FOUND.into_response(),
        },
    };
    let etag = etag(&bytes);
    s3.objects.lock().unwrap().insert(key, bytes);
    s3.changed();
    let copied = "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>";
    ([("etag", etag)], if source.is_some() { copied } else { "" }).into_response()
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", plugmend_shared::ids::Digest::of(bytes).short())
}

fn serde_query(query: &str) -> BTreeMap<String, String> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.replace("%2F", "/"))
    };
    query.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}
