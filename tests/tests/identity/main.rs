//! Who an agent is: enrolment, standing, renewal and fencing, over real TLS and a real Postgres.

mod enrolment;
mod raw;
mod stand;
mod standing;
mod two_places;
