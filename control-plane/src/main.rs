//! Entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    plugmend_control_plane::cli::run()
}
