//! Floor 3: performs one effect of an update; recovery settles the ledger at boot.
