//! A release: `manifest.json`, signed through TUF targets, and one pack of its files' contents.

pub mod approval;
pub mod limits;
pub mod manifest;
pub mod path;
