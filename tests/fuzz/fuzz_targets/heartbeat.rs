//! Bodies that agents and agentless plugins send to the control plane.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugmend_shared::protocol::{
    command::{Ack, Fail, Progress},
    heartbeat::Heartbeat,
    identity::{AgentName, EnrolRequest, RenewRequest},
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(heartbeat) = serde_json::from_slice::<Heartbeat>(bytes) {
        for window in &heartbeat.windows {
            let _ = window.check();
        }
        serde_json::to_vec(&heartbeat).expect("what was read can be written");
    }
    let _ = serde_json::from_slice::<Ack>(bytes);
    let _ = serde_json::from_slice::<Progress>(bytes);
    let _ = serde_json::from_slice::<Fail>(bytes);
    let _ = serde_json::from_slice::<EnrolRequest>(bytes);
    let _ = serde_json::from_slice::<RenewRequest>(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(name) = AgentName::from_uri(text)
    {
        assert_eq!(AgentName::from_uri(&name.to_uri()), Some(name));
    }
});
