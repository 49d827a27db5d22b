//! Floor 4: heartbeat, commands, watch, integrity, renewal.
