//! Entry point.

use std::process::ExitCode;

use plugmend_agent::platform::sandbox::{HELPER_ARG, run_helper};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    if let (Some(HELPER_ARG), Some(order), None) = (args.next().as_deref(), args.next(), args.next()) {
        return run_helper(&order);
    }
    plugmend_agent::cli::main()
}
