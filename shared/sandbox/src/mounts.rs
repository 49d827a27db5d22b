//! A root of the test's own: a small filesystem in memory with the system's programs and the release bound into it,
//! read-only, a scratch folder of limited size, and nothing of the rest of the host.

use std::{
    ffi::CString,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, symlink},
    path::{Path, PathBuf},
};

use rustix::{
    fs::StatVfsMountFlags,
    mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, mount_remount,
        unmount,
    },
    process::pivot_root,
};

use crate::{Limits, wire::Order};

/// Where the new root is put together; any folder that every host has would do.
const BUILT_AT: &str = "/tmp";
/// Where the host's root is until it is let go of.
const OLD: &str = "/old";
/// The one place that can be written to.
pub(crate) const SCRATCH: &str = "/tmp";
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// Mounts that are made read-only at most; a host with more is not a host of ours.
const MAX_MOUNTS: usize = 10_000;

/// What could not be done.
pub(crate) type Refusal = String;

fn at<T, E: std::fmt::Display>(what: &str, path: &Path, result: Result<T, E>) -> Result<T, Refusal> {
    result.map_err(|e| format!("{what} {}: {e}", path.display()))
}

/// Enters the new root. Gives whether it has a `/proc`. `owner` is who will write to the scratch folder.
pub(crate) fn enter(order: &Order, owner: u32) -> Result<bool, Refusal> {
    let root = Path::new(BUILT_AT);
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    at("separate the mounts of", Path::new("/"), mount_change("/", private))?;
    memory(root, "size=1m,nr_inodes=4096,mode=0755")?;
    make_folder(&root.join("old"))?;
    at(
        "change the root to",
        root,
        pivot_root(BUILT_AT, format!("{BUILT_AT}{OLD}")),
    )?;
    at("enter", root, std::env::set_current_dir("/"))?;
    make_scratch(&order.limits, owner)?;
    devices()?;
    // The parent's `/proc` must still be in sight for a new one to be allowed.
    let own_proc = make_folder(Path::new("/proc")).and_then(|()| proc_of_own()).is_ok();
    for path in &order.read {
        show(path)?;
    }
    show(&order.folder)?;
    read_only()?;
    at("let go of", Path::new(OLD), unmount(OLD, UnmountFlags::DETACH))?;
    at("remove", Path::new(OLD), fs::remove_dir(OLD))?;
    at("protect", Path::new("/"), remount_read_only(Path::new("/")))?;
    Ok(own_proc)
}

fn memory(on: &Path, options: &str) -> Result<(), Refusal> {
    let options = CString::new(options).map_err(|e| e.to_string())?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    at(
        "mount memory on",
        on,
        mount("tmpfs", on, "tmpfs", flags, options.as_c_str()),
    )
}

fn make_scratch(limits: &Limits, owner: u32) -> Result<(), Refusal> {
    let scratch = Path::new(SCRATCH);
    make_folder(scratch)?;
    let size = limits.scratch;
    memory(scratch, &format!("size={size},nr_inodes=8192,mode=0700"))?;
    let (user, group) = (rustix::fs::Uid::from_raw(owner), rustix::fs::Gid::from_raw(owner));
    // Only root makes it for somebody else.
    if rustix::process::geteuid().as_raw() != owner {
        at(
            "hand over",
            scratch,
            rustix::fs::chown(scratch, Some(user), Some(group)),
        )?;
    }
    Ok(())
}

fn devices() -> Result<(), Refusal> {
    make_folder(Path::new("/dev"))?;
    for name in DEVICES {
        let (from, to) = (format!("{OLD}/dev/{name}"), format!("/dev/{name}"));
        at("make", Path::new(&to), fs::File::create(&to))?;
        at("bind", Path::new(&to), mount_bind_recursive(&from, &to))?;
    }
    let links = [("/proc/self/fd", "/dev/fd"), (SCRATCH, "/dev/shm")];
    let mut links = links.into_iter();
    links.try_for_each(|(to, name)| at("make", Path::new(name), symlink(to, name)))
}

fn proc_of_own() -> Result<(), Refusal> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    at("mount", Path::new("/proc"), mount("proc", "/proc", "proc", flags, None))
}

/// Shows what the host has at `path` at the same place.
fn show(path: &Path) -> Result<(), Refusal> {
    let from = Path::new(OLD).join(path.strip_prefix("/").unwrap_or(path));
    let meta = at("look at", path, fs::symlink_metadata(&from))?;
    // Beneath something that is shown already there is nothing to make, and it may be read-only.
    if fs::symlink_metadata(path).is_err() {
        if let Some(parent) = path.parent() {
            make_folder(parent)?;
        }
        if meta.is_symlink() {
            let target = at("read", path, fs::read_link(&from))?;
            return at("make", path, symlink(target, path));
        }
        if meta.is_dir() {
            make_folder(path)?;
        } else {
            at("make", path, fs::File::create(path).map(drop))?;
        }
    }
    if meta.is_symlink() {
        return Ok(());
    }
    at("bind", path, mount_bind_recursive(&from, path))
}

fn make_folder(path: &Path) -> Result<(), Refusal> {
    at(
        "make",
        path,
        fs::DirBuilder::new().recursive(true).mode(0o755).create(path),
    )
}

/// Makes every mount read-only but the scratch folder, `/proc`, and the host's own that are about to be let go of.
fn read_only() -> Result<(), Refusal> {
    // Of the host's `/proc`: there may be no other.
    let list = format!("{OLD}/proc/self/mountinfo");
    let list = at("read", Path::new(&list), fs::read_to_string(&list))?;
    let points: Vec<PathBuf> = list.lines().filter_map(mount_point).take(MAX_MOUNTS + 1).collect();
    if points.len() > MAX_MOUNTS {
        return Err("there are too many mounts".to_owned());
    }
    for point in points {
        let spared = point.starts_with(OLD) || point.starts_with("/proc") || point == Path::new("/");
        if !spared && point != Path::new(SCRATCH) {
            at("protect", &point, remount_read_only(&point))?;
        }
    }
    Ok(())
}

/// The mount point in a line of `mountinfo` (proc(5)): the fifth field, with blanks and the like in octal.
fn mount_point(line: &str) -> Option<PathBuf> {
    let field = line.split(' ').nth(4)?;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(after.get(..3)?, 8).ok()?);
        rest = after.get(3..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(PathBuf::from(String::from_utf8_lossy(&bytes).into_owned()))
}

/// What the host has set stays set: without being root nobody may take it away.
fn remount_read_only(point: &Path) -> io::Result<()> {
    let now = rustix::fs::statvfs(point)?.f_flag;
    let kept = [
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let mut flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID;
    // A device that is bound by itself is of no use without.
    if !point.starts_with("/dev") {
        flags |= MountFlags::NODEV;
    }
    for (seen, flag) in kept {
        if now.contains(seen) {
            flags |= flag;
        }
    }
    Ok(mount_remount(point, flags, "")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_blanks_are_read() {
        let line = r"36 35 98:0 / /mnt/a\040b\134c rw,noatime shared:1 - ext4 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from(r"/mnt/a b\c")));
        assert_eq!(mount_point("36 35"), None);
        assert_eq!(mount_point(r"36 35 98:0 / /mnt\0 rw"), None);
    }
}
