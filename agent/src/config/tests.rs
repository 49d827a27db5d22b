use super::*;

const GOOD: &str = r#"
state_dir = "/var/lib/plugmend/shop"
probes = [{ http = "http://127.0.0.1/health", contains = "{version}" }, { argv = ["/usr/bin/true"] }]
[control_plane]
url = "https://control.example:8443/"
ca_file = "/etc/plugmend/ca.pem"
[plugin]
product = "molam-pay-woocommerce"
cms = "woocommerce"
path = "/var/www/shop/wp-content/plugins/molam-pay"
layout = "exchange"
version = "1.0.0"
[trust]
root_sha256 = "AA:00000000000000000000000000000000000000000000000000000000000000"
[telemetry]
socket = "/run/plugmend/shop.sock"
udp = "127.0.0.1:8125"
[hooks]
reload = ["systemctl", "reload", "php8.2-fpm"]
opcache_fastcgi = "unix:/run/php/php-fpm.sock"
"#;

fn read(text: &str) -> Result<Settings, ConfigError> {
    parse(text, Path::new("agent.toml"), &Overrides::default())
}

/// The key that is complained about when `from` is replaced by `to`.
fn complaint(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from));
    match read(&GOOD.replace(from, to)) {
        Err(ConfigError::Invalid { key, .. }) => key.to_owned(),
        Err(ConfigError::Malformed(..)) => "malformed".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_configuration_is_understood() {
    let settings = read(GOOD).unwrap();
    assert_eq!(settings.url, "https://control.example:8443");
    assert_eq!(settings.plugin.layout, Layout::Exchange);
    assert_eq!(settings.telemetry.heartbeat_interval_s, 120);
    assert_eq!(settings.probes.len(), 2);
    assert!(matches!(settings.root, Pin::Sha256(_)));
}

#[test]
fn the_example_that_is_shipped_is_understood() {
    let settings = read(include_str!("../../../packaging/agent.example.toml")).unwrap();
    assert!(
        settings
            .probes
            .iter()
            .all(|probe| probe.contains.as_deref() == Some("{version}"))
    );
}

#[test]
fn the_environment_wins_over_the_file() {
    let overrides = Overrides {
        state_dir: Some("/elsewhere".into()),
        url: Some("https://other.example".to_owned()),
    };
    let settings = parse(GOOD, Path::new("agent.toml"), &overrides).unwrap();
    assert_eq!(settings.state_dir, Path::new("/elsewhere"));
    assert_eq!(settings.url, "https://other.example");
}

#[test]
fn what_makes_no_sense_is_named_by_its_key() {
    for (from, to, key) in [
        ("https://control", "http://control", "control_plane.url"),
        ("/var/lib/plugmend/shop", "relative", "state_dir"),
        ("/var/lib/plugmend/shop", "/var/../etc", "state_dir"),
        (
            "\"/var/lib/plugmend/shop\"",
            "\"/var/www/shop/wp-content/plugins/molam-pay/state\"",
            "state_dir",
        ),
        ("molam-pay-woocommerce", "Molam Pay", "plugin.product"),
        ("\"woocommerce\"", "\"drupal\"", "plugin.cms"),
        ("\"exchange\"", "\"overwrite\"", "plugin.layout"),
        ("/var/www/shop/wp-content/plugins/molam-pay", "/var", "plugin.path"),
        ("\"1.0.0\"", "\"one\"", "plugin.version"),
        ("AA:00", "AA", "trust.root_file"),
        ("127.0.0.1:8125", "0.0.0.0:8125", "telemetry.udp"),
        (
            "/run/plugmend/shop.sock",
            &format!("/run/{}", "s".repeat(100)),
            "telemetry.socket",
        ),
        ("[\"systemctl\", \"reload\", \"php8.2-fpm\"]", "[]", "hooks.reload"),
        ("unix:/run", "run", "hooks.opcache_fastcgi"),
        ("http://127", "https://127", "probes"),
        ("ca_file", "ca_fil", "malformed"),
        ("ca_file = \"/etc/plugmend/ca.pem\"", "", "control_plane.ca_file"),
        (
            "[\"systemctl\", \"reload\", \"php8.2-fpm\"]",
            "\"systemctl reload php\"",
            "malformed",
        ),
    ] {
        assert_eq!(complaint(from, to), key, "{to}");
    }
}

#[test]
fn a_missing_or_endless_file_is_refused() {
    let error = load(Path::new("/nonexistent/agent.toml"), &Overrides::default()).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable(..)));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    std::fs::write(&path, vec![b'#'; 300_000]).unwrap();
    assert!(matches!(
        load(&path, &Overrides::default()),
        Err(ConfigError::TooLong(_))
    ));
}
