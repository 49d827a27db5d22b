//! The thin control plane on Postgres.
//!
//! Floors, lowest first; an upper one imports lower ones only, neighbours do not know each other:
//! `domain` (1) < `store`, `pki`, `repo` (2) < `service` (3) < `jobs`, `http` (4) < `app`.

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod jobs;
pub mod lifecycle;
pub mod pki;
pub mod repo;
pub mod service;
pub mod store;
