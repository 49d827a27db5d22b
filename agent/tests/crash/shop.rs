//! The shop of a crash test, and what must hold of it.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use plugmend_agent::domain::installed::LayoutKind;
use plugmend_shared::protocol::command::{Command, CommandKind};

use crate::{
    child::{self, Done, Faults, Report, Work},
    engine_support::{Files, Host, ORDERS, Releases, SETTINGS, command, files, manifest, zero},
    writer::Writer,
};

/// What is going on when the fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// From release zero to 1.1.0: adoption, first taking-in of data, swap, commit.
    Update,
    /// To 1.2.0, whose probe says no: swap, revert, quarantine.
    BadUpdate,
    /// From 1.1.0 back to release zero.
    Rollback,
    /// New settings.
    Config,
}

impl Scenario {
    fn order(self, n: u64) -> Command {
        match self {
            Self::Update => command(n, CommandKind::Update, Some("1.1.0")),
            Self::BadUpdate => command(n, CommandKind::Update, Some("1.2.0")),
            Self::Rollback => command(n, CommandKind::Rollback, Some("1.0.0")),
            Self::Config => {
                let mut order = command(n, CommandKind::ConfigUpdate, None);
                let value = if n.is_multiple_of(2) { 2000 } else { 3000 };
                order.payload.config = serde_json::json!({"timeout_ms": value}).as_object().cloned();
                order
            }
        }
    }

    /// Versions that may run when it is over, the one that it wants last.
    fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Update => &["1.0.0", "1.1.0"],
            Self::BadUpdate => &["1.2.0", "1.0.0"],
            Self::Rollback => &["1.1.0", "1.0.0"],
            Self::Config => &["1.1.0"],
        }
    }
}

pub struct Shop {
    _top: tempfile::TempDir,
    pub host: Host,
    orders: AtomicU64,
}

fn version_files(version: &str) -> Files {
    if version == "1.0.0" {
        zero()
    } else {
        files(version, version)
    }
}

/// The version that has exactly these files.
pub fn version_of(seen: &Files) -> Option<&'static str> {
    ["1.0.0", "1.1.0", "1.2.0"]
        .into_iter()
        .find(|version| *seen == version_files(version))
}

impl Shop {
    pub fn new(layout: LayoutKind) -> Self {
        // In memory where there is such a place: thousands of syncs are made, and none of them matters to a kill.
        let shm = PathBuf::from("/dev/shm");
        let top = if shm.is_dir() {
            tempfile::tempdir_in(shm)
        } else {
            tempfile::tempdir()
        }
        .unwrap();
        let mut host = Host::new(top.path(), layout);
        host.bad_version = Some("1.2.0".to_owned());
        let mut releases = Releases::new();
        for version in ["1.1.0", "1.2.0"] {
            let files = version_files(version);
            releases.add(manifest(version, &files), files);
        }
        releases.save(&host.repository());
        fs::write(host.plugin().join(ORDERS), "first order\n").unwrap();
        Self {
            _top: top,
            host,
            orders: AtomicU64::new(1),
        }
    }

    fn work(&self, order: Option<Command>) -> Work {
        Work {
            host: self.host.clone(),
            order,
            report: self.host.top.join("report"),
        }
    }

    fn next_order(&self, scenario: Scenario) -> Command {
        scenario.order(self.orders.fetch_add(1, Ordering::SeqCst))
    }

    /// Brings the shop to where the scenario begins.
    pub fn prepare(&self, scenario: Scenario) {
        if matches!(scenario, Scenario::Rollback | Scenario::Config) {
            let done = child::run(&self.work(Some(self.next_order(Scenario::Update))), &Faults::none());
            assert_eq!(
                done.report.version.as_deref(),
                Some("1.1.0"),
                "{:?} {}",
                done.report,
                done.log
            );
        }
    }

    pub fn run(&self, scenario: Scenario, faults: &Faults) -> Done {
        child::run(&self.work(Some(self.next_order(scenario))), faults)
    }

    /// Starts, with no order to carry out.
    pub fn start(&self, faults: &Faults) -> Done {
        child::run(&self.work(None), faults)
    }

    /// What runs, right now, is one version, byte for byte; which.
    fn version(&self, place: &str) -> &'static str {
        let seen = self.host.visible();
        version_of(&seen).unwrap_or_else(|| panic!("{place}: a mixture: {:?}", seen.keys().collect::<Vec<_>>()))
    }

    pub fn assert_some_version(&self, place: &str) {
        self.version(place);
    }

    /// Before the restart: the old version or the new one, and the plugin's data where it was.
    pub fn assert_whole(&self, scenario: Scenario, place: &str) {
        let version = self.version(place);
        assert!(scenario.versions().contains(&version), "{place}: {version} runs");
        self.assert_data(place);
    }

    fn assert_data(&self, place: &str) {
        let orders = fs::read_to_string(self.host.plugin().join(ORDERS));
        assert_eq!(orders.ok().as_deref(), Some("first order\n"), "{place}");
        let settings = fs::read(self.settings()).unwrap_or_else(|e| panic!("{place}: no settings: {e}"));
        let settings: serde_json::Value = serde_json::from_slice(&settings).unwrap();
        assert_eq!(settings["secret"], "mine", "{place}");
    }

    fn settings(&self) -> PathBuf {
        self.host.plugin().join(SETTINGS)
    }

    /// The next start settles the ledger and says the truth; then the very same order can be carried out.
    pub fn assert_settles(&self, scenario: Scenario, place: &str) {
        let again = self.run(scenario, &Faults::none());
        let report = &again.report;
        assert!(report.ended.is_some(), "{place}: {report:?} {}", again.log);
        assert_settled(report, place);
        let wanted = scenario.versions().last().copied();
        assert_eq!(report.version.as_deref(), wanted, "{place}: {report:?} {}", again.log);
        assert_eq!(Some(self.version(place)), wanted, "{place}");
        self.assert_data(place);
        if scenario == Scenario::Config {
            let settings: serde_json::Value = serde_json::from_slice(&fs::read(self.settings()).unwrap()).unwrap();
            assert_ne!(settings["timeout_ms"], 1000, "{place}");
        }
    }

    pub fn assert_opens(&self, place: &str) {
        let opened = self.start(&Faults::none());
        assert_settled(&opened.report, place);
    }

    /// A plugin that writes an order every few hundred microseconds, under its own path.
    pub fn write_orders(&self) -> Writer {
        fs::write(self.host.plugin().join(ORDERS), "").unwrap();
        Writer::start(self.host.plugin().join(ORDERS))
    }
}

/// The start has settled everything, and what the ledger says is what runs.
fn assert_settled(report: &Report, place: &str) {
    assert_eq!(report.open_error, None, "{place}");
    assert_eq!(report.stuck, None, "{place}");
    assert_eq!(
        report.change_at_open, None,
        "{place}: the change is still open: {report:?}"
    );
    assert!(report.visible_at_open.is_some(), "{place}: a mixture after the start");
    assert_eq!(
        report.version_at_open, report.visible_at_open,
        "{place}: the ledger lies"
    );
}

/// Every point that a scenario passes. Of one that is passed again and again (a folder made, a file created) the
/// first, the second and the last time count; all of them with `PLUGMEND_EVERYWHERE=1`.
pub fn points(layout: LayoutKind, scenario: Scenario) -> Vec<(String, u32)> {
    let shop = Shop::new(layout);
    shop.prepare(scenario);
    let trace = shop.host.top.join("trace");
    let done = shop.run(scenario, &Faults::trace(&trace));
    assert!(done.report.ended.is_some(), "{:?} {}", done.report, done.log);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut all = Vec::new();
    for point in fs::read_to_string(trace).unwrap().lines() {
        let n = counts.entry(point.to_owned()).or_default();
        *n += 1;
        all.push((point.to_owned(), *n));
    }
    assert!(all.len() > 20, "{all:?}");
    if std::env::var_os("PLUGMEND_EVERYWHERE").is_none() {
        let common = |point: &str| point.starts_with("platform.beneath") || point.starts_with("tree.");
        all.retain(|(point, n)| !common(point) || *n <= 2 || *n == counts[point] || *n == counts[point] / 2);
    }
    all
}
