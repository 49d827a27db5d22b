//! What the figures were measured on.

use std::fs;

use anyhow::Result;

/// The machine in one line: processors, memory, kernel.
pub fn describe() -> Result<String> {
    let cpus = std::thread::available_parallelism()?;
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "processor of unknown make".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Ok(format!(
        "machine: {cpus} processors ({model}), {} GiB of memory, Linux {}, load average {} at the start",
        memory.unwrap_or(0) >> 20,
        kernel.trim(),
        load.split(' ').next().unwrap_or("unknown")
    ))
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
