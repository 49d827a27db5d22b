//! What a start needs, and what it refuses.

use std::collections::BTreeMap;

use super::{ConfigError, raw::Raw, settings::check};

const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

fn complete() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("DATABASE_URL", "postgres://u@h/d".to_owned()),
        (
            "MOLAM_ID_JWT_PUBLIC",
            "-----BEGIN PUBLIC KEY-----\\nAA\\n-----END PUBLIC KEY-----".to_owned(),
        ),
        ("PLUGMEND_SECRET_KEY", KEY.to_owned()),
        ("PLUGMEND_GATEWAY_NAMES", "control.example, 192.0.2.1".to_owned()),
    ])
}

fn load(environment: &BTreeMap<&'static str, String>, file: &str) -> Result<super::Settings, ConfigError> {
    let mut raw: Raw = toml::from_str(file).unwrap();
    raw.overlay_environment(|name| environment.get(name).cloned())?;
    check(raw, false)
}

#[test]
fn production_refuses_to_start_without_what_it_needs() {
    load(&complete(), "").unwrap();
    for name in complete().into_keys() {
        let mut environment = complete();
        environment.remove(name);
        match load(&environment, "") {
            Err(ConfigError::Missing { name: missing, .. }) => assert_eq!(missing, name),
            other => panic!("without {name}: {other:?}"),
        }
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let file = "log_level = 'warn'\n[api]\nport = 9000\nbind = '127.0.0.1'";
    let settings = load(&complete(), file).unwrap();
    assert_eq!(
        (settings.api.listen.to_string().as_str(), settings.log.level.as_str()),
        ("127.0.0.1:9000", "warn")
    );
    let mut environment = complete();
    environment.insert("PORT", "9001".to_owned());
    assert_eq!(load(&environment, file).unwrap().api.listen.port(), 9001);
    assert_eq!(load(&complete(), "").unwrap().api.listen.port(), 8112);
}

#[test]
fn line_ends_of_a_key_may_be_written_in_one_line() {
    let settings = load(&complete(), "").unwrap();
    assert_eq!(
        settings
            .auth
            .issuer
            .public_pem
            .as_deref()
            .map(|pem| pem.lines().count()),
        Some(3)
    );
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    for (name, value) in [
        ("PORT", "70000"),
        ("PORT", "x"),
        ("DATABASE_MAX_CONNECTIONS", "1"),
        ("PLUGMEND_HEARTBEAT_S", "0"),
        ("PLUGMEND_INGEST_FLUSHERS", "0"),
        ("PLUGMEND_INGEST_BATCH", "100000"),
        ("PLUGMEND_TELEMETRY_DAYS", "1"),
        ("PLUGMEND_SECRET_KEY", "short"),
        ("PLUGMEND_API_BIND", "localhost"),
        ("PLUGMEND_GATEWAY_BIND", "8443"),
    ] {
        let mut environment = complete();
        environment.insert(name, value.to_owned());
        match load(&environment, "") {
            Err(ConfigError::Invalid { name: invalid, .. }) => assert_eq!(invalid, name),
            other => panic!("{name}={value}: {other:?}"),
        }
    }
}

#[test]
fn what_is_refused_does_not_show_a_secret() {
    let mut environment = complete();
    environment.insert("PLUGMEND_SECRET_KEY", "hunter2".to_owned());
    let refused = load(&environment, "").unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    let settings = load(&complete(), "").unwrap();
    assert!(!format!("{settings:?}").contains(KEY) && !format!("{settings:?}").contains("u@h"));
}

#[test]
fn a_misspelt_key_in_the_file_is_an_error() {
    assert!(toml::from_str::<Raw>("datbase_url = 'x'").is_err());
}
