//! The thin control plane on Postgres.
//!
//! Floors, lowest first; an upper one imports lower ones only, neighbours do not know each other:
//! `domain` (1) < `outgoing` (2) < `store`, `pki`, `repo`, `sira`, `staging`, `notify` (3) < `service` (4) < `jobs`, `http` (5) < `app`.

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod jobs;
pub mod lifecycle;
pub mod notify;
pub mod outgoing;
pub mod pki;
pub mod repo;
pub mod service;
pub mod sira;
pub mod staging;
pub mod store;
