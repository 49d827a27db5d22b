//! Floor 2: the agents' CA.
