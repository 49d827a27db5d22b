//! The healing loop, one look after the other, with a decider and a staging runner that say what they are told.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use plugmend_control_plane::{
    domain::decision::{Action, Decision},
    jobs::{Attempts, Incidents, Reconciler as _},
    outgoing::HttpClient,
    service::healing::{Decide, Decided, Healing, HealingError},
    staging::StagingClient,
};
use plugmend_shared::clock::Clock;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use uuid::Uuid;

use super::{
    http::{Answer, HttpClient as TestClient},
    plane::{Plane, Plugin},
};

/// Decides what it is told to.
pub struct Says(Mutex<(Decision, u64)>);

impl Says {
    /// Says this from the start.
    pub fn new(decision: Decision) -> Self {
        Self(Mutex::new((decision, 0)))
    }

    /// Lets it say something else from now on.
    pub fn say(&self, decision: Decision) {
        self.0.lock().unwrap().0 = decision;
    }

    /// How often it was asked.
    pub fn asked(&self) -> u64 {
        self.0.lock().unwrap().1
    }
}

#[async_trait]
impl Decide for Says {
    async fn decide(&self, _incident: Uuid, _now: Timestamp) -> Result<Decided, HealingError> {
        let mut said = self.0.lock().unwrap();
        said.1 += 1;
        Ok(Decided {
            decision: said.0.clone(),
            source: "built_in",
            model_version: "test".to_owned(),
        })
    }
}

/// A patch to a version, with the worked example's confidence.
pub fn patch(version: &str) -> Decision {
    Decision {
        action: Action::Patch,
        patch_version: Some(version.parse().unwrap()),
        current_version: "1.2.2".to_owned(),
        confidence: 0.87,
        confidence_real: None,
        explanation: "1.2.3 says that it fixes this".to_owned(),
        estimated_impact: None,
        method: None,
        config: None,
    }
}

/// What a runner says of a release that passes.
pub const PASSES: &str = r#"{"ok":true,"passed":true,"tests_run":2,"duration_ms":7,"errors":[],"logs":[]}"#;
/// What it says of one that does not.
pub const FAILS: &str =
    r#"{"ok":true,"passed":false,"tests_run":2,"duration_ms":7,"errors":["smoke: exit 1"],"logs":[]}"#;

/// What one says that is broken.
pub const BROKEN: &str = "{}";

/// What makes one take the call and never answer.
pub const HANGS: &str = "hangs";

/// A staging runner that gives the same answer to everybody.
pub struct Runner {
    /// Its address.
    pub url: String,
    answer: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Runner {
    /// Starts one.
    pub async fn start(body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(body.to_owned()));
        let shared = Arc::clone(&answer);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let body = shared.lock().unwrap().clone();
                tokio::spawn(async move {
                    let mut seen = [0; 16 * 1024];
                    let _request = stream.read(&mut seen).await;
                    let head = match body.as_str() {
                        "" => "503 Busy",
                        BROKEN => "500 Broken",
                        HANGS => std::future::pending().await,
                        _ => "200 OK",
                    };
                    let reply = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    let _gone = stream.write_all(reply.as_bytes()).await;
                    let _rest = stream.read(&mut seen).await;
                });
            }
        });
        Self { url, answer, task }
    }

    /// Lets it say something else from now on; nothing: it has no room.
    pub fn say(&self, body: &str) {
        body.clone_into(&mut self.answer.lock().unwrap());
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The loop over a control plane.
pub struct Loop {
    /// Who decides.
    pub decider: Arc<Says>,
    /// Who tries releases out.
    pub runner: Runner,
    /// The loop's hands.
    pub healing: Healing,
    incidents: Incidents,
    attempts: Attempts,
}

impl Loop {
    /// With the worked example's decision, and a runner that lets it pass.
    pub async fn over(plane: &Plane) -> Self {
        let decider = Arc::new(Says::new(patch("1.2.3")));
        Self::with(plane, decider.clone(), decider).await
    }

    /// With another decider, and the same runner.
    pub async fn decided_by(plane: &Plane, decide: Arc<dyn Decide>) -> Self {
        Self::with(plane, Arc::new(Says::new(patch("1.2.3"))), decide).await
    }

    async fn with(plane: &Plane, decider: Arc<Says>, decide: Arc<dyn Decide>) -> Self {
        let runner = Runner::start(PASSES).await;
        let client = StagingClient::new(HttpClient::new(None).unwrap(), &runner.url, "t".to_owned().into()).unwrap();
        let clock: Arc<dyn Clock> = plane.clock.clone();
        let healing = Healing {
            db: plane.state.db.clone(),
            clock,
            entropy: plane.state.entropy.clone(),
            decider: decide,
            staging: Some(client),
        };
        Self {
            decider,
            runner,
            incidents: Incidents::new(healing.clone()),
            attempts: Attempts::new(healing.clone()),
            healing,
        }
    }

    /// Looks until there is nothing left to do at this moment.
    pub async fn turn(&self, plane: &Plane) {
        for _ in 0..20 {
            let now = plane.now();
            let done =
                self.incidents.activate(now).await.unwrap().done + self.attempts.activate(now).await.unwrap().done;
            if done == 0 {
                return;
            }
        }
        panic!("the loop turns in a circle");
    }
}

/// A heartbeat as an agent sends it.
pub async fn beat(gateway: &TestClient, plane: &Plane, plugin: &Plugin, seq: u64, with: Value) -> Answer {
    let mut body = plugin.agent_beat(plane.now(), seq, &[]);
    let fields = body.as_object_mut().unwrap();
    fields.insert("errors_last_24h".to_owned(), json!(0));
    fields.insert("webhook_fail_rate".to_owned(), json!(0.0));
    fields.insert("plugin_version".to_owned(), json!("1.2.2"));
    fields.extend(with.as_object().unwrap().clone());
    gateway
        .send("POST", "/api/plugins/heartbeat", "", body.to_string())
        .await
}

/// The worked example's telemetry.
pub fn sick() -> Value {
    json!({ "errors_last_24h": 50, "webhook_fail_rate": 0.6 })
}

/// The one incident's field, as text.
pub async fn incident(plane: &Plane, field: &str) -> String {
    plane
        .database
        .text(&format!(
            "SELECT {field} FROM plugin_incidents ORDER BY detected_at DESC, created_at DESC LIMIT 1"
        ))
        .await
        .unwrap_or_default()
}

/// The newest attempt's field, as text.
pub async fn attempt(plane: &Plane, field: &str) -> String {
    plane
        .database
        .text(&format!(
            "SELECT {field} FROM plugin_autopatch_attempts ORDER BY created_at DESC, id DESC LIMIT 1"
        ))
        .await
        .unwrap_or_default()
}
