//! Which settings may be set from afar, and to what: the signed manifest says.

use std::collections::BTreeMap;

use plugmend_shared::{bundle::manifest::SettingsSpec, ids::Digest};
use serde_json::{Map, Value};

use super::change::{Failure, SettingsChange};

/// Checks new values against the manifest. Null takes a key away that an order has set (`managed`): the way back where
/// nothing was before.
///
/// # Errors
/// The first key that may not be set, or not to this.
pub fn check(spec: &SettingsSpec, wanted: &Map<String, Value>, managed: &Map<String, Value>) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Err(Failure::lasting("no_settings", "the order names no setting"));
    }
    for (name, value) in wanted {
        let key = spec.keys.get(name).ok_or_else(|| {
            Failure::lasting(
                "setting_not_allowed",
                format!("the signed manifest does not let '{name}' be set from afar"),
            )
        })?;
        if key.host_only {
            let words = format!("'{name}' is the host's alone (a secret, or an endpoint of money)");
            return Err(Failure::lasting("setting_not_allowed", words));
        }
        if value.is_null() && managed.contains_key(name) {
            continue;
        }
        key.takes(value)
            .map_err(|why| Failure::lasting("setting_invalid", format!("'{name}' {why}")))?;
    }
    Ok(())
}

/// What the keys in `wanted` hold now; null where they are not there.
pub fn before(now: &Map<String, Value>, wanted: &Map<String, Value>) -> Map<String, Value> {
    let old = |name: &String| now.get(name).cloned().unwrap_or(Value::Null);
    wanted.keys().map(|name| (name.clone(), old(name))).collect()
}

/// Sets the keys in `values`, and removes those that are null there.
pub fn apply(now: &mut Map<String, Value>, values: &Map<String, Value>) {
    for (name, value) in values {
        if value.is_null() {
            now.remove(name);
        } else {
            now.insert(name.clone(), value.clone());
        }
    }
}

/// What of the managed settings was changed by somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Digest of what orders have set, as canonical JSON.
    pub managed: Digest,
    /// Digest of what these keys hold now.
    pub found: Digest,
    /// The keys that hold something else.
    pub keys: Vec<String>,
}

/// Compares the settings that orders have set with the file's.
pub fn drift(now: &Map<String, Value>, managed: &Map<String, Value>) -> Drift {
    let found = before(now, managed);
    let differs = |(key, value): &(&String, &Value)| found.get(*key) != Some(*value);
    Drift {
        managed: digest(managed),
        found: digest(&found),
        keys: managed.iter().filter(differs).map(|(key, _)| key.clone()).collect(),
    }
}

/// Keys in order, no spaces: the same settings give the same digest.
fn digest(values: &Map<String, Value>) -> Digest {
    let sorted: BTreeMap<&String, &Value> = values.iter().collect();
    Digest::of(&serde_json::to_vec(&sorted).unwrap_or_default())
}

/// What orders have set, with one more.
pub fn manage(managed: &mut Map<String, Value>, set: &Map<String, Value>) {
    apply(managed, set);
}

/// Whether the change has not been made yet: every key is as before.
pub fn is_old(now: &Map<String, Value>, change: &SettingsChange) -> bool {
    before(now, &change.after) == change.before
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> SettingsSpec {
        serde_json::from_value(json!({
            "file": "settings.json",
            "keys": {
                "timeout_ms": {"type": "integer", "min": 100.0, "max": 60_000.0},
                "ratio": {"type": "number"},
                "mode": {"type": "text", "enum": ["live", "test"]},
                "debug": {"type": "boolean"},
                "payout_iban": {"type": "text", "host_only": true},
            }
        }))
        .unwrap()
    }

    fn code(wanted: &Value) -> String {
        let managed = json!({ "debug": true, "payout_iban": "DE00" });
        check(&spec(), wanted.as_object().unwrap(), managed.as_object().unwrap())
            .err()
            .map_or_else(|| "allowed".to_owned(), |e| e.code)
    }

    #[test]
    fn only_what_the_manifest_names_may_be_set_and_only_to_what_it_says() {
        for good in [
            json!({"timeout_ms": 500, "debug": true}),
            json!({"mode": "test"}),
            json!({"ratio": 0.5}),
            // An order has set it, so an order may take it away.
            json!({"debug": null}),
        ] {
            assert_eq!(code(&good), "allowed", "{good}");
        }
        for bad in [
            json!({"timeout_ms": 5}),
            json!({"timeout_ms": 500.5}),
            json!({"timeout_ms": "500"}),
            json!({"mode": "other"}),
            json!({"debug": 1}),
            json!({"ratio": null}),
        ] {
            assert_eq!(code(&bad), "setting_invalid", "{bad}");
        }
        for forbidden in [
            json!({"payout_iban": "DE00"}),
            json!({"payout_iban": null}),
            json!({"unknown": 1}),
        ] {
            assert_eq!(code(&forbidden), "setting_not_allowed");
        }
        assert_eq!(code(&json!({})), "no_settings");
    }

    #[test]
    fn a_managed_setting_that_somebody_changed_is_drift_and_the_plugins_own_are_not() {
        let mut managed = Map::new();
        manage(
            &mut managed,
            json!({"timeout_ms": 500, "debug": false}).as_object().unwrap(),
        );
        manage(&mut managed, json!({"timeout_ms": 700}).as_object().unwrap());
        let mut now = json!({"own": 1, "debug": false, "timeout_ms": 700})
            .as_object()
            .cloned()
            .unwrap();
        let fine = drift(&now, &managed);
        assert_eq!((fine.managed, fine.keys.len()), (fine.found, 0));
        now.insert("own".to_owned(), json!(2));
        assert_eq!(drift(&now, &managed), fine);
        now.remove("timeout_ms");
        let drifted = drift(&now, &managed);
        assert_eq!(drifted.keys, ["timeout_ms"]);
        assert_ne!(drifted.found, drifted.managed);
    }

    #[test]
    fn going_back_leaves_what_was_saved_meanwhile() {
        let mut now = json!({"a": 1, "own": "x"}).as_object().cloned().unwrap();
        let wanted = json!({"a": 2, "b": 3}).as_object().cloned().unwrap();
        let old = before(&now, &wanted);
        apply(&mut now, &wanted);
        now.insert("own".to_owned(), json!("y"));
        apply(&mut now, &old);
        assert_eq!(Value::Object(now), json!({"a": 1, "own": "y"}));
    }
}
