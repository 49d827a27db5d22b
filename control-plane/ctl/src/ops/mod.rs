//! Running the fleet from a terminal.

mod agent;
mod approval;
mod approve;
mod attempt;
mod audit;
mod command;
mod decide;
mod figures;
mod incident;
mod merchant;
mod plugin;
mod policy;
mod quarantine;
mod release_block;
mod secret_file;
mod token;
mod webhook;

pub use policy::switch_words;

use clap::Subcommand;

use crate::output::{Format, Output, facts, text};

/// What can be asked of the control plane.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the fleet at a glance.
    Overview(figures::Overview),
    /// What is wrong, and what is done about it.
    #[command(subcommand)]
    Incident(incident::Verb),
    /// Cures: tried, applied, confirmed or taken back.
    #[command(subcommand)]
    Attempt(attempt::Verb),
    /// What people are asked, and what they say.
    #[command(subcommand)]
    Approval(approval::Verb),
    /// What may heal by itself.
    #[command(subcommand)]
    Policy(policy::Verb),
    /// Show the kill switch, or throw it: nothing changes by itself while it is on.
    KillSwitch(policy::KillSwitch),
    /// Releases that are kept away because they did harm.
    #[command(subcommand)]
    Quarantine(quarantine::Verb),
    /// Show how well the fleet is kept, against its targets.
    Kpi(figures::Kpi),
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
    /// Say yes to a cure or an order that waits for people, signed for the agent where you have a key.
    Approve(approve::Arguments),
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
pub fn run(verb: Verb, format: Format) -> anyhow::Result<Output> {
    match verb {
        Verb::Overview(v) => figures::overview(&v),
        Verb::Approval(v) => approval::run(&v),
        Verb::Policy(v) => policy::run(&v),
        Verb::KillSwitch(v) => policy::kill_switch(&v),
        Verb::Quarantine(v) => quarantine::run(&v),
        Verb::Kpi(v) => figures::kpi(&v),
        Verb::Incident(v) => incident::run(&v),
        Verb::Attempt(v) => attempt::run(&v),
        Verb::Merchant(v) => merchant::run(&v),
        Verb::Token(v) => token::run(&v),
        Verb::Plugin(v) => plugin::run(&v),
        Verb::Command(v) => command::run(&v),
        Verb::Decide(v) => decide::run(&v),
        Verb::Approve(v) => approve::run(&v),
        Verb::Agent(v) => agent::run(&v),
        Verb::Audit(v) => audit::run(&v, format),
        Verb::Webhook(v) => webhook::run(&v),
        Verb::ReleaseBlock(v) => release_block::run(&v),
    }
}
