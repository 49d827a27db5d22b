//! `make demo`: a real payments plugin is updated, reconfigured, rolled back, and healed after a broken release, while
//! customers shop; then it falls ill by a bug of its own, and is cured with nobody awake.

mod acts;
mod case;
mod healing;
mod say;
mod stage;
mod summary;
mod timeline;

use std::time::{Duration, Instant};

use anyhow::Result;

use self::{acts::Act, case::Course, say::Say, stage::Stage, summary::Summary};
use crate::system::Pace;

/// Runs the demo; whether everything that it claims was seen.
///
/// # Errors
/// Something could not be set up, or did not happen.
pub async fn run(keep: bool) -> Result<bool> {
    let begun = Instant::now();
    let say = Say::new(begun);
    say::title("Plugmend demo: a real payments plugin changes hands while customers shop");
    let mut stage = Stage::set(&say).await?;
    let played = play(&say, &mut stage).await;
    let (acts, courses) = match played {
        Ok(played) => played,
        Err(error) => {
            stage.explain(&say);
            return Err(error);
        }
    };
    let summary = Summary::of(&mut stage, acts, courses, begun.elapsed()).await?;
    summary.print();
    if keep {
        stage.leave_open().await?;
    }
    Ok(summary.holds())
}

async fn play(say: &Say, stage: &mut Stage) -> Result<(Vec<Act>, Vec<Course>)> {
    let acts = acts::play(say, stage).await?;
    Ok((acts, healing::play(say, stage).await?))
}

/// The demo's pace: minutes become seconds.
pub const PACE: Pace = Pace {
    heartbeat_s: 5,
    watch_s: 4,
    interval_s: 1,
};

/// The longest that one act may take.
pub const ACT_LIMIT: Duration = Duration::from_mins(1);
