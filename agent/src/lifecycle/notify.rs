//! The service manager's protocol (`sd_notify(3)`): one datagram per message to the socket named by the environment.
//! Without the environment, nothing is sent.

use std::{
    env,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

/// Sends `message`, if anybody wants it. Nobody listening is no error.
pub(super) fn send(message: &str) {
    if let Some(addr) = address() {
        let _ = UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(message.as_bytes(), &addr));
    }
}

/// Tells the service manager that the runtime is alive, as often as it asks (`WATCHDOG_USEC`); for ever, or never.
pub(super) async fn watchdog() {
    let wanted = env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse::<u64>().ok());
    let Some(micros) = wanted.filter(|micros| *micros > 1) else {
        return;
    };
    let mut ticks = interval(Duration::from_micros(micros / 2));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        send("WATCHDOG=1");
    }
}

fn address() -> Option<SocketAddr> {
    let name = env::var_os("NOTIFY_SOCKET")?;
    match name.as_bytes().split_first()? {
        (b'@', name) => SocketAddr::from_abstract_name(name).ok(),
        (b'/', _) => SocketAddr::from_pathname(&name).ok(),
        _ => None,
    }
}
