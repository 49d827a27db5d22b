//! Entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    plugmend_agent::cli::main()
}
