//! Floor 2: what the plugin says locally.
