//! What is asked of a staging runner, and what came out.

use plugmend_shared::ids::{Digest, MerchantId, PluginId, Product};
use semver::Version;
use serde::{Deserialize, Serialize};

/// The longest a run may be given, in seconds: beyond `staging_timeout_seconds` of any sensible policy.
pub const MAX_TIMEOUT_SECONDS: u32 = 3600;
/// The most errors of one run.
pub const MAX_ERRORS: usize = 100;
/// The longest error, in bytes.
pub const MAX_ERROR_BYTES: usize = 4096;
/// The most lines of the log of one run.
pub const MAX_LOG_LINES: usize = 2000;
/// The longest line of it, in bytes.
pub const MAX_LOG_LINE_BYTES: usize = 4096;
/// The most tests that are believed to have run.
pub const MAX_TESTS: u32 = 10_000;

/// One release to try out for one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagingRequest {
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// What is installed there.
    pub product: Product,
    /// Which version.
    pub version: Version,
    /// Exactly which release of that version, when it is known: another one is refused.
    pub release_digest: Option<Digest>,
}

/// The body of `POST /run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunBody {
    /// Whose plugin.
    #[serde(rename = "merchantId")]
    pub merchant_id: MerchantId,
    /// Which plugin.
    #[serde(rename = "pluginId")]
    pub plugin_id: PluginId,
    /// Which version.
    pub version: Version,
    /// Of what. The reference system's callers do not say it; the built-in runner needs it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "product")]
    pub product: Option<Product>,
    /// Exactly which release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_digest: Option<Digest>,
    /// The longest the whole run may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

fn product<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Product>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom))
        .transpose()
}

/// How a run ended. `passed` is true only where at least one test ran and none failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StagingResult {
    /// Whether every smoke test succeeded.
    pub passed: bool,
    /// How many ran.
    pub tests_run: u32,
    /// How long it took, in ms.
    pub duration_ms: u64,
    /// Why it did not pass, in words; empty when it did.
    pub errors: Vec<String>,
    /// What was done and said, line by line.
    pub logs: Vec<String>,
}

impl StagingResult {
    /// What is stored with the attempt (`staging_result`): all but the log.
    pub fn for_attempt(&self) -> serde_json::Value {
        serde_json::json!({
            "passed": self.passed,
            "tests_run": self.tests_run,
            "duration_ms": self.duration_ms,
            "errors": self.errors,
        })
    }
}
