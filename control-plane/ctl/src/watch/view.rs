//! What is under way, as one look at the control plane shows it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::line::Line;
use crate::{
    api::{Api, Query},
    exit::Exit,
    output::{exit_of, text},
};

/// The most of each kind that a look takes in.
const MOST: usize = 50;
/// Incidents that are not over, the worst first.
const INCIDENTS: [&str; 3] = ["escalated", "in_progress", "open"];
/// Attempts that are not over, the furthest first.
const ATTEMPTS: [&str; 3] = ["applying", "staging", "pending"];

/// One look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Whether nothing may change by itself; `None` where the bearer may not know.
    pub kill_switch: Option<bool>,
    /// Incidents that are not over.
    pub incidents: Vec<Value>,
    /// Attempts that are not over.
    pub attempts: Vec<Value>,
}

impl View {
    /// Looks: seven bounded requests.
    ///
    /// # Errors
    /// When the control plane can not be reached or refuses.
    pub async fn look(api: &Api) -> anyhow::Result<Self> {
        let mut view = Self {
            kill_switch: switch(api).await?,
            ..Self::default()
        };
        for status in INCIDENTS {
            let query = Query::new("/api/ops/plugin-incidents").with("status", status);
            view.incidents.extend(list(api, query, "incidents").await?);
        }
        for status in ATTEMPTS {
            let query = Query::new("/api/ops/autopatch-attempts").with("status", status);
            view.attempts.extend(list(api, query, "attempts").await?);
        }
        Ok(view)
    }

    /// What is otherwise than it was.
    pub fn since(&self, was: &Self) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(is_on) = self.kill_switch.filter(|_| self.kill_switch != was.kill_switch) {
            lines.push(Line::kill_switch(is_on));
        }
        changes("incident", &was.incidents, &self.incidents, &mut lines);
        changes("attempt", &was.attempts, &self.attempts, &mut lines);
        lines
    }
}

fn changes(kind: &'static str, was: &[Value], is: &[Value], lines: &mut Vec<Line>) {
    let by_id = |list: &[Value]| -> BTreeMap<String, Value> {
        list.iter().map(|entry| (text(entry, "id"), entry.clone())).collect()
    };
    let (before, now) = (by_id(was), by_id(is));
    for entry in is {
        let known = before.get(&text(entry, "id"));
        if known.is_none_or(|known| known.get("status") != entry.get("status")) {
            lines.push(Line::of(kind, entry, known));
        }
    }
    // Where more is under way than one look takes in, what is gone may only be out of sight.
    if is.len() < MOST {
        let gone = was.iter().filter(|entry| !now.contains_key(&text(entry, "id")));
        lines.extend(gone.map(|entry| Line::gone(kind, entry)));
    }
}

async fn list(api: &Api, query: Query, name: &str) -> anyhow::Result<Vec<Value>> {
    let mut page = api.fetch(&query.with("limit", MOST)).await?;
    let list = page.get_mut(name).and_then(Value::as_array_mut).map(std::mem::take);
    Ok(list.unwrap_or_default().into_iter().take(MOST).collect())
}

/// The kill switch, where the bearer may know.
async fn switch(api: &Api) -> anyhow::Result<Option<bool>> {
    match api.fetch(&Query::new("/api/ops/policy")).await {
        Ok(policy) => Ok(policy
            .pointer("/policy/autopatch_enabled")
            .map(|on| *on == json!(false))),
        Err(error) if matches!(exit_of(&error), Exit::NotFound | Exit::Refused) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(incidents: &[(&str, &str)]) -> View {
        let incident = |(id, status): &(&str, &str)| json!({ "id": id, "status": status, "severity": "high" });
        View {
            kill_switch: Some(false),
            incidents: incidents.iter().map(incident).collect(),
            attempts: Vec::new(),
        }
    }

    fn told(was: &View, is: &View) -> Vec<String> {
        is.since(was).iter().map(|line| line.words.clone()).collect()
    }

    #[test]
    fn what_comes_changes_and_goes_is_told() {
        let was = view(&[("1", "open"), ("2", "open")]);
        let is = view(&[("1", "in_progress"), ("3", "open")]);
        let lines = told(&was, &is);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines[0].contains("incident 1") && lines[0].contains("open → in_progress"),
            "{lines:?}"
        );
        assert!(
            lines[1].contains("incident 3") && lines[2].contains("incident 2"),
            "{lines:?}"
        );
        assert!(told(&is, &is).is_empty());
    }

    #[test]
    fn the_kill_switch_is_told_when_it_is_thrown() {
        let mut is = view(&[]);
        is.kill_switch = Some(true);
        assert_eq!(told(&view(&[]), &is).len(), 1);
        is.kill_switch = None;
        assert!(told(&view(&[]), &is).is_empty());
    }

    #[test]
    fn what_is_out_of_sight_is_not_called_over() {
        let many: Vec<String> = (0..MOST).map(|n| format!("n{n}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|id| (id.as_str(), "open")).collect();
        let lines = told(&view(&[("1", "open")]), &view(&many));
        assert!(!lines.iter().any(|line| line.contains("incident 1 ")), "{lines:?}");
    }
}
