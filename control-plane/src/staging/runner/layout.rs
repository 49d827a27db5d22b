//! Laying a release out, beneath an open folder: no path leads out of it.

use std::{io, path::Path};

use cap_std::fs::{
    Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _, Permissions, PermissionsExt as _,
};
use plugmend_shared::bundle::manifest::{FileEntry, Manifest};

/// Makes every file of the manifest in `tree`, from contents in `incoming` that were checked as they came.
pub(super) fn lay_out(manifest: &Manifest, incoming: &Dir, tree: &Dir) -> io::Result<()> {
    manifest.files.iter().try_for_each(|file| put(file, incoming, tree))
}

fn put(file: &FileEntry, incoming: &Dir, tree: &Dir) -> io::Result<()> {
    let path = Path::new(file.path.as_str());
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o755);
        tree.create_dir_with(parent, &builder)?;
    }
    let mode = if file.exec { 0o755 } else { 0o644 };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut to = tree.open_with(path, &options)?;
    if file.size > 0 {
        let copied = io::copy(&mut incoming.open(file.sha256.to_string())?, &mut to)?;
        if copied != file.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    // Whatever the umask made of it.
    to.set_permissions(Permissions::from_mode(mode))
}
