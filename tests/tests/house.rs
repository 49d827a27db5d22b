//! The rules of the house hold for every source file.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::fs;

use plugmend_tests::house::{
    AGENT, CONTROL_PLANE, SourceFile, banned_crates, misplaced_imports, overlong, rust_files, strays, unknown_licences,
    workspace,
};

fn sources() -> Vec<SourceFile> {
    ["agent", "control-plane", "shared", "tests"]
        .iter()
        .flat_map(|folder| rust_files(workspace(), folder).unwrap())
        .collect()
}

fn product_sources() -> Vec<SourceFile> {
    // Tests of a crate may reach around its floors to look from outside.
    let inside =
        |f: &SourceFile| !f.path.starts_with("tests") && !f.path.components().any(|c| c.as_os_str() == "tests");
    sources().into_iter().filter(inside).collect()
}

#[test]
fn upper_floors_import_lower_ones_only() {
    let files = sources();
    let mut wrong = misplaced_imports(&AGENT, &files);
    wrong.extend(misplaced_imports(&CONTROL_PLANE, &files));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_is_split_before_400_lines() {
    assert_eq!(overlong(&sources()), []);
}

#[test]
fn sled_stays_in_the_agents_store() {
    assert_eq!(
        strays(&product_sources(), &["sled"], "agent/src/store"),
        Vec::<std::path::PathBuf>::new()
    );
}

#[test]
fn sql_stays_in_the_control_planes_store() {
    assert_eq!(
        strays(&product_sources(), &["sqlx"], "control-plane/src/store"),
        Vec::<std::path::PathBuf>::new()
    );
}

#[test]
fn axum_stays_in_the_control_planes_http() {
    let names = ["axum", "axum_server"];
    assert_eq!(
        strays(&product_sources(), &names, "control-plane/src/http"),
        Vec::<std::path::PathBuf>::new()
    );
}

#[test]
fn floor_zero_has_no_runtime_database_or_server() {
    let manifest = fs::read_to_string(workspace().join("shared/Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let dependencies = manifest["dependencies"].as_table().unwrap();
    for heavy in ["tokio", "sqlx", "axum", "sled", "hyper"] {
        assert!(!dependencies.contains_key(heavy), "shared depends on {heavy}");
    }
}

#[test]
fn no_banned_crate_is_locked() {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    assert!(banned_crates(&lock).unwrap().is_empty());
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    assert_eq!(unknown_licences(workspace()).unwrap(), Vec::<String>::new());
}

#[test]
fn the_top_level_holds_what_it_should_and_nothing_else() {
    let allowed = [
        "agent",
        "control-plane",
        "shared",
        "migrations",
        "packaging",
        "tests",
        "docs",
        "target",
        "node_modules",
        "Cargo.toml",
        "Cargo.lock",
        "Makefile",
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE",
        "SECURITY.md",
        "clippy.toml",
        "deny.toml",
        "rustfmt.toml",
    ];
    for entry in fs::read_dir(workspace()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name.starts_with('.') || allowed.contains(&name.as_str()),
            "{name} does not belong at the top level"
        );
    }
}
