//! Floor 2: the only place with SQL; one file per aggregate.
