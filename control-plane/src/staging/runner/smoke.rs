//! The smoke tests of a release that lies ready.

use std::time::{Duration, Instant};

use plugmend_sandbox::{Outcome, SandboxError, SandboxOptions};
use plugmend_shared::bundle::manifest::{Manifest, SmokeTest};

use super::{Place, RunError, report::Report};
use crate::staging::StagingResult;

/// The least time that a test is started for.
const WORTH_STARTING: Duration = Duration::from_millis(50);

/// Runs every smoke test, one after the other, until `deadline`.
///
/// # Errors
/// Tests can not be confined here: none is run.
pub(super) fn run(
    manifest: &Manifest,
    place: &Place,
    sandbox: &SandboxOptions,
    deadline: Instant,
    mut report: Report,
) -> Result<StagingResult, RunError> {
    let mut ran = 0;
    if manifest.smoke_tests.is_empty() {
        report.error("the release has no smoke tests: nothing was shown");
    }
    for test in &manifest.smoke_tests {
        let left = deadline.saturating_duration_since(Instant::now());
        if left < WORTH_STARTING {
            // What failed before has failed; else nothing is known.
            if report.has_errors() {
                report.error(&format!(
                    "smoke test '{}' was not started: the run's time was up",
                    test.name
                ));
                continue;
            }
            return Err(RunError::OutOfTime("not every smoke test could be started"));
        }
        let limit = left.min(Duration::from_millis(test.timeout_ms));
        report.line(&format!("smoke test '{}': {}", test.name, test.argv.join(" ")));
        let outcome = plugmend_sandbox::run(sandbox, &test.argv, &place.tree(), &place.scratch(), limit);
        match outcome {
            Err(e @ (SandboxError::Unavailable(_) | SandboxError::Helper { .. } | SandboxError::Path { .. })) => {
                return Err(e.into());
            }
            // It is said before anything counts; tests are never run so.
            Ok(outcome) if !outcome.protection.cuts_network() => {
                return Err(SandboxError::Unavailable("there is no way to cut the network".to_owned()).into());
            }
            Ok(outcome) => {
                ran += 1;
                judge(test, &outcome, &mut report);
            }
            Err(e) => {
                // A program that this host does not have, or a sandbox that was lost: no test was run then.
                if !matches!(e, SandboxError::NotStarted(_) | SandboxError::Silent { .. }) {
                    ran += 1;
                }
                report.error(&format!("smoke test '{}': {}", test.name, words(&e)));
            }
        }
    }
    Ok(report.end(ran))
}

fn judge(test: &SmokeTest, outcome: &Outcome, report: &mut Report) {
    let finished = &outcome.finished;
    report.line(&outcome.protection.words());
    report.output("out", &finished.stdout);
    report.output("err", &finished.stderr);
    if finished.code != Some(test.exit) {
        report.error(&format!("smoke test '{}': {}", test.name, finished.words()));
        return;
    }
    match &test.stdout_contains {
        Some(wanted) if !finished.stdout.contains(wanted.as_str()) => {
            report.error(&format!(
                "smoke test '{}': its output does not contain '{wanted}'",
                test.name
            ));
        }
        _ => report.line(&format!(
            "smoke test '{}' passed in {} ms",
            test.name,
            finished.took.as_millis()
        )),
    }
}

fn words(error: &SandboxError) -> String {
    match error {
        SandboxError::Exec(inner) => inner.to_string(),
        other => other.to_string(),
    }
}
