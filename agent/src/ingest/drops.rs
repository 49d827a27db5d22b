//! What the kernel dropped of our UDP datagrams: the last column of `/proc/net/udp` (proc(5)).

use std::{fs::File, io::Read as _, net::SocketAddr, time::Duration};

use tokio::time::sleep;

use super::hub::Hub;

/// How often it is looked up.
const EVERY: Duration = Duration::from_secs(10);
/// The most of the table that is read, in bytes.
const MAX_TABLE: u64 = 1024 * 1024;

/// Counts the kernel's drops for ever.
pub(super) async fn run(addr: Option<SocketAddr>, hub: &Hub) {
    let Some(addr) = addr else { return };
    let mut seen = read(addr).unwrap_or(0);
    loop {
        sleep(EVERY).await;
        let Some(total) = read(addr) else { continue };
        hub.dropped(total.saturating_sub(seen));
        seen = total;
    }
}

fn read(addr: SocketAddr) -> Option<u64> {
    let path = if addr.is_ipv4() {
        "/proc/net/udp"
    } else {
        "/proc/net/udp6"
    };
    let mut table = String::new();
    File::open(path).ok()?.take(MAX_TABLE).read_to_string(&mut table).ok()?;
    find(&table, addr.port())
}

/// The drops of the socket on `port`; the highest when several share it.
fn find(table: &str, port: u16) -> Option<u64> {
    let ending = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split_ascii_whitespace();
            let local = columns.nth(1)?;
            local.ends_with(&ending).then(|| columns.last()?.parse().ok())?
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_from_the_kernels_table() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
              103: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 42\n\
              104: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 7\n";
        assert_eq!(find(table, 8125), Some(42));
        assert_eq!(find(table, 9999), None);
    }
}
