//! `make soak`: orders without end while agent and control plane are killed at random moments. After each, the plugin
//! is wholly one version, and the control plane knows which.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;

use crate::{
    dice::Dice,
    shop::shelf::{self, Shelf},
    system::{Backstage, Ended, Hooks, Host, Plugin, Probe, Terms},
};

const VERSIONS: [&str; 2] = ["1.0.0", "2.0.0"];
/// The longest that an order may take, deaths included.
const LIMIT: Duration = Duration::from_mins(3);
/// A death comes at most this long after the order.
const LATEST_MS: u64 = 3_000;

/// What happened.
#[derive(Debug, Default)]
pub struct Tally {
    /// Orders that ended.
    pub orders: u64,
    /// Of those, carried out.
    pub completed: u64,
    /// Deaths of the agent.
    pub agent_deaths: u64,
    /// Deaths of the control plane.
    pub control_plane_deaths: u64,
}

/// A seed to begin with.
pub fn seed() -> Result<u64> {
    let mut random = [0; 8];
    SystemRandom::new().fill(&mut random).ok().context("no randomness")?;
    Ok(u64::from_le_bytes(random) | 1)
}

/// Goes on for `how_long`; fails at the first thing that is not as it should be.
pub async fn run(layout: &str, how_long: Duration, seed: u64) -> Result<Tally> {
    let mut dice = Dice::new(seed);
    let mut backstage = Backstage::start("shelf", "", Terms::default()).await?;
    for version in VERSIONS {
        backstage.publish(version, shelf::write)?;
    }
    let plugin = backstage.folder("site")?.join("shelf");
    shelf::write(&plugin, VERSIONS[0])?;
    let shop = Shelf::start(plugin.clone()).await?;
    let mut agent = backstage
        .agent(&backstage.folder("agent")?, &host(&plugin, layout, &shop))
        .await?;
    let (begun, mut tally) = (Instant::now(), Tally::default());
    while begun.elapsed() < how_long {
        let installed = whole(&plugin).context("before the order")?;
        let (kind, target) = if installed == VERSIONS[0] {
            ("update", VERSIONS[1])
        } else {
            ("rollback", VERSIONS[0])
        };
        let order = json!({"type": kind, "product": "shelf", "version": target, "reason": "soak"});
        let id = backstage.control_plane.ops().order(agent.plugin_id(), &order).await?;
        tokio::time::sleep(Duration::from_millis(dice.roll(LATEST_MS))).await;
        let fate = dice.roll(10);
        if fate < 8 {
            agent.kill()?;
            tally.agent_deaths += 1;
            // Nobody is at work on it now: what lies there is what a power cut would have left.
            whole(&plugin).with_context(|| format!("after the agent's death, order {id}"))?;
        }
        if fate >= 6 {
            backstage.control_plane.kill()?;
            tally.control_plane_deaths += 1;
            backstage.control_plane.launch()?;
        }
        if fate < 8 {
            agent.launch()?;
        }
        let ended = backstage.control_plane.ops().ended(&id, LIMIT).await;
        let ended = Ended::read(ended.with_context(|| backstage.logs(&agent))?)?;
        let expected = if ended.status == "completed" {
            target
        } else {
            &installed
        };
        let found = whole(&plugin).with_context(|| backstage.logs(&agent))?;
        ensure!(
            found == expected,
            "the order {id} ended as {}, but {found} is installed\n{}",
            ended.status,
            backstage.logs(&agent)
        );
        tally.orders += 1;
        tally.completed += u64::from(ended.status == "completed");
    }
    Ok(tally)
}

/// The version that every file of the plugin says; an error when two say different things or one is missing.
fn whole(plugin: &Path) -> Result<String> {
    let version = shelf::version(plugin).context("no version can be read")?;
    let reference = tempfile::tempdir()?;
    shelf::write(&reference.path().join("shelf"), &version)?;
    for entry in fs::read_dir(reference.path().join("shelf/lib"))? {
        let name = entry?.file_name();
        let (wanted, found) = (
            reference.path().join("shelf/lib").join(&name),
            plugin.join("lib").join(&name),
        );
        let same = fs::read(wanted)? == fs::read(&found).with_context(|| format!("read {}", found.display()))?;
        ensure!(same, "{} is not of version {version}", found.display());
    }
    Ok(version)
}

fn host(plugin: &Path, layout: &str, shop: &Shelf) -> Host {
    Host {
        plugin: Plugin {
            product: "shelf".to_owned(),
            cms: "php".to_owned(),
            path: plugin.to_owned(),
            layout: layout.to_owned(),
            version: VERSIONS[0].to_owned(),
            entries: Vec::new(),
        },
        hooks: Hooks::default(),
        probes: vec![Probe {
            http: format!("http://{}/probe", shop.at()),
            status: 200,
            contains: Some("\"version\":\"{version}\"".to_owned()),
        }],
        udp: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_of_two_versions_is_not_whole() {
        let home = tempfile::tempdir().unwrap();
        shelf::write(home.path(), "1.0.0").unwrap();
        assert_eq!(whole(home.path()).unwrap(), "1.0.0");
        fs::write(home.path().join("VERSION"), "2.0.0\n").unwrap();
        assert!(whole(home.path()).is_err());
    }
}
