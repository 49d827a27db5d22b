//! The programs under test, built from this workspace.

use std::{
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};

use crate::{house, npm};

/// Set by whoever has just built all programs, so that no test builds them again.
pub const BUILT_VARIABLE: &str = "PLUGMEND_BUILT";

static BUILT: Mutex<bool> = Mutex::new(false);

/// The path of `name` (`plugmend-agent`, `plugmend-control-plane`, `plugmend`), built anew when it is out of date.
pub fn program(name: &str) -> Result<PathBuf> {
    let folder = folder()?;
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if !*built && std::env::var_os(BUILT_VARIABLE).is_none() {
        npm::run(
            // The one on the path: behind it stands whoever picks the toolchain, for dependencies in their own folders too.
            Command::new("cargo")
                .args([
                    "build",
                    "--quiet",
                    "--bins",
                    "-p",
                    "plugmend-agent",
                    "-p",
                    "plugmend-control-plane",
                ])
                .args(["-p", "plugmend"])
                .current_dir(house::workspace()),
        )
        .context("build the programs under test")?;
        *built = true;
    }
    Ok(folder.join(name))
}

/// `PLUGMEND_BIN_DIR`, or the folder of the running test's or bin's own build.
fn folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("PLUGMEND_BIN_DIR") {
        return Ok(folder.into());
    }
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program lies in a folder")?;
    // Test programs lie one folder deeper.
    let folder = if folder.ends_with("deps") {
        folder.parent()
    } else {
        Some(folder)
    };
    Ok(folder.context("deps lies in a folder")?.to_owned())
}
