//! What the demo came to.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context, Result};

use super::{
    acts::Act,
    case::Course,
    say::{self, bytes},
    stage::{FullSize, Stage},
    timeline,
};
use crate::{load::Report, shop::payments, system::in_force};

/// Everything that is claimed at the end.
pub struct Summary {
    acts: Vec<Act>,
    courses: Vec<Course>,
    /// Webhooks that the merchant and ops were told of, each with a good signature.
    told: (usize, usize),
    staging: String,
    report: Report,
    orders: Orders,
    full_size: FullSize,
    agent_rss: Option<u64>,
    took: Duration,
}

/// What became of the paid orders.
#[derive(Debug, Default)]
struct Orders {
    kept: usize,
    lost: usize,
    doubled: usize,
}

impl Summary {
    /// Sends the customers home and counts.
    pub async fn of(stage: &mut Stage, acts: Vec<Act>, courses: Vec<Course>, took: Duration) -> Result<Self> {
        let load = stage.load.take().context("customers are there until the end")?;
        let samples = load.finish().await?;
        let paid: Vec<String> = stage
            .customers
            .right()
            .into_iter()
            .filter_map(payments::order)
            .collect();
        let file = fs::read_to_string(&stage.shop.place().orders)?;
        Ok(Self {
            acts,
            courses,
            told: (stage.merchant.told()?.len(), stage.ops.told()?.len()),
            staging: stage.runner.protection().await?,
            report: Report::of(&samples, &in_force(&stage.watcher.swaps(), &stage.turns.swaps())),
            orders: count(&file, &paid),
            full_size: stage.full_size,
            agent_rss: stage.agent.pid().and_then(resident),
            took,
        })
    }

    /// Whether everything was as it should be.
    pub fn holds(&self) -> bool {
        let told = self.told.0 > 0 && self.told.1 > 0;
        let in_time = timeline::holds(&self.courses);
        in_time && self.report.is_clean() && self.orders.lost == 0 && self.orders.doubled == 0 && told
    }

    /// Prints it.
    pub fn print(&self) {
        say::title("Summary");
        for act in &self.acts {
            println!(
                "  {:<14} {:>6.1} s from order to end, fetched {:>8} (the plugin: {}, packed {})",
                act.title,
                act.took.as_secs_f64(),
                bytes(act.ended.bytes_fetched()),
                bytes(self.full_size.files),
                bytes(self.full_size.pack),
            );
        }
        timeline::print(&self.courses);
        println!(
            "  webhooks       {} to the merchant and {} to ops, every signature verified",
            self.told.0, self.told.1
        );
        println!("  staging        {}", self.staging);
        println!("  customers      {}", self.report);
        let shares: Vec<String> = self
            .report
            .by_version
            .iter()
            .map(|(v, n)| format!("{v}: {n}"))
            .collect();
        println!("  served by      {}", shares.join(", "));
        println!(
            "  orders         {} paid and kept, {} lost, {} doubled",
            self.orders.kept, self.orders.lost, self.orders.doubled
        );
        if let Some(rss) = self.agent_rss {
            println!("  agent          {} resident (development build)", bytes(rss));
        }
        println!("  took           {:.0} s", self.took.as_secs_f64());
        println!(
            "\n{}",
            if self.holds() {
                "No request failed but by the plugin's own bugs, and none saw a mixture."
            } else {
                "NOT as it should be."
            }
        );
    }
}

fn count(file: &str, paid: &[String]) -> Orders {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for line in file.lines() {
        *seen.entry(line.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    let mut orders = Orders::default();
    for order in paid {
        match seen.get(order.as_str()) {
            None => orders.lost += 1,
            Some(1) => orders.kept += 1,
            Some(_) => orders.doubled += 1,
        }
    }
    orders
}

/// A process' resident memory in bytes, from `/proc/<pid>/status` (proc(5), `VmRSS`).
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_and_doubled_orders_are_told_apart() {
        let paid = ["order-1", "order-2", "order-3"].map(str::to_owned);
        let orders = count("order-1 10\norder-2 11\norder-2 11\n", &paid);
        assert_eq!((orders.kept, orders.lost, orders.doubled), (1, 1, 1));
    }
}
