//! `release status`

use jiff::Timestamp;
use plugmend_shared::clock::{Clock as _, SystemClock};
use plugmend_shared::tuf::{Role, Root, Targets};
use serde_json::{Value, json};

use super::{Place, metadata::Staged, workspace::Workspace};
use crate::output::{Lines, Output};

/// Shows what is staged.
pub fn run(place: &Place) -> anyhow::Result<Output> {
    let (words, data) = describe(&Workspace::open(&place.workspace)?)?;
    Ok(Output::new(words, data))
}

/// What is staged, who signed and who is missing, and what expires soon.
pub fn describe(workspace: &Workspace) -> anyhow::Result<(String, Value)> {
    let staged = Staged::all(workspace)?;
    let mut words = Lines::default();
    let mut data = Vec::new();
    for document in &staged {
        let state = if document.is_complete() {
            "fully signed"
        } else {
            "waits for signatures"
        };
        words.add(format_args!("{} version {}: {state}", document.role, document.version));
        let mut groups = Vec::new();
        for group in &document.groups {
            words.add(format_args!(
                "  {} of {} needed, {}",
                group.tally.valid.len(),
                group.tally.threshold,
                group.who
            ));
            let missing: Vec<_> = group.missing().collect();
            if !group.tally.suffices() {
                for id in &missing {
                    words.add(format_args!("    missing {id}"));
                }
            }
            groups.push(json!({
                "who": group.who, "signed": group.tally.valid, "threshold": group.tally.threshold, "missing": missing,
            }));
        }
        data.push(json!({
            "role": document.role, "version": document.version, "complete": document.is_complete(), "groups": groups,
        }));
    }
    if staged.is_empty() {
        words.add("nothing is staged");
    } else if staged.iter().all(Staged::is_complete) {
        words.add("next: 'plugmend release publish'");
    }
    let expiring = expiring(workspace)?;
    for line in &expiring {
        words.add(line);
    }
    Ok((words.into(), json!({ "staged": data, "expiring": expiring })))
}

/// Published metadata that expire within thirty days.
fn expiring(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let now = SystemClock.now().as_second();
    let days = ends(workspace)?
        .into_iter()
        .map(|(role, at)| (role, (at.as_second() - now).div_euclid(86_400)));
    Ok(days
        .filter(|(_, days)| *days < 30)
        .map(|(role, days)| format!("{role} expires in {days} days: run 'plugmend release rotate renew --role {role}'"))
        .collect())
}

/// When each role of the published metadata expires.
///
/// # Errors
/// When it can not be read.
pub fn ends(workspace: &Workspace) -> anyhow::Result<Vec<(String, Timestamp)>> {
    let mut out = Vec::new();
    for role in workspace.roles()? {
        let head = if role == Root::KIND {
            workspace.published::<Root>(&role)?.map(|d| d.signed.head)
        } else {
            workspace.published::<Targets>(&role)?.map(|d| d.signed.head().clone())
        };
        if let Some(head) = head {
            out.push((role, Timestamp::from_second(head.expires.as_second())?));
        }
    }
    Ok(out)
}
