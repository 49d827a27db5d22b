//! Floor 2: the control plane as seen from here. TLS, client, release repository, downloads.
