//! seeds FOLDER: writes inputs to start from, `FOLDER/<target>/<name>`: what honest senders send.

use std::{fs, path::Path};

use plugmend_fuzz::{sample, tuf};

const HEARTBEAT: &str = r#"{"plugin_id":"0198c0de-0000-7000-8000-000000000002","merchant_id":"0198c0de-0000-7000-8000-000000000001","plugin_version":"1.0.0","env":{"php":"8.2.0"},"errors_last_24h":50,"webhook_fail_rate":0.6,"uptime":9,"timestamp":"2026-01-01T00:02:00Z","boot_id":"0198c0de-0000-7000-8000-000000000003","seq":1,"windows":[{"seq":1,"from":"2026-01-01T00:00:00Z","to":"2026-01-01T00:02:00Z","requests":10,"errors":1}]}"#;
const COMMANDS: &str = r#"{"commands":[{"id":"0198c0de-0000-7000-8000-000000000004","type":"update","generation":3,"payload":{"product":"demo-pay","version":"1.0.1","reason":"a test","expires_in_s":60}}]}"#;
const TARGETS: &str = r#"{"_type":"targets","spec_version":"1.0.31","version":1,"expires":"2030-01-01T00:00:00Z","targets":{"a/1/pack":{"length":1,"hashes":{"sha256":"00"}}},"delegations":{"keys":{},"roles":[{"name":"a","keyids":[],"threshold":1,"terminating":true,"paths":["a/*/*"]}]}}"#;
const TIMESTAMP: &str = r#"{"_type":"timestamp","spec_version":"1.0.31","version":1,"expires":"2030-01-01T00:00:00Z","meta":{"snapshot.json":{"version":1,"length":9,"hashes":{"sha256":"00"}}}}"#;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: seeds FOLDER");
        std::process::exit(2);
    };
    let folder = Path::new(&folder);
    let put = |target: &str, name: &str, bytes: &[u8]| -> std::io::Result<()> {
        fs::create_dir_all(folder.join(target))?;
        fs::write(folder.join(target).join(name), bytes)
    };
    let sample = sample();
    put("manifest", "plain", &sample.from_bytes)?;
    put("manifest", "compressed", &sample.to.to_compressed().unwrap_or_default())?;
    put("blocks", "genuine", &sample.blocks)?;
    put("blocks", "one-byte", &[40, 0, 7, 1])?;
    put("delta", "genuine", &sample.delta)?;
    put("delta", "one-byte", &[40, 0, 7, 1])?;
    put("pack_frames", "one-byte", &[255, 40, 0, 7, 1])?;
    // Format 1, one frame with all thirteen contents, 400 bytes long, and its check.
    put("pack_index", "one-frame", &[1, 1, 13, 0x90, 3, 0, 0, 0, 0])?;
    put("tuf_metadata", "root", tuf::root())?;
    put("tuf_metadata", "targets", format!(r#"{{"signatures":[],"signed":{TARGETS}}}"#).as_bytes())?;
    put("tuf_trust", "root", tuf::root())?;
    put("tuf_trust", "timestamp", format!("\u{1}{TIMESTAMP}").as_bytes())?;
    put("tuf_trust", "targets", format!("\u{2}{TARGETS}").as_bytes())?;
    put("heartbeat", "full", HEARTBEAT.as_bytes())?;
    put("heartbeat", "ack", br#"{"status":"success","result":{"version":"1.0.1"}}"#)?;
    put("answers", "commands", COMMANDS.as_bytes())?;
    put("answers", "heartbeat", br#"{"commands":[],"tuning":{"heartbeat_interval_s":120}}"#)?;
    put("statsd", "many", b"requests:1|c|#ok:true,version:1.2.3\nlatency:12.5:3|ms|@0.5\nmine:a|s\nx:-1|g")?;
    put("event", "request", br#"{"type":"request","ok":true,"ms":12.5,"version":"1.2.3"}"#)
}
