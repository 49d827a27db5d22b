//! The staging runner's client against runners that are down, slow, busy, or lie.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use plugmend_control_plane::{
    outgoing::{Call, Endpoint, HttpClient, OutgoingError},
    staging::{StagingClient, StagingError, StagingRequest, StagingResult},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

const GOOD: &str = r#"{"ok":true,"passed":true,"tests_run":1,"duration_ms":7,"errors":[],"logs":"fine"}"#;

fn request() -> StagingRequest {
    StagingRequest {
        merchant_id: Uuid::from_u128(1).into(),
        plugin_id: Uuid::from_u128(2).into(),
        product: "molam-pay".parse().unwrap(),
        version: "1.2.3".parse().unwrap(),
        release_digest: None,
    }
}

fn client(url: &str) -> StagingClient {
    let http = HttpClient::new(None).unwrap();
    StagingClient::new(http, url, "token-for-tests".to_owned().into()).unwrap()
}

/// Reads one request to the end of its body and gives its text.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer).await.unwrap();
        seen.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().unwrap())
        });
        if let (Some((_, body)), Some(length)) = (text.split_once("\r\n\r\n"), length)
            && body.len() >= length
        {
            return text;
        }
        assert!(n > 0, "the request ended early: {text}");
    }
}

/// A runner that gives this answer, byte for byte; then the request it saw.
async fn answered(raw: String, limit: Duration) -> (Result<StagingResult, StagingError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let seen = read_request(&mut stream).await;
        // It may hang up before it has heard everything.
        let _ = stream.write_all(raw.as_bytes()).await;
        seen
    });
    let result = client(&format!("http://{at}/")).run(&request(), limit).await;
    (result, server.await.unwrap())
}

fn reply(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

const LIMIT: Duration = Duration::from_mins(1);

#[tokio::test]
async fn the_request_is_the_reference_systems_with_fields_beside_it() {
    let (result, seen) = answered(reply("200 OK", GOOD), LIMIT).await;
    assert!(result.unwrap().passed);
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /run HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("authorization: bearer token-for-tests"));
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({
            "merchantId": Uuid::from_u128(1), "pluginId": Uuid::from_u128(2), "version": "1.2.3",
            "product": "molam-pay", "timeout_seconds": 60,
        })
    );
}

#[tokio::test]
async fn a_busy_runner_is_asked_again_later() {
    let (result, _) = answered(reply("503 Service Unavailable\r\nretry-after: 7", "{}"), LIMIT).await;
    match result {
        Err(e @ StagingError::Busy { retry_after }) => {
            assert_eq!(retry_after, Some(Duration::from_secs(7)));
            assert!(e.is_transient());
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn refusals_faults_and_redirects_are_told_apart() {
    let (result, _) = answered(reply("401 Unauthorized", ""), LIMIT).await;
    assert!(matches!(result, Err(StagingError::Unauthorised)));
    let (result, _) = answered(
        reply("422 Unprocessable Entity", r#"{"detail":"no such release"}"#),
        LIMIT,
    )
    .await;
    assert!(matches!(result, Err(StagingError::Refused { status: 422, words }) if words == "no such release"));
    let (result, _) = answered(reply("500 Internal Server Error", "oops"), LIMIT).await;
    assert!(matches!(result, Err(e @ StagingError::Fault { status: 500, .. }) if e.is_transient()));
    let moved = reply("302 Found\r\nlocation: http://127.0.0.1:1/run", GOOD);
    let (result, _) = answered(moved, LIMIT).await;
    assert!(matches!(result, Err(StagingError::NotBelieved(_))));
}

#[tokio::test]
async fn rubbish_and_floods_are_not_believed() {
    let (result, _) = answered(reply("200 OK", "<html>fine</html>"), LIMIT).await;
    assert!(matches!(result, Err(StagingError::NotBelieved(_))));
    let (result, _) = answered(reply("200 OK", &" ".repeat(2 << 20)), LIMIT).await;
    assert!(matches!(result, Err(StagingError::Call(OutgoingError::TooLarge(_)))));
    let (result, _) = answered("not HTTP at all\r\n\r\n".to_owned(), LIMIT).await;
    assert!(matches!(result, Err(e @ StagingError::Call(OutgoingError::Broken { .. })) if e.is_transient()));
    // Half an answer.
    let (result, _) = answered("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{".to_owned(), LIMIT).await;
    assert!(matches!(result, Err(StagingError::Call(OutgoingError::Broken { .. }))));
}

#[tokio::test]
async fn somebody_who_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Endpoint::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    // Connections are taken by the system and never answered.
    let call = Call {
        method: Method::GET,
        path: "/",
        headers: Vec::new(),
        bearer: None,
        body: Bytes::new(),
        within: Duration::from_millis(50),
        at_most: 10,
    };
    let result = HttpClient::new(None).unwrap().call(&silent, call).await;
    assert!(matches!(result, Err(e @ OutgoingError::TimedOut { .. }) if e.is_transient()));
}

#[tokio::test]
async fn a_runner_that_is_down_is_a_passing_trouble() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let result = client(&format!("http://{at}")).run(&request(), LIMIT).await;
    assert!(matches!(result, Err(e @ StagingError::Call(OutgoingError::Unreachable { .. })) if e.is_transient()));
}

#[tokio::test]
async fn an_address_that_the_rule_forbids_is_not_called() {
    let http = HttpClient::new(None).unwrap().only_to(|ip| !ip.is_loopback());
    let client = StagingClient::new(http, "http://localhost:9", "t".to_owned().into()).unwrap();
    let result = client.run(&request(), LIMIT).await;
    assert!(matches!(result, Err(e @ StagingError::Call(OutgoingError::Forbidden { .. })) if !e.is_transient()));
}
