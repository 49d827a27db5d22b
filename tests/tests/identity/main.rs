//! Who an agent is: enrolment, standing, renewal and fencing, over real TLS and a real Postgres.
#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod doors;
mod enrolment;
mod raw;
mod stand;
mod standing;
mod two_places;
