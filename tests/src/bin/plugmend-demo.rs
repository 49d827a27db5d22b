//! `make demo`. `KEEP=1` leaves everything running at the end.

use std::process::ExitCode;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let keep = std::env::var("KEEP").is_ok_and(|v| !matches!(v.as_str(), "" | "0" | "no"));
    match plugmend_tests::demo::run(keep).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the demo did not go as it should: {error:#}");
            ExitCode::FAILURE
        }
    }
}
