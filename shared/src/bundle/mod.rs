//! A release: `manifest.json`, signed through TUF targets, and one pack of its files' contents.
//!
//! How an agent gets from what it has to a release:
//!
//! 1. The manifest: by [`delta::Delta`] as a patch of the installed one, by [`blocks`] from pieces of it, or whole
//!    ([`limits::decompress`]); then [`manifest::Manifest::parse`], which checks every bound.
//! 2. The contents it has not: from the same delta, by the same blocks, or by [`pack::PackIndex`], [`pack::plan`] and
//!    [`pack::Unpacker`] from ranges of the pack. Each is checked by hash before a [`contents::ContentSink`] is told
//!    to accept it.
//!
//! Empty files have no content to fetch: they are in no pack and in no delta.

pub mod approval;
pub mod blocks;
mod bounded;
mod check;
pub mod codec;
pub mod contents;
pub mod delta;
pub mod fit;
pub mod limits;
pub mod manifest;
pub mod pack;
pub mod path;
pub mod release;
pub mod remedy;
pub mod setting;
pub mod tree;
mod varint;

pub use check::ManifestError;
