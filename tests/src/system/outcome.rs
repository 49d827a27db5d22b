//! What the ops API shows of an order that ended.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use plugmend_shared::protocol::command::Outcome;
use serde_json::Value;

/// An order that ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// `completed`, `failed` or `timeout`.
    pub status: String,
    /// What the agent reported, when it did.
    pub outcome: Option<Outcome>,
    /// The order as the API shows it.
    pub raw: Value,
}

impl Ended {
    /// Reads an order as the API shows it.
    pub fn read(raw: Value) -> Result<Self> {
        let status = raw
            .get("status")
            .and_then(Value::as_str)
            .context("an order has a status")?;
        Ok(Self {
            status: status.to_owned(),
            outcome: outcome(&raw),
            raw,
        })
    }

    /// Bytes that the agent fetched for it, release metadata aside.
    pub fn bytes_fetched(&self) -> u64 {
        self.outcome.as_ref().map_or(0, |o| o.bytes_fetched)
    }

    /// How long each of the agent's steps took, in ms.
    pub fn timings(&self) -> BTreeMap<String, u64> {
        self.outcome.as_ref().map(|o| o.timings_ms.clone()).unwrap_or_default()
    }
}

/// The agent's report, wherever in the order it stands.
fn outcome(value: &Value) -> Option<Outcome> {
    let Value::Object(map) = value else { return None };
    // `status` of an order and of an outcome have other values, so only an outcome reads as one.
    if let Ok(found) = serde_json::from_value::<Outcome>(value.clone()) {
        return Some(found);
    }
    map.values().find_map(outcome)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_agents_report_is_found_inside_an_order() {
        let raw = json!({"status": "completed", "response": {"status": "committed", "bytes_fetched": 7}});
        let ended = Ended::read(raw).unwrap();
        assert_eq!((ended.status.as_str(), ended.bytes_fetched()), ("completed", 7));
        assert!(
            Ended::read(json!({"status": "timeout", "response": null}))
                .unwrap()
                .outcome
                .is_none()
        );
    }
}
