//! What lay beside the entry files when a plugin was adopted, still reachable there by links: a request that began with
//! the old entry file ends with its own other files, and pages that browsers or caches keep still find their pictures.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::VERSIONS;
use crate::platform::{beneath::Dir, error::FsError};

/// Links everything of `old` that `made` has nothing in the place of, to where the tree `name` will lie.
pub(super) fn link(old: &Dir, made: &Dir, name: &str) -> Result<(), FsError> {
    link_at(old, made, name, Path::new(""))
}

fn link_at(old: &Dir, made: &Dir, name: &str, at: &Path) -> Result<(), FsError> {
    for (entry, kind) in old.entries()? {
        let entry = Path::new(&entry);
        match made.kind(entry)? {
            None => made.symlink(&target(name, &at.join(entry)), entry)?,
            // A folder that was made for a loader deeper down.
            Some(FileType::Directory) if kind == FileType::Directory => {
                link_at(&old.open_dir(entry)?, &made.open_dir(entry)?, name, &at.join(entry))?;
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn target(name: &str, path: &Path) -> PathBuf {
    let up = path.components().count().saturating_sub(1);
    let mut to: PathBuf = std::iter::repeat_n("..", up).collect();
    to.extend([Path::new(VERSIONS), Path::new(name), path]);
    to
}

/// Takes away the links that lead into the tree `name`.
pub(super) fn unlink(root: &Dir, name: &str) -> Result<(), FsError> {
    unlink_at(root, name, Path::new(""))
}

fn unlink_at(dir: &Dir, name: &str, at: &Path) -> Result<(), FsError> {
    for (entry, kind) in dir.entries()? {
        let entry = Path::new(&entry);
        if kind == FileType::Symlink {
            if dir.read_link(entry)? == Some(target(name, &at.join(entry))) {
                dir.remove_file(entry)?;
            }
        } else if kind == FileType::Directory && (at != Path::new("") || entry != Path::new(VERSIONS)) {
            unlink_at(&dir.open_dir(entry)?, name, &at.join(entry))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_lay_beside_a_loader_is_found_there_until_its_tree_goes() {
        let top = tempfile::tempdir().unwrap();
        let (old, made) = (top.path().join("old"), top.path().join("made"));
        for folder in [
            old.join("inc/parts"),
            old.join("lib"),
            made.join("inc"),
            made.join("versions"),
        ] {
            fs::create_dir_all(folder).unwrap();
        }
        for file in ["inc/pay.php", "inc/parts/one.php", "lib/two.php"] {
            fs::write(old.join(file), file).unwrap();
        }
        fs::write(made.join("inc/pay.php"), "loader").unwrap();
        let dir = Dir::open(&made).unwrap();
        link(&Dir::open(&old).unwrap(), &dir, "r0-1.0.0").unwrap();
        fs::rename(&old, made.join("versions/r0-1.0.0")).unwrap();
        for (file, content) in [
            ("inc/pay.php", "loader"),
            ("inc/parts/one.php", "inc/parts/one.php"),
            ("lib/two.php", "lib/two.php"),
        ] {
            assert_eq!(fs::read_to_string(made.join(file)).unwrap(), content);
        }
        unlink(&dir, "r0-1.0").unwrap();
        assert!(made.join("lib").exists());
        unlink(&dir, "r0-1.0.0").unwrap();
        assert!(fs::symlink_metadata(made.join("lib")).is_err());
        assert!(fs::symlink_metadata(made.join("inc/parts")).is_err());
        assert!(made.join("inc/pay.php").exists() && made.join("versions/r0-1.0.0/lib/two.php").exists());
    }
}
