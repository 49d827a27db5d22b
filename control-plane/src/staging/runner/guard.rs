//! A runner that could read a key does not start: what it runs may come from a stolen release key.

use std::{fs, io, path::Path, path::PathBuf};

use thiserror::Error;

/// Variables that hold a key, a password or the way to one.
pub const FORBIDDEN_VARIABLES: [&str; 5] = [
    "DATABASE_URL",
    "PLUGMEND_CA_KEY",
    "PLUGMEND_SECRET_KEY",
    "SIRA_API_TOKEN",
    "PGPASSWORD",
];

/// Why the runner does not start.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Exposed {
    /// It is root, who can read everything.
    #[error("the staging runner is root, who can read every key: start it as a user of its own")]
    Root,
    /// A secret in its environment or configuration.
    #[error("the staging runner was given {0}: it must not have it")]
    Given(String),
    /// A key that it can read.
    #[error("the staging runner can read {}: start it as a user of its own", .0.display())]
    Readable(PathBuf),
}

/// What of this a process of user `user` could get at, tried for real. `keys` are files and folders.
///
/// # Errors
/// The first that it can.
pub fn check(user: u32, given: impl Fn(&str) -> bool, keys: &[PathBuf]) -> Result<(), Exposed> {
    if user == 0 {
        return Err(Exposed::Root);
    }
    if let Some(name) = FORBIDDEN_VARIABLES.iter().find(|name| given(name)) {
        return Err(Exposed::Given((*name).to_owned()));
    }
    match keys.iter().find(|path| readable(path)) {
        Some(path) => Err(Exposed::Readable(path.clone())),
        None => Ok(()),
    }
}

/// A file that can be opened, or a folder whose names can be read and of which one file can be opened.
fn readable(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => fs::read_dir(path).is_ok_and(|entries| {
            let mut entries = entries.flatten();
            entries.any(|entry| fs::File::open(entry.path()).is_ok())
        }),
        Ok(_) => fs::File::open(path).is_ok(),
        // What can not even be looked at, or is not there.
        Err(e) => !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_that_can_read_a_key_or_was_given_one_does_not_start() {
        let home = tempfile::tempdir().unwrap();
        let keys = home.path().join("repository-keys");
        fs::create_dir(&keys).unwrap();
        let nothing = |_: &str| false;
        assert_eq!(check(7, nothing, std::slice::from_ref(&keys)), Ok(()));
        fs::write(keys.join("snapshot.pem"), "k").unwrap();
        assert_eq!(
            check(7, nothing, std::slice::from_ref(&keys)),
            Err(Exposed::Readable(keys.clone()))
        );
        let key = keys.join("snapshot.pem");
        assert_eq!(
            check(7, nothing, std::slice::from_ref(&key)),
            Err(Exposed::Readable(key))
        );
        assert_eq!(check(7, nothing, &[keys.join("not-there")]), Ok(()));
        assert_eq!(check(0, nothing, &[]), Err(Exposed::Root));
        assert_eq!(
            check(7, |name| name == "DATABASE_URL", &[]),
            Err(Exposed::Given("DATABASE_URL".to_owned()))
        );
    }
}
