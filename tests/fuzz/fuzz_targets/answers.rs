//! Bodies that a captured control plane sends to its agents.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugmend_shared::protocol::{
    command::CommandList,
    heartbeat::HeartbeatAnswer,
    identity::Identity,
    problem::Problem,
};

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<HeartbeatAnswer>(bytes);
    let _ = serde_json::from_slice::<CommandList>(bytes);
    let _ = serde_json::from_slice::<Identity>(bytes);
    let _ = serde_json::from_slice::<Problem>(bytes);
});
