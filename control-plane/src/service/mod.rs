//! Floor 3: use cases; own the transaction.
