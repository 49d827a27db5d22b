//! Rebuilds when a migration is added, and a release also when the console was built anew: both are embedded in the binary.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
    // A development build reads the console's files at run time.
    if std::env::var_os("CARGO_CFG_DEBUG_ASSERTIONS").is_none() {
        println!("cargo:rerun-if-changed=console/dist");
    }
}
