//! `approval`

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use super::text;
use crate::{
    api::{Api, Connection, Extent, Query},
    output::{Lines, Output, Tone, plain, tinted, when},
};

/// What can be done with approvals.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List what people are asked, the newest first.
    List(List),
    /// Show one: what would be done, who said what, and who is still needed.
    Show(One),
    /// Say no; one no ends it.
    Reject(Say),
    /// Say a word that is neither.
    Comment(Say),
}

/// Arguments of `approval list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those that are so.
    #[arg(long, value_parser = ["pending", "approved", "rejected", "expired", "void"])]
    status: Option<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `approval show`.
#[derive(Debug, Args)]
pub struct One {
    /// Which.
    id: Uuid,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `approval reject` and `approval comment`.
#[derive(Debug, Args)]
pub struct Say {
    /// Which.
    id: Uuid,
    /// Why, or what, in words.
    #[arg(long)]
    comment: String,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one.
pub fn run(verb: &Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::List(arguments) => list(arguments),
        Verb::Show(one) => {
            let approval = Api::connect(&one.connection)?.get(&path(one.id, ""))?;
            Ok(Output::new(story(&approval), approval))
        }
        Verb::Reject(say) => speak(say, "/reject"),
        Verb::Comment(say) => speak(say, "/comment"),
    }
}

fn path(id: Uuid, verb: &str) -> String {
    format!("/api/ops/approvals/{id}{verb}")
}

fn list(arguments: &List) -> anyhow::Result<Output> {
    let query = Query::new("/api/ops/approvals").maybe("status", arguments.status.as_ref());
    let found = Api::connect(&arguments.connection)?.list(&query, "approvals", &arguments.extent)?;
    let heads = [
        "ID", "STATUS", "ACTION", "FROM", "TO", "SEVERITY", "NEEDS", "ASKED BY", "ENDS",
    ];
    Ok(found.output(&heads, |approval| {
        let mut row = ["id", "status", "action", "from_version", "to_version", "severity"]
            .map(|field| text(approval, field))
            .to_vec();
        row.extend([
            missing(approval),
            text(approval, "requested_by"),
            when(approval, "expires_at"),
        ]);
        row
    }))
}

/// Who is still needed, in words.
fn missing(approval: &Value) -> String {
    let people = approval.pointer("/missing/people").and_then(Value::as_u64).unwrap_or(0);
    let roles = approval.pointer("/missing/one_of_each").and_then(Value::as_array);
    let roles: Vec<String> = roles
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(plain)
        .collect();
    let signatures = approval
        .pointer("/missing/signatures")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    if signatures > 0 {
        return format!("{people} more, {signatures} more signatures (--key)");
    }
    match (people, roles.is_empty()) {
        (0, true) => "nobody".to_owned(),
        (people, true) => format!("{people} more"),
        (people, false) => format!("{people} more, with {}", roles.join(" and ")),
    }
}

fn story(approval: &Value) -> String {
    let field = |name| text(approval, name);
    let status = field("status");
    let mut out = Lines::default();
    out.add(format_args!("approval   {}", field("id")));
    out.add(format_args!("status     {}", tinted(&status, Tone::of(&status))));
    out.add(format_args!(
        "what       {} of {} from {} to {}",
        field("action"),
        field("product"),
        field("from_version"),
        field("to_version")
    ));
    out.add(format_args!(
        "where      plugin {} of merchant {}",
        field("plugin_id"),
        field("merchant_id")
    ));
    out.add(format_args!("release    {}", field("release_digest")));
    out.add(format_args!("content    {}", field("content_digest")));
    let reasons = approval.get("reasons").and_then(Value::as_array);
    for reason in reasons.into_iter().flatten() {
        out.add(format_args!("because    {}", text(reason, "words")));
    }
    out.add(format_args!(
        "asked by   {} {}: {}",
        field("requested_by"),
        when(approval, "requested_at"),
        field("requested_why")
    ));
    for vote in approval.get("votes").and_then(Value::as_array).into_iter().flatten() {
        let comment = text(vote, "comment");
        let (person, says, at) = (text(vote, "person"), text(vote, "says"), when(vote, "at"));
        out.add(format_args!("{says:<10} {person} {at}: {comment}"));
    }
    if status == "pending" {
        out.add(format_args!("needs      {}", missing(approval)));
        out.add(format_args!("ends       {}", when(approval, "expires_at")));
        let id = field("id");
        out.add(format_args!(
            "next       'plugmend approve {id}' (with --key for the agent), or 'plugmend approval reject {id}'"
        ));
    }
    out.into()
}

fn speak(say: &Say, verb: &str) -> anyhow::Result<Output> {
    let body = json!({ "comment": say.comment });
    let approval = Api::connect(&say.connection)?.post(&path(say.id, verb), &body)?;
    Ok(Output::new(story(&approval), approval))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Value {
        json!({
            "id": "1", "status": "pending", "product": "molam-pay", "release_digest": "ab".repeat(32),
            "merchant_id": "0193f2a0-0000-7000-8000-000000000002", "missing": { "people": 1, "one_of_each": ["pay_admin"] },
            "votes": [{ "person": "ben", "says": "yes", "comment": null }],
        })
    }

    #[test]
    fn an_approval_says_who_is_still_needed() {
        let told = story(&asked());
        assert!(
            told.contains("1 more, with pay_admin") && told.contains("ben"),
            "{told}"
        );
        assert_eq!(
            missing(&json!({ "missing": { "people": 0, "one_of_each": [] } })),
            "nobody"
        );
    }
}
