//! A release from the folder it is built from to the contents an agent unpacks, and what hostile ones come to.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::similar_names,
    reason = "test code: a panic is the report, and sizes are small"
)]

mod blocks;
mod delta;
mod figures;
mod manifest;
mod pack;
mod support;
mod tree;
