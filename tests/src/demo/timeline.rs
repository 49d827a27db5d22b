//! The time line of each healing, as the audit trail has it, and what it comes to.

use super::{PACE, case::Course};

/// The steps that are shown, by what the audit trail calls them.
const STEPS: [(&str, &str); 4] = [
    ("found", "incident_opened"),
    ("decided", "incident_decided"),
    ("tried", "attempt_staged"),
    ("ordered", "attempt_applying"),
];

/// The longest until an illness is found: two heartbeats.
const FOUND_WITHIN_S: f64 = 2.0 * PACE.heartbeat_s as f64;
/// The longest until its first cure is proven: four heartbeats, and the time that a change is watched.
const HEALED_WITHIN_S: f64 = 4.0 * PACE.heartbeat_s as f64 + PACE.watch_s as f64;

/// Prints it.
pub fn print(courses: &[Course]) {
    let heads = each(|(head, _)| format!("{head:>9}"));
    println!(
        "  {:<40}{heads}{:>9}",
        "healing, in seconds after the first sign", "ended"
    );
    for course in courses {
        let steps = each(|(_, action)| shown(course.at(action)));
        println!(
            "    {:<38}{steps}{}  {}",
            course.title,
            shown(course.ended()),
            course.status()
        );
    }
    let (found, healed) = (found(courses), healed(courses));
    println!(
        "  MTTD           {} over {} illnesses (each within {FOUND_WITHIN_S:.0} s); MTTR {} over the {} that the first \
         cure healed (each within {HEALED_WITHIN_S:.0} s)",
        mean(&found),
        found.len(),
        mean(&healed),
        healed.len()
    );
}

/// Whether each illness was found, and where its first cure helped was healed, as soon as was promised.
pub fn holds(courses: &[Course]) -> bool {
    let (found, healed) = (found(courses), healed(courses));
    let in_time = |all: &[f64], limit: f64| !all.is_empty() && all.iter().all(|took| *took <= limit);
    in_time(&found, FOUND_WITHIN_S) && in_time(&healed, HEALED_WITHIN_S)
}

/// Seconds until each illness was found.
fn found(courses: &[Course]) -> Vec<f64> {
    courses
        .iter()
        .filter_map(|course| course.at("incident_opened"))
        .collect()
}

/// Seconds until the first cure of an illness had helped.
fn healed(courses: &[Course]) -> Vec<f64> {
    courses
        .iter()
        .filter(|course| course.status() == "success" && course.at("incident_opened").is_some())
        .filter_map(Course::ended)
        .collect()
}

fn each(cell: impl Fn(&(&str, &str)) -> String) -> String {
    STEPS.iter().map(cell).collect::<Vec<_>>().concat()
}

fn shown(at: Option<f64>) -> String {
    at.map_or_else(|| format!("{:>9}", "-"), |at| format!("{at:>9.1}"))
}

fn mean(seconds: &[f64]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let mean = seconds.iter().sum::<f64>() / seconds.len().max(1) as f64;
    format!("{mean:.1} s")
}
