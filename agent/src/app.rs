//! The only place that sees every floor: wires them together.
