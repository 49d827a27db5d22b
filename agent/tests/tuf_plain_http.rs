//! Plain HTTP on this host against servers that misbehave.

#![allow(clippy::unwrap_used, reason = "test helpers: a panic is the report")]

use std::{future::Future, net::SocketAddr};

use plugmend_agent::upstream::repo::{Transport, TransportError, plain_http::PlainHttp};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A server that answers one request with `answer`, and hands over the request it read.
async fn served<F>(answer: impl FnOnce(TcpStream) -> F + Send + 'static) -> (PlainHttp, tokio::task::JoinHandle<String>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let n = stream.read(&mut request).await.unwrap();
        request.truncate(n);
        answer(stream).await;
        String::from_utf8(request).unwrap()
    });
    let base = format!("http://{address}/repo");
    (
        PlainHttp::new(&format!("{base}/metadata/"), &format!("{base}/targets")),
        task,
    )
}

async fn say(mut stream: TcpStream, text: &'static str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a_file_comes_from_its_base() {
    let (http, task) = served(|s| say(s, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc")).await;
    let bytes = http.fetch("metadata/a%20b.json", None, 3).await.unwrap().unwrap();
    assert_eq!(&bytes[..], b"abc");
    assert!(
        task.await
            .unwrap()
            .starts_with("GET /repo/metadata/a%20b.json HTTP/1.1\r\n")
    );
}

#[tokio::test]
async fn a_range_must_be_answered_as_one() {
    let (http, task) = served(|s| say(s, "HTTP/1.1 206 Partial\r\ncontent-length: 2\r\n\r\nbc")).await;
    assert_eq!(
        &http.fetch("targets/x", Some(1..3), 2).await.unwrap().unwrap()[..],
        b"bc"
    );
    assert!(task.await.unwrap().contains("range: bytes=1-2\r\n"));
    let (http, _task) = served(|s| say(s, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nbc")).await;
    assert!(matches!(
        http.fetch("targets/x", Some(1..3), 2).await,
        Err(TransportError::Refused(_))
    ));
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let (http, task) = served(|mut stream| async move {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let mut sent = 0_u64;
        // Ends when the client hangs up.
        while stream.write_all(b"400\r\n").await.is_ok()
            && stream.write_all(&[b'x'; 1024]).await.is_ok()
            && stream.write_all(b"\r\n").await.is_ok()
        {
            sent += 1024;
            assert!(sent < 1 << 30, "the client reads on and on");
        }
    })
    .await;
    let refused = http
        .fetch("metadata/timestamp.json", None, 16 * 1024)
        .await
        .unwrap_err();
    assert!(matches!(refused, TransportError::TooLarge(16_384)), "{refused}");
    task.await.unwrap();
}

#[tokio::test]
async fn a_length_that_lies_is_no_success() {
    let (http, _task) = served(|s| say(s, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")).await;
    assert!(http.fetch("metadata/x", None, 99).await.unwrap_err().is_transient());
    let (http, _task) = served(|s| say(s, "HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\nabc")).await;
    assert!(http.fetch("metadata/x", None, 99).await.is_err());
}

#[tokio::test]
async fn answers_are_sorted_into_missing_refused_and_later() {
    let (http, _task) = served(|s| say(s, "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")).await;
    assert_eq!(http.fetch("metadata/x", None, 9).await.unwrap(), None);
    let (http, _task) = served(|s| say(s, "HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n")).await;
    assert!(!http.fetch("metadata/x", None, 9).await.unwrap_err().is_transient());
    for later in [
        "HTTP/1.1 429 Later\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 Later\r\ncontent-length: 0\r\n\r\n",
        "nonsense\r\n\r\n",
        "",
    ] {
        let (http, _task) = served(move |s| say(s, later)).await;
        assert!(
            http.fetch("metadata/x", None, 9).await.unwrap_err().is_transient(),
            "{later}"
        );
    }
}

#[tokio::test]
async fn only_this_host_is_spoken_to_in_the_clear() {
    for base in [
        "https://127.0.0.1",
        "http://example.com",
        "http://127.0.0.1.example.com",
        "ftp://localhost",
        "",
    ] {
        let refused = PlainHttp::new(base, base)
            .fetch("metadata/x", None, 9)
            .await
            .unwrap_err();
        assert!(matches!(refused, TransportError::Refused(_)), "{base}");
    }
}
