//! One incident, until it ends.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    line::Line,
    pulse::{Beat, Pulse},
};
use crate::{
    api::{Api, Query},
    exit::Exit,
    output::{Output, exit_of, text},
};

/// How often it is looked at, whatever the stream says.
const LOOK: Duration = Duration::from_secs(5);
/// Looks are at least this far apart.
const APART: Duration = Duration::from_millis(300);
/// The most attempts that are followed.
const MOST: usize = 50;

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Until {
    /// A cure was applied and holds so far.
    Mitigated,
    /// It is over: the cure has held for long enough.
    Closed,
}

/// Follows it; the result is its outcome.
///
/// # Errors
/// When there is no such incident, or the control plane refuses.
pub async fn follow(
    api: &Api,
    id: Uuid,
    until: Until,
    deadline: Option<Instant>,
    tell: &mut dyn FnMut(&Line),
) -> anyhow::Result<Output> {
    let mut pulse = Pulse::new(api);
    let mut was: Option<(Value, Vec<Value>)> = None;
    loop {
        match look(api, id).await {
            Ok((incident, attempts)) => {
                let before = was.as_ref();
                changed("incident", before.map(|(incident, _)| incident), &incident, tell);
                for attempt in &attempts {
                    let known = before.and_then(|(_, list)| list.iter().find(|known| known["id"] == attempt["id"]));
                    changed("attempt", known, attempt, tell);
                }
                if let Some(exit) = ended(&incident, &attempts, before.map(|(incident, _)| incident), until) {
                    return Ok(outcome(&incident, &attempts, exit));
                }
                was = Some((incident, attempts));
            }
            // It may be started anew meanwhile; the deadline ends this.
            Err(error) if was.is_some() && exit_of(&error) == Exit::Unavailable => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(APART).await;
        let now = Instant::now();
        if let (Some(deadline), Some((incident, attempts))) = (deadline, &was)
            && deadline <= now
        {
            return Ok(outcome(incident, attempts, Exit::Failed));
        }
        let wait = deadline.map_or(LOOK, |deadline| LOOK.min(deadline.saturating_duration_since(now)));
        wait_for(&mut pulse, id, wait).await?;
    }
}

/// Waits for an event about this incident, or for the time to pass.
async fn wait_for(pulse: &mut Pulse<'_>, id: Uuid, wait: Duration) -> anyhow::Result<()> {
    let (ends, id) = (Instant::now() + wait, id.to_string());
    loop {
        let left = ends.saturating_duration_since(Instant::now());
        match pulse.beat(left).await? {
            Beat::Event(event) if event.data.contains(&id) => return Ok(()),
            Beat::Event(_) if Instant::now() < ends => {}
            Beat::Event(_) | Beat::Tick => return Ok(()),
        }
    }
}

async fn look(api: &Api, id: Uuid) -> anyhow::Result<(Value, Vec<Value>)> {
    let incident = api
        .fetch(&Query::new(format!("/api/ops/plugin-incidents/{id}")))
        .await?;
    let query = Query::new("/api/ops/autopatch-attempts")
        .with("incident_id", id)
        .with("limit", MOST);
    let mut page = api.fetch(&query).await?;
    let attempts = page
        .get_mut("attempts")
        .and_then(Value::as_array_mut)
        .map(std::mem::take);
    let own = |attempt: &Value| text(attempt, "incident_id") == id.to_string();
    Ok((incident, attempts.unwrap_or_default().into_iter().filter(own).collect()))
}

fn changed(kind: &str, was: Option<&Value>, is: &Value, tell: &mut dyn FnMut(&Line)) {
    if was.is_none_or(|was| was["status"] != is["status"]) {
        tell(&Line::of(kind, is, was));
    }
}

/// Whether there is nothing left to follow, and what that comes to. An incident that is with people from the beginning is
/// followed while a cure is on its way (they have said yes, or are about to).
fn ended(incident: &Value, attempts: &[Value], was: Option<&Value>, until: Until) -> Option<Exit> {
    let is_live = |attempt: &Value| matches!(text(attempt, "status").as_str(), "pending" | "staging" | "applying");
    match text(incident, "status").as_str() {
        "closed" => Some(Exit::Done),
        "mitigated" if until == Until::Mitigated => Some(Exit::Done),
        "escalated" => {
            let just_now = was.is_some_and(|was| text(was, "status") != "escalated");
            (just_now || !attempts.iter().any(is_live)).then_some(Exit::Refused)
        }
        _ => None,
    }
}

fn outcome(incident: &Value, attempts: &[Value], exit: Exit) -> Output {
    let (status, id) = (text(incident, "status"), text(incident, "id"));
    let words = match exit {
        Exit::Done => format!("incident {id} is {status}"),
        Exit::Refused => format!("incident {id} waits for people: 'plugmend incident show {id}'"),
        _ => format!("incident {id} is still {status}; the time is over"),
    };
    let data = json!({ "outcome": status, "incident": incident, "attempts": attempts });
    Output::new(words, data).ending(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(status: &str) -> Value {
        json!({ "status": status })
    }

    #[test]
    fn an_incident_ends_as_it_is() {
        let mitigated = |until| ended(&at("mitigated"), &[], None, until);
        assert_eq!(mitigated(Until::Mitigated), Some(Exit::Done));
        assert_eq!(mitigated(Until::Closed), None);
        assert_eq!(ended(&at("closed"), &[], None, Until::Closed), Some(Exit::Done));
        assert_eq!(
            ended(&at("in_progress"), &[at("staging")], None, Until::Mitigated),
            None
        );
    }

    #[test]
    fn an_incident_that_comes_to_people_ends_the_watch() {
        let escalated =
            |was: Option<&Value>, attempts: &[Value]| ended(&at("escalated"), attempts, was, Until::Mitigated);
        assert_eq!(
            escalated(Some(&at("in_progress")), &[at("pending")]),
            Some(Exit::Refused)
        );
        assert_eq!(escalated(None, &[at("failed")]), Some(Exit::Refused));
        assert_eq!(escalated(None, &[at("pending")]), None, "people have just said yes");
        assert_eq!(escalated(Some(&at("escalated")), &[at("failed")]), Some(Exit::Refused));
    }
}
