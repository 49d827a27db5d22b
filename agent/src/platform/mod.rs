//! Floor 2: the host. Durable files, swap, locks, probes, hooks, sandbox, facts.
