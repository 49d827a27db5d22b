//! Floor 2: the only place with sled; and the ledger, the fsynced file that the swap trusts.
