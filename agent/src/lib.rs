//! Runs beside one merchant plugin: reports its health and installs signed releases atomically.
//!
//! Floors, lowest first; an upper one imports lower ones only, neighbours do not know each other:
//! `domain` (1) < `store`, `platform`, `upstream`, `ingest` (2) < `engine` (3) < `tasks` (4) < `app`.

#[macro_use]
pub mod fault;

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod ingest;
pub mod lifecycle;
pub mod platform;
pub mod store;
pub mod tasks;
pub mod upstream;
