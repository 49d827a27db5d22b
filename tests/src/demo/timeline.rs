//! The time line of each healing, as the audit trail has it, and what it comes to.

use super::case::Course;

/// The steps that are shown, by what the audit trail calls them.
const STEPS: [(&str, &str); 4] = [
    ("found", "incident_opened"),
    ("decided", "incident_decided"),
    ("tried", "attempt_staged"),
    ("ordered", "attempt_applying"),
];

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
    let found: Vec<f64> = courses
        .iter()
        .filter_map(|course| course.at("incident_opened"))
        .collect();
    let healed: Vec<f64> = courses
        .iter()
        .filter(|course| course.status() == "success" && course.at("incident_opened").is_some())
        .filter_map(Course::ended)
        .collect();
    println!(
        "  MTTD           {} over {} illnesses; MTTR {} over the {} that the first cure healed",
        mean(&found),
        found.len(),
        mean(&healed),
        healed.len()
    );
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
