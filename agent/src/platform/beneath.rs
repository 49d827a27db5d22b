//! Folders held open: every path is resolved beneath the handle, and no link on the way is followed. What the plugin
//! can write may change between two looks; a handle does not.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Component, Path, PathBuf},
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};

use super::error::{Context as _, FsError};

/// The most entries of one folder that are listed: more is a fault or an attack.
const MAX_ENTRIES: usize = 1_000_000;

/// An open folder. The path serves messages only.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a folder that the host's own configuration names; links on the way are the host's choice.
    ///
    /// # Errors
    /// It is missing, not a folder, or may not be read.
    pub fn open(path: &Path) -> Result<Self, FsError> {
        let fd = rustix::fs::open(
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .at("open the folder", path)?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A second handle on the same folder.
    ///
    /// # Errors
    /// No more handles may be opened.
    pub fn again(&self) -> Result<Self, FsError> {
        Ok(Self {
            fd: self.fd.try_clone().at("open again", &self.path)?,
            path: self.path.clone(),
        })
    }

    /// Opens the folder `rel` beneath this one; any link on the way is an error.
    ///
    /// # Errors
    /// It is missing, or something on the way is not a folder.
    pub fn open_dir(&self, rel: &Path) -> Result<Self, FsError> {
        let path = self.path.join(rel);
        let fd = open_beneath(self.fd.as_fd(), rel, FOLDER).at("open the folder", &path)?;
        Ok(Self { fd, path })
    }

    /// Opens the folder `rel`, making what is missing of it with `mode`.
    ///
    /// # Errors
    /// As [`Dir::open_dir`], or a folder could not be made.
    pub fn create_dirs(&self, rel: &Path, mode: u32) -> Result<Self, FsError> {
        let mut at = self.again()?;
        for part in parts(rel).at("use the path", rel)? {
            fault_point!("platform.beneath.mkdir").at("make the folder", &at.path)?;
            match rustix::fs::mkdirat(&at.fd, part, Mode::from_raw_mode(mode)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(e) => return Err(e).at("make the folder", &at.path.join(part)),
            }
            at = at.open_dir(Path::new(part))?;
        }
        Ok(at)
    }

    /// What lies at `name`, without following a link; `None` when nothing does.
    ///
    /// # Errors
    /// The system refused to look.
    pub fn stat(&self, name: &Path) -> Result<Option<Stat>, FsError> {
        let looked = self
            .split(name)
            .and_then(|(dir, leaf)| Ok(rustix::fs::statat(dir.as_fd(), leaf, AtFlags::SYMLINK_NOFOLLOW)?));
        match looked {
            Ok(stat) => Ok(Some(stat)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).at("look at", &self.path.join(name)),
        }
    }

    /// The kind of what lies at `name`.
    ///
    /// # Errors
    /// As [`Dir::stat`].
    pub fn kind(&self, name: &Path) -> Result<Option<FileType>, FsError> {
        Ok(self.stat(name)?.map(|stat| FileType::from_raw_mode(stat.st_mode)))
    }

    /// Opens a regular file to read. Anything else (a link, a pipe, a device) is refused and never waited for.
    ///
    /// # Errors
    /// It is missing, not a regular file, or may not be read.
    pub fn open_file(&self, rel: &Path) -> Result<File, FsError> {
        let path = self.path.join(rel);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = open_beneath(self.fd.as_fd(), rel, flags).at("open the file", &path)?;
        let stat = rustix::fs::fstat(&fd).at("look at", &path)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::from(io::ErrorKind::InvalidInput)).at("read, as it is not a regular file,", &path);
        }
        Ok(File::from(fd))
    }

    /// Makes a new file; one that is already there is an error.
    ///
    /// # Errors
    /// It exists, or could not be made.
    pub fn create_file(&self, rel: &Path, mode: u32) -> Result<File, FsError> {
        let path = self.path.join(rel);
        fault_point!("platform.beneath.create").at("make the file", &path)?;
        let file = self.split(rel).and_then(|(dir, leaf)| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(dir.as_fd(), leaf, flags, Mode::from_raw_mode(mode))?)
        });
        Ok(File::from(file.at("make the file", &path)?))
    }

    /// Opens a file to write at its end, and makes it when it is missing. Anything but a regular file of this process's
    /// own user with no other name is refused and never waited for: it would lead the bytes elsewhere.
    ///
    /// # Errors
    /// It is something else, or could not be made.
    pub fn append_file(&self, rel: &Path, mode: u32) -> Result<File, FsError> {
        let path = self.path.join(rel);
        let opened = self.split(rel).and_then(|(dir, leaf)| {
            let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
            let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(dir.as_fd(), leaf, flags, Mode::from_raw_mode(mode))?)
        });
        let fd = opened.at("write to the file", &path)?;
        let stat = rustix::fs::fstat(&fd).at("look at", &path)?;
        let own = stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_nlink == 1;
        if !own || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::from(io::ErrorKind::InvalidInput)).at("write to what another user put at", &path);
        }
        Ok(File::from(fd))
    }

    /// Makes a symbolic link at `rel` that says `text`.
    ///
    /// # Errors
    /// Something is there already, or links can not be made.
    pub fn symlink(&self, text: &Path, rel: &Path) -> Result<(), FsError> {
        fault_point!("platform.beneath.symlink").at("make the link", &self.path.join(rel))?;
        self.split(rel)
            .and_then(|(dir, leaf)| Ok(rustix::fs::symlinkat(text, dir.as_fd(), leaf)?))
            .at("make the link", &self.path.join(rel))
    }

    /// The text of the link at `rel`; `None` when no link lies there.
    ///
    /// # Errors
    /// The system refused to look.
    pub fn read_link(&self, rel: &Path) -> Result<Option<PathBuf>, FsError> {
        let read = self
            .split(rel)
            .and_then(|(dir, leaf)| Ok(rustix::fs::readlinkat(dir.as_fd(), leaf, Vec::new())?));
        match read {
            Ok(text) => Ok(Some(PathBuf::from(OsString::from_vec(text.into_bytes())))),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => Ok(None),
            Err(e) => Err(e).at("read the link", &self.path.join(rel)),
        }
    }

    /// Renames `from` here to `to` in `target`, replacing what may be replaced.
    ///
    /// # Errors
    /// As rename(2).
    pub fn rename(&self, from: &Path, target: &Self, to: &Path) -> Result<(), FsError> {
        self.rename_with(from, target, to, RenameFlags::empty())
    }

    /// Renames, and refuses to replace anything.
    ///
    /// # Errors
    /// As renameat2(2) with `RENAME_NOREPLACE`.
    pub fn rename_new(&self, from: &Path, target: &Self, to: &Path) -> Result<(), FsError> {
        self.rename_with(from, target, to, RenameFlags::NOREPLACE)
    }

    /// Exchanges two entries: at every instant both names lead to one of the two.
    ///
    /// # Errors
    /// As renameat2(2) with `RENAME_EXCHANGE`.
    pub fn exchange(&self, one: &Path, target: &Self, other: &Path) -> Result<(), FsError> {
        self.rename_with(one, target, other, RenameFlags::EXCHANGE)
    }

    fn rename_with(&self, from: &Path, target: &Self, to: &Path, flags: RenameFlags) -> Result<(), FsError> {
        let path = self.path.join(from);
        fault_point!("platform.beneath.before_rename").at("rename", &path)?;
        let done = self.split(from).and_then(|(from_dir, from_leaf)| {
            let (to_dir, to_leaf) = target.split(to)?;
            let (from_fd, to_fd) = (from_dir.as_fd(), to_dir.as_fd());
            if flags.is_empty() {
                Ok(rustix::fs::renameat(from_fd, from_leaf, to_fd, to_leaf)?)
            } else {
                Ok(rustix::fs::renameat_with(from_fd, from_leaf, to_fd, to_leaf, flags)?)
            }
        });
        crash_point!("platform.beneath.after_rename");
        done.at("rename", &path)
    }

    /// Gives the file at `from` a second name, `to` in `target`; a link is named itself, not what it leads to.
    ///
    /// # Errors
    /// As linkat(2).
    pub fn hard_link(&self, from: &Path, target: &Self, to: &Path) -> Result<(), FsError> {
        let path = target.path.join(to);
        fault_point!("platform.beneath.hard_link").at("make a second name at", &path)?;
        let done = self.split(from).and_then(|(from_dir, from_leaf)| {
            let (to_dir, to_leaf) = target.split(to)?;
            let (from_fd, to_fd) = (from_dir.as_fd(), to_dir.as_fd());
            Ok(rustix::fs::linkat(
                from_fd,
                from_leaf,
                to_fd,
                to_leaf,
                AtFlags::empty(),
            )?)
        });
        done.at("make a second name at", &path)
    }

    /// Removes a file or a link.
    ///
    /// # Errors
    /// It is a folder, or may not be removed. That it is missing is no error.
    pub fn remove_file(&self, rel: &Path) -> Result<(), FsError> {
        let removed = self
            .split(rel)
            .and_then(|(dir, leaf)| Ok(rustix::fs::unlinkat(dir.as_fd(), leaf, AtFlags::empty())?));
        match removed {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.at("remove", &self.path.join(rel)),
        }
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// It is not empty, or may not be removed. That it is missing is no error.
    pub fn remove_empty_dir(&self, rel: &Path) -> Result<(), FsError> {
        let removed = self
            .split(rel)
            .and_then(|(dir, leaf)| Ok(rustix::fs::unlinkat(dir.as_fd(), leaf, AtFlags::REMOVEDIR)?));
        match removed {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.at("remove", &self.path.join(rel)),
        }
    }

    /// The names in this folder, sorted, with what each is.
    ///
    /// # Errors
    /// It can not be read, or holds more than a million entries.
    pub fn entries(&self) -> Result<Vec<(OsString, FileType)>, FsError> {
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).at("list", &self.path)? {
            let entry = entry.at("list", &self.path)?;
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            if name == "." || name == ".." {
                continue;
            }
            if found.len() >= MAX_ENTRIES {
                return Err(io::Error::from(io::ErrorKind::FileTooLarge)).at("list", &self.path);
            }
            let kind = match entry.file_type() {
                // Some filesystems do not say in the listing.
                FileType::Unknown => self.kind(Path::new(&name))?.unwrap_or(FileType::Unknown),
                known => known,
            };
            found.push((name, kind));
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }

    /// Makes the folder's own entries durable.
    ///
    /// # Errors
    /// The disk failed.
    pub fn sync(&self) -> Result<(), FsError> {
        fault_point!("platform.beneath.sync_dir").at("sync", &self.path)?;
        rustix::fs::fsync(&self.fd).at("sync", &self.path)
    }

    /// Makes everything on the folder's filesystem durable.
    ///
    /// # Errors
    /// The disk failed.
    pub fn sync_filesystem(&self) -> Result<(), FsError> {
        fault_point!("platform.beneath.syncfs").at("sync the filesystem of", &self.path)?;
        rustix::fs::syncfs(&self.fd).at("sync the filesystem of", &self.path)
    }

    /// Device and inode of the folder itself.
    ///
    /// # Errors
    /// The system refused to look.
    pub fn identity(&self) -> Result<Stat, FsError> {
        rustix::fs::fstat(&self.fd).at("look at", &self.path)
    }

    /// The parent of `rel`, opened beneath this folder, and the last name.
    fn split<'a>(&self, rel: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let Some(Component::Normal(leaf)) = rel.components().next_back() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let parent = rel.parent().unwrap_or(Path::new(""));
        let fd = if parent.as_os_str().is_empty() {
            self.fd.try_clone()?
        } else {
            open_beneath(self.fd.as_fd(), parent, FOLDER)?
        };
        Ok((fd, leaf))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn parts(rel: &Path) -> io::Result<Vec<&OsStr>> {
    rel.components()
        .map(|part| match part {
            Component::Normal(name) if !name.as_bytes().contains(&0) => Ok(name),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        })
        .collect()
}

fn open_beneath(at: BorrowedFd<'_>, rel: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let names = parts(rel)?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(at, rel, flags, Mode::empty(), resolve) {
        Ok(fd) => Ok(fd),
        // Kernels before 5.6, and containers whose filter does not know the call: the same, one name at a time.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => walk(at, &names, flags),
        Err(e) => Err(e.into()),
    }
}

fn walk(at: BorrowedFd<'_>, names: &[&OsStr], flags: OFlags) -> io::Result<OwnedFd> {
    let Some((leaf, parents)) = names.split_last() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut dir = at.try_clone_to_owned()?;
    for name in parents {
        dir = rustix::fs::openat(&dir, *name, FOLDER, Mode::empty())?;
    }
    Ok(rustix::fs::openat(
        &dir,
        *leaf,
        flags | OFlags::NOFOLLOW,
        Mode::empty(),
    )?)
}

#[cfg(test)]
mod tests;
