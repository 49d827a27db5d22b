//! The agent as its own helper: puts limits and restrictions on itself, then becomes the test.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Confinement, Order, confine};

/// The first argument that makes the agent a helper; not for people.
pub const HELPER_ARG: &str = "__sandbox";

/// Exit code when the helper could not become the test.
const COULD_NOT: u8 = 125;
const MIB: u64 = 1024 * 1024;

/// Carries out the order in `argument` by becoming the test; returns only when that failed.
pub fn run_helper(argument: &str) -> ExitCode {
    match become_test(argument) {
        Ok(never) => match never {},
        Err(words) => {
            // The agent that started us reads this and shows it.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{words}\n").as_bytes());
            ExitCode::from(COULD_NOT)
        }
    }
}

fn become_test(argument: &str) -> Result<std::convert::Infallible, String> {
    let order: Order =
        serde_json::from_str(argument).map_err(|e| format!("the helper's order can not be read: {e}"))?;
    limit(&order).map_err(|e| format!("limits can not be set: {e}"))?;
    let words = match order.confinement {
        Confinement::Bubblewrap => confine::bubblewrap_argv(&order),
        Confinement::Landlock => {
            confine::restrict_self(&order)?;
            order.argv
        }
        Confinement::None => order.argv,
    };
    let (program, args) = words.split_first().ok_or("the test names no program")?;
    let error = Command::new(program).args(args).current_dir(&order.folder).exec();
    Err(format!("{program} could not be started: {error}"))
}

/// Address space is not limited: runtimes reserve far more than they use. What they really write to is.
fn limit(order: &Order) -> rustix::io::Result<()> {
    let set = |resource, value| {
        let limit = Rlimit {
            current: Some(value),
            maximum: Some(value),
        };
        setrlimit(resource, limit)
    };
    set(Resource::Core, 0)?;
    set(Resource::Cpu, order.seconds)?;
    set(Resource::Fsize, 64 * MIB)?;
    set(Resource::Data, 2048 * MIB)?;
    set(Resource::Nofile, 1024)
}
