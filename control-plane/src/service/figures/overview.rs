//! The fleet at a glance.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plugmend_shared::ids::MerchantId;
use serde::{Deserialize, Serialize};

use super::kept::{counted, kept_or};
use crate::store::{
    Db, StoreError,
    figures::{self, Counted, Healths, Loops, PluginCount},
    policy,
};

/// Versions that are shown.
const VERSIONS: usize = 50;

/// The fleet at a glance.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Overview {
    /// Whether automatic changes may be made at all.
    pub kill_switch: KillSwitch,
    /// The plugins.
    pub plugins: PluginFigures,
    /// What is under way.
    #[serde(flatten)]
    pub loops: Loops,
    /// When plugins were counted; everything else is counted now.
    pub plugins_counted_at: Timestamp,
}

/// Whether automatic changes may be made at all.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = KillSwitchState)]
pub struct KillSwitch {
    /// They may.
    pub autopatch_enabled: bool,
    /// Since when nothing of the policy changed.
    pub policy_changed_at: Timestamp,
    /// By whom it was changed last, where they said so.
    pub policy_changed_by: Option<String>,
}

/// Plugins, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PluginFigures {
    /// All of them.
    pub total: i64,
    /// By how they are doing: `healthy`, `ill`, `recovering`, `changing`, `silent`, `unknown`, `off`.
    pub by_health: Counted,
    /// By status.
    pub by_status: Counted,
    /// By platform.
    pub by_cms: Counted,
    /// By what is installed, the most frequent first.
    pub versions: Vec<VersionCount>,
}

/// How many plugins run a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VersionCount {
    /// Of which product, where that is known.
    pub product: Option<String>,
    /// Which version.
    pub version: String,
    /// How many.
    pub plugins: i64,
}

/// What of it reads every plugin.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Fleet(Vec<PluginCount>);

/// The fleet at a glance, or one merchant's part of it.
///
/// # Errors
/// When the database fails.
pub async fn overview(db: &Db, merchant_id: Option<MerchantId>, now: Timestamp) -> Result<Overview, StoreError> {
    let (fleet, counted_at) = match merchant_id {
        // A merchant's plugins are few, and have their index.
        Some(_) => (Fleet(figures::plugins(db, merchant_id).await?), now),
        None => kept_or(db, "fleet", now, || count_fleet(db)).await?,
    };
    let healths = figures::health(db, merchant_id).await?;
    let (autopatch_enabled, policy_changed_at, policy_changed_by) = policy::switch(db).await?;
    Ok(Overview {
        kill_switch: KillSwitch {
            autopatch_enabled,
            policy_changed_at,
            policy_changed_by: policy_changed_by.filter(|_| merchant_id.is_none()),
        },
        plugins: sum(&fleet.0, healths),
        loops: figures::loops(db, merchant_id, now).await?,
        plugins_counted_at: counted_at,
    })
}

/// Counts the fleet anew, and keeps it: for the worker.
///
/// # Errors
/// When the database fails.
pub async fn fresh_fleet(db: &Db, now: Timestamp) -> Result<PluginFigures, StoreError> {
    let fleet = counted(db, "fleet", now, || count_fleet(db)).await?;
    Ok(sum(&fleet.0, figures::health(db, None).await?))
}

async fn count_fleet(db: &Db) -> Result<Fleet, StoreError> {
    Ok(Fleet(figures::plugins(db, None).await?))
}

fn sum(counts: &[PluginCount], need: Healths) -> PluginFigures {
    let mut sums = PluginFigures::default();
    let mut versions = BTreeMap::<(Option<&str>, &str), i64>::new();
    for count in counts {
        sums.total += count.plugins;
        *sums.by_status.entry(count.status.clone()).or_default() += count.plugins;
        *sums.by_cms.entry(count.cms.clone()).or_default() += count.plugins;
        *versions.entry((count.product.as_deref(), &count.version)).or_default() += count.plugins;
    }
    let Healths {
        off,
        ill,
        silent,
        unknown,
        changing,
        recovering,
    } = need;
    // Counted a moment apart: what does not add up is nobody's.
    let healthy = (sums.total - off - ill - silent - unknown - changing - recovering).max(0);
    let named = [
        ("healthy", healthy),
        ("ill", ill),
        ("recovering", recovering),
        ("changing", changing),
        ("silent", silent),
        ("unknown", unknown),
        ("off", off),
    ];
    sums.by_health = named.into_iter().map(|(word, n)| (word.to_owned(), n)).collect();
    let mut versions: Vec<_> = versions.into_iter().collect();
    versions.sort_by_key(|(_, plugins)| std::cmp::Reverse(*plugins));
    sums.versions = versions
        .into_iter()
        .take(VERSIONS)
        .map(|((product, version), plugins)| VersionCount {
            product: product.map(str::to_owned),
            version: version.to_owned(),
            plugins,
        })
        .collect();
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_not_in_need_is_healthy() {
        let count = |version: &str, cms: &str, plugins| PluginCount {
            product: Some("pay".to_owned()),
            version: version.to_owned(),
            cms: cms.to_owned(),
            status: "active".to_owned(),
            plugins,
        };
        let healths = Healths {
            ill: 3,
            silent: 2,
            ..Healths::default()
        };
        let sums = sum(
            &[count("1", "node", 5), count("1", "php", 10), count("2", "php", 4)],
            healths,
        );
        assert_eq!(
            (sums.total, sums.by_health["healthy"], sums.by_cms["php"]),
            (19, 14, 14)
        );
        assert_eq!((sums.versions[0].version.as_str(), sums.versions[0].plugins), ("1", 15));
    }
}
