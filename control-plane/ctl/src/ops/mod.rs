//! Running the fleet from a terminal.

mod agent;
mod audit;
mod command;
mod decide;
mod merchant;
mod plugin;
mod release_block;
mod secret_file;
mod token;
mod webhook;

use clap::Subcommand;

use crate::output::{Lines, Output};

/// What can be asked of the control plane.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Shops.
    #[command(subcommand)]
    Merchant(merchant::Verb),
    /// One-time enrolment tokens.
    #[command(subcommand)]
    Token(token::Verb),
    /// Installations and how they are doing.
    #[command(subcommand)]
    Plugin(plugin::Verb),
    /// Orders to one plugin.
    #[command(subcommand)]
    Command(command::Verb),
    /// Decisions about incidents.
    #[command(subcommand)]
    Decide(decide::Verb),
    /// Agents and their certificates.
    #[command(subcommand)]
    Agent(agent::Verb),
    /// The audit trail, and proof that it is whole.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Receivers of webhooks and what was sent to them.
    #[command(subcommand)]
    Webhook(webhook::Verb),
    /// Stop offering a release at once, before its signed revocation.
    ReleaseBlock(release_block::Arguments),
}

/// Runs one.
///
/// # Errors
/// When the control plane can not be reached or refuses.
pub fn run(verb: Verb) -> anyhow::Result<Output> {
    match verb {
        Verb::Merchant(v) => merchant::run(&v),
        Verb::Token(v) => token::run(&v),
        Verb::Plugin(v) => plugin::run(&v),
        Verb::Command(v) => command::run(&v),
        Verb::Decide(v) => decide::run(&v),
        Verb::Agent(v) => agent::run(&v),
        Verb::Audit(v) => audit::run(&v),
        Verb::Webhook(v) => webhook::run(&v),
        Verb::ReleaseBlock(v) => release_block::run(&v),
    }
}

/// A field as text; a dash when it is absent.
fn text(value: &serde_json::Value, field: &str) -> String {
    match value.get(field) {
        None | Some(serde_json::Value::Null) => "-".to_owned(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// An object for people: one line a field, folders of fields indented.
fn facts(value: &serde_json::Value) -> String {
    let serde_json::Value::Object(fields) = value else {
        return value.to_string();
    };
    let width = fields.keys().map(String::len).max().unwrap_or(0);
    let mut out = Lines::default();
    for name in fields
        .keys()
        .filter(|name| fields.get(*name).is_some_and(|v| !v.is_null()))
    {
        out.add(format_args!("{name:width$}  {}", text(value, name)));
    }
    out.into()
}
