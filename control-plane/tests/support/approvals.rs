//! Approvals as people see and answer them.

use serde_json::Value;

use super::{http::Answer, people, plane::Plane};

/// All of them.
pub const LIST: &str = "/api/ops/approvals";
/// One of the people.
pub const ADA: (&str, &str) = ("ada", "pay_admin");
/// Another.
pub const BOB: (&str, &str) = ("bob", "compliance_ops");
/// A third.
pub const EVE: (&str, &str) = ("eve", "pay_admin");

/// What `who` says at `path`.
pub async fn say(plane: &Plane, (who, role): (&str, &str), path: &str, body: Value) -> Answer {
    let token = people::sign(&people::claims(who, &[role], plane.now()));
    plane.api.send("POST", path, &token, body.to_string()).await
}

/// Where the newest is.
pub async fn newest(plane: &Plane) -> String {
    let list = plane.ops("GET", LIST, Value::Null).await.expect(200);
    format!("{LIST}/{}", list["approvals"][0]["id"].as_str().unwrap())
}
