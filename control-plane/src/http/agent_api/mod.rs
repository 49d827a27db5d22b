//! The gateway: what agents call, over mutual TLS.
