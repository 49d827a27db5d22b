//! Releases: made on an engineer's machine, signed by several people on theirs, published by one.

mod before;
mod build;
mod deltas;
mod descriptor;
mod init;
mod keygen;
pub mod keys;
mod list;
mod metadata;
mod publish;
mod review;
mod revoke;
mod rotate;
mod sign;
mod size;
mod status;
mod workspace;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::output::{Format, Output};

/// Where the release workspace is.
#[derive(Debug, Args)]
pub struct Place {
    /// The release workspace: a folder with metadata, staged changes and release files, shared by signers.
    #[arg(long, short = 'w', env = "PLUGMEND_WORKSPACE", default_value = ".")]
    workspace: PathBuf,
}

/// What can be done with releases.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Draw a new release key; the private half never leaves this machine.
    Keygen(keygen::Arguments),
    /// Begin a release workspace: root, delegations and thresholds, ready to be signed.
    Init(init::Arguments),
    /// Add another product to the repository, with its own release keys.
    AddProduct(init::AddProduct),
    /// Build a release from a folder: manifest, pack and deltas, ready to be signed.
    Build(build::Arguments),
    /// Add your signature to what is staged.
    Sign(sign::Arguments),
    /// Take over the signatures of files that others signed elsewhere.
    Collect(sign::Collect),
    /// Show what is staged, who signed and who is missing.
    Status(Place),
    /// Upload what is fully signed to the control plane.
    Publish(publish::Arguments),
    /// List the releases of the workspace, or of the control plane.
    List(list::Arguments),
    /// Withdraw a release: agents refuse it once this is signed and published.
    Revoke(revoke::Arguments),
    /// Set the lowest version that may be installed, not even to go back.
    Minimum(revoke::Minimum),
    /// Say whose approvals agents count.
    Approvers(revoke::Approvers),
    /// Change keys and thresholds, or renew what is about to expire.
    #[command(subcommand)]
    Rotate(rotate::Verb),
    /// Measure what an update costs in bytes, between two folders or two releases.
    Size(size::Arguments),
}

/// Runs one.
///
/// # Errors
/// When it can not be done; the message says what to do next.
pub fn run(verb: Verb, format: Format) -> anyhow::Result<Output> {
    match verb {
        Verb::Keygen(a) => keygen::run(&a),
        Verb::Init(a) => init::run(&a),
        Verb::AddProduct(a) => init::add_product(&a),
        Verb::Build(a) => build::run(&a, format),
        Verb::Sign(a) => sign::run(&a),
        Verb::Collect(a) => sign::collect(&a),
        Verb::Status(a) => status::run(&a),
        Verb::Publish(a) => publish::run(&a, format),
        Verb::List(a) => list::run(&a),
        Verb::Revoke(a) => revoke::run(&a),
        Verb::Minimum(a) => revoke::minimum(&a),
        Verb::Approvers(a) => revoke::approvers(&a),
        Verb::Rotate(a) => rotate::run(&a),
        Verb::Size(a) => size::run(&a, format),
    }
}

/// When each role of the workspace's published metadata expires.
///
/// # Errors
/// When there is no workspace, or it can not be read.
pub fn ends(place: &Place) -> anyhow::Result<Vec<(String, Timestamp)>> {
    status::ends(&workspace::Workspace::open(&place.workspace)?)
}
