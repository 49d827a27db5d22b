//! Facts about the host and this process, sampled rarely.

use std::path::Path;

use plugmend_shared::protocol::heartbeat::HostReport;
use sysinfo::System;

/// Samples the host. Keeps what the next sample is compared with (the processors' busy time).
pub struct Facts(Option<System>);

impl Default for Facts {
    fn default() -> Self {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_cpu_usage();
        }
        Self(system)
    }
}

impl Facts {
    /// The host now; the share of the processors is since the last sample. `beside` is where free disk space matters.
    /// `None` where the host does not say.
    pub fn sample(&mut self, beside: &Path) -> Option<HostReport> {
        let system = self.0.as_mut()?;
        system.refresh_cpu_usage();
        system.refresh_memory();
        Some(HostReport {
            cpu: f64::from(system.global_cpu_usage() / 100.0).clamp(0.0, 1.0),
            memory: share(system.used_memory(), system.total_memory()),
            disk_free_bytes: disk_free(beside),
            load: System::load_average().ok()?.one.max(0.0),
        })
    }
}

/// Bytes that the agent's user may still write where `path` lies; 0 when that can not be told.
pub fn disk_free(path: &Path) -> u64 {
    let existing = path.ancestors().find(|path| path.exists());
    existing
        .and_then(|path| rustix::fs::statvfs(path).ok())
        .map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Resident memory of this process, in bytes (`VmRSS` of `/proc/self/status`, proc(5)); 0 when that can not be told.
pub fn own_rss() -> u64 {
    let kilobytes = std::fs::read_to_string("/proc/self/status").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    });
    kilobytes.unwrap_or(0).saturating_mul(1024)
}

/// What changes when the machine reboots; empty when that can not be told.
pub fn machine_boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// Seconds since the machine's start (`/proc/uptime`, proc(5)); `None` when that can not be told.
pub fn machine_uptime() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    text.split(['.', ' ']).next()?.parse().ok()
}

fn share(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share does not need more than 52 bits")]
    let share = part as f64 / whole.max(1) as f64;
    share.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_in_range() {
        let host = Facts::default().sample(Path::new("/var/not/there/yet")).unwrap();
        assert!((0.0..=1.0).contains(&host.cpu) && host.memory > 0.0 && host.memory <= 1.0);
        assert!(host.disk_free_bytes > 0 && own_rss() > 0 && !machine_boot().is_empty());
        assert!(machine_uptime().is_some_and(|seconds| seconds > 0));
    }
}
