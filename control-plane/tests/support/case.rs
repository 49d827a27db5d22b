//! One plugin under the healing loop, and what its agent says.

use serde_json::{Value, json};

use super::{
    healing::{Loop, attempt, beat, sick},
    http::HttpClient,
    plane::{Plane, Plugin},
};

/// One plugin with an agent under the loop.
pub struct Case {
    pub plane: Plane,
    pub plugin: Plugin,
    pub gateway: HttpClient,
    pub loops: Loop,
    pub seq: u64,
}

impl Case {
    /// A plugin with an agent, and the releases of the worked example.
    pub async fn begin() -> Self {
        let mut plane = Plane::start().await;
        let plugin = plane.agent_plugin().await;
        plane.release("1.2.2").await;
        plane.release("1.2.3").await;
        let gateway = plane.gateway(&plugin);
        let loops = Loop::over(&plane).await;
        Self {
            plane,
            plugin,
            gateway,
            loops,
            seq: 0,
        }
    }

    /// Two minutes on, a heartbeat.
    pub async fn beat(&mut self, with: Value) -> Value {
        self.seq += 1;
        self.plane.advance(120);
        beat(&self.gateway, &self.plane, &self.plugin, self.seq, with)
            .await
            .expect(200)
    }

    /// Has the loop do what there is to do.
    pub async fn turn(&self) {
        self.loops.turn(&self.plane).await;
    }

    /// The order that the agent is handed.
    pub async fn order(&self) -> Value {
        let polled = self
            .gateway
            .send("GET", "/api/plugins/commands?wait=0", "", "")
            .await
            .expect(200);
        polled["commands"][0].clone()
    }

    /// Has the agent say something about an order.
    pub async fn say(&self, order: &Value, what: &str, body: Value) {
        let id = order["id"].as_str().unwrap();
        self.gateway
            .send(
                "POST",
                &format!("/api/plugins/commands/{id}/{what}"),
                "",
                body.to_string(),
            )
            .await
            .expect(200);
    }

    /// Has the agent say that all went well.
    pub async fn committed(&self, order: &Value) {
        let result = json!({ "status": "committed", "version": "1.2.3", "health_check_passed": true,
            "error_rate_before": 0.6, "error_rate_after": 0.0 });
        self.say(order, "ack", json!({ "result": result })).await;
    }

    /// From sick to an order in the agent's hands.
    pub async fn ordered(&mut self) -> Value {
        self.beat(sick()).await;
        self.turn().await;
        assert_eq!(
            attempt(&self.plane, "status || coalesce(end_reason, '')").await,
            "applying"
        );
        self.order().await
    }

    /// How many rows.
    pub async fn count(&self, sql: &str) -> i64 {
        self.plane.database.number(&format!("SELECT count(*) FROM {sql}")).await
    }

    /// The kinds of all events.
    pub async fn events(&self) -> String {
        self.plane
            .database
            .text("SELECT string_agg(kind, ' ' ORDER BY created_at, kind) FROM outbox_events")
            .await
            .unwrap_or_default()
    }
}
