//! What happens, live: told to those who watch, resumable, and bounded.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail the test")]

mod support;

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use support::{case::Case, people, plane::Plane};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// One event as it came.
#[derive(Debug, Clone)]
struct Event {
    id: i64,
    kind: String,
    data: Value,
}

/// Somebody who watches.
struct Watcher {
    body: hyper::body::Incoming,
    text: String,
    events: VecDeque<Event>,
}

impl Watcher {
    async fn begin(plane: &Plane, last_event_id: Option<i64>) -> Self {
        Self::with(plane, &plane.token, last_event_id).await
    }

    async fn with(plane: &Plane, token: &str, last_event_id: Option<i64>) -> Self {
        let mut headers = vec![("authorization".to_owned(), format!("Bearer {token}"))];
        if let Some(id) = last_event_id {
            headers.push(("last-event-id".to_owned(), id.to_string()));
        }
        let answer = plane.api.open("/api/ops/events", &headers).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self {
            body: answer.into_body(),
            text: String::new(),
            events: VecDeque::new(),
        }
    }

    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let frame = timeout(Duration::from_mins(1), self.body.frame())
                .await
                .expect("an event");
            let frame = frame.expect("the stream goes on").unwrap();
            self.text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                self.events.extend(read(block));
                let rest = rest.to_owned();
                self.text = rest;
            }
        }
    }

    async fn until(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await;
            if event.kind == kind {
                return event;
            }
        }
    }
}

fn read(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    Some(Event {
        id: field("id: ")?.parse().ok()?,
        kind: field("event: ")?.to_owned(),
        data: serde_json::from_str(field("data: ")?).ok()?,
    })
}

#[tokio::test]
async fn who_watches_sees_an_incident_its_cure_and_its_order() {
    let mut case = Case::begin().await;
    let mut watcher = Watcher::begin(&case.plane, None).await;
    assert_eq!(watcher.next().await.kind, "stream.ready");
    let order = case.ordered().await;
    let opened = watcher.until("incident.opened").await;
    assert_eq!(opened.data["data"]["severity"], "medium");
    assert_eq!(opened.data["plugin_id"], json!(case.plugin.id));
    watcher.until("attempt.created").await;
    let sent = loop {
        let event = watcher.until("command.changed").await;
        if event.data["data"]["status"] == "sent" {
            break event;
        }
    };
    assert_eq!(sent.data["data"]["command_id"], order["id"]);
    case.committed(&order).await;
    let done = watcher.until("command.changed").await;
    assert_eq!(done.data["data"]["status"], "completed");
}

#[tokio::test]
async fn the_kill_switch_by_sql_is_seen() {
    let plane = Plane::start().await;
    let mut watcher = Watcher::begin(&plane, None).await;
    watcher.until("stream.ready").await;
    plane
        .database
        .run("UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1")
        .await;
    let seen = watcher.until("kill_switch.changed").await;
    assert_eq!(seen.data["data"]["autopatch_enabled"], false);
}

#[tokio::test]
async fn who_comes_back_has_missed_nothing() {
    let plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let mut watcher = Watcher::begin(&plane, None).await;
    let begun = watcher.next().await.id;
    drop(watcher);
    // Transactions that begin in one order and end in another: none may be skipped.
    let mut slow = plane.state.db.begin().await.unwrap();
    sqlx::query("SELECT plugmend_say('test.slow', NULL, NULL, '{}')")
        .execute(&mut *slow)
        .await
        .unwrap();
    for n in 0..300 {
        let say = format!("SELECT plugmend_say('test.{n}', NULL, '{}', '{{}}')", plugin.id);
        plane.database.run(&say).await;
    }
    let mut watcher = Watcher::begin(&plane, Some(begun)).await;
    assert_eq!(watcher.next().await.kind, "stream.resumed");
    let mut last = begun;
    for n in 0..300 {
        let event = watcher.next().await;
        assert_eq!(event.kind, format!("test.{n}"));
        assert!(event.id > last);
        last = event.id;
    }
    slow.commit().await.unwrap();
    let late = watcher.next().await;
    assert_eq!(late.kind, "test.slow");
    assert!(late.id > last, "it comes after all that was seen");
}

#[tokio::test]
async fn what_is_forgotten_is_said() {
    let plane = Plane::start().await;
    let mut watcher = Watcher::begin(&plane, None).await;
    watcher.until("stream.ready").await;
    for _ in 0..3 {
        plane
            .database
            .run("SELECT plugmend_say('test', NULL, NULL, '{}')")
            .await;
    }
    let last = [watcher.next().await, watcher.next().await, watcher.next().await][2].id;
    plane
        .database
        .run("SELECT plugmend_forget_events(now() + interval '1 day', 1000, 2)")
        .await;
    let mut late = Watcher::begin(&plane, Some(last - 3)).await;
    assert_eq!(late.next().await.kind, "stream.reset", "somebody must read anew");
    let mut future = Watcher::begin(&plane, Some(last + 1000)).await;
    assert_eq!(future.next().await.kind, "stream.reset", "another database's position");
    let mut in_time = Watcher::begin(&plane, Some(last - 1)).await;
    assert_eq!(in_time.next().await.kind, "stream.resumed");
    assert_eq!(in_time.next().await.id, last);
}

#[tokio::test]
async fn a_position_that_is_none_is_refused() {
    let plane = Plane::start().await;
    let auth = format!("Bearer {}", plane.token);
    for odd in ["x", "-1", "99999999999999999999"] {
        let headers = [("authorization", auth.as_str()), ("last-event-id", odd)];
        let answer = plane.api.send_with("GET", "/api/ops/events", &headers, "").await;
        answer.refuses(400, "invalid_last_event_id");
    }
    let nobody = plane.api.send("GET", "/api/ops/events", "", "").await;
    nobody.refuses(401, "unauthorized");
}

#[tokio::test]
async fn one_person_watches_so_often_and_no_more() {
    let plane = Plane::start().await;
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(Watcher::begin(&plane, None).await);
    }
    let refused = plane.api.send("GET", "/api/ops/events", &plane.token, "").await;
    refused.refuses(429, "too_many_streams");
    let other = people::sign(&people::claims("bob", &["pay_admin"], plane.now()));
    let headers = [("authorization".to_owned(), format!("Bearer {other}"))];
    assert_eq!(plane.api.open("/api/ops/events", &headers).await.status(), 200);
    open.clear();
    support::eventually("a place", || async {
        let headers = [("authorization".to_owned(), format!("Bearer {}", plane.token))];
        let answer = plane.api.open("/api/ops/events", &headers).await;
        (answer.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_who_does_not_read_holds_up_nobody() {
    let plane = Plane::start().await;
    let address: SocketAddr = plane.address;
    let mut stuck = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /api/ops/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        plane.token
    );
    stuck.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stuck.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let mut watcher = Watcher::begin(&plane, None).await;
    watcher.until("stream.ready").await;
    // Far more than the socket's buffers hold.
    plane
        .database
        .run(
            "SELECT plugmend_say('test.' || n, NULL, NULL, jsonb_build_object('filler', repeat('x', 5000)))
             FROM generate_series(1, 3000) n",
        )
        .await;
    for n in 1..=3000 {
        assert_eq!(watcher.next().await.kind, format!("test.{n}"));
    }
}

#[tokio::test]
async fn a_merchants_person_is_told_of_their_own() {
    let plane = Plane::start().await;
    let (own, other) = (plane.agent_plugin().await, plane.agent_plugin().await);
    let mut claims = people::claims("mia", &["merchant_admin"], plane.now());
    claims["merchant_id"] = json!(own.merchant_id);
    let token = people::sign(&claims);
    let mut watcher = Watcher::with(&plane, &token, None).await;
    watcher.until("stream.ready").await;
    plane
        .database
        .run(&format!(
            "UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1;
             INSERT INTO plugin_incidents (merchant_plugin_id, incident_type, severity) VALUES
               ('{}', 'error_spike', 'low'), ('{}', 'error_spike', 'low')",
            other.id, own.id
        ))
        .await;
    let told = watcher.next().await;
    assert_eq!(
        (told.kind.as_str(), &told.data["plugin_id"]),
        ("incident.opened", &json!(own.id))
    );
    // From the database, too.
    let mut later = Watcher::with(&plane, &token, Some(0)).await;
    later.next().await;
    loop {
        let told = later.next().await;
        assert_eq!(told.data["merchant_id"], json!(own.merchant_id), "{told:?}");
        if told.kind == "incident.opened" {
            break;
        }
    }
}
