//! Memory that an agent at rest does without. A shop's host is small, and its agent is mostly at rest.
//!
//! The only module with unsafe code: the system's allocator and `madvise` have no safe interface. Each use says why it is
//! sound.
#![allow(unsafe_code)]

use std::{fs, ops::Range};

/// Allocations from this size on are mapped on their own and given back when they end, in bytes.
#[cfg(target_env = "gnu")]
const MAPPED_FROM: i32 = 64 * 1024;
/// So much free memory at its top makes the allocator give it back, in bytes.
#[cfg(target_env = "gnu")]
const KEPT_AT_TOP: i32 = 64 * 1024;

/// Tells the allocator that threads are few and memory is dear: one arena for all, and no hoarding (mallopt(3)). Where the
/// allocator is another, nothing is told.
pub fn be_frugal() {
    #[cfg(target_env = "gnu")]
    for (what, value) in [
        (libc::M_ARENA_MAX, 1),
        (libc::M_MMAP_THRESHOLD, MAPPED_FROM),
        (libc::M_TRIM_THRESHOLD, KEPT_AT_TOP),
    ] {
        // SAFETY: mallopt takes two numbers and no pointer; it may be called at any time. A value that it does not take
        // is refused and changes nothing.
        unsafe { libc::mallopt(what, value) };
    }
}

/// Gives back what is free in the allocator (`malloc_trim(3)`), and lets go of the program's own code: what is needed again
/// is mapped again from the file, a few pages at a time; what served the start, or an order long ago, is not.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number and no pointer; it gives back only what nobody has allocated.
    unsafe {
        libc::malloc_trim(0);
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for code in maps.lines().filter_map(code) {
        let length = code.end.saturating_sub(code.start);
        // SAFETY: the range is a mapping of this process as the kernel has just told it, private, backed by a file and not
        // writable: its pages can not have been changed, so that MADV_DONTNEED (madvise(2)) drops nothing that the file
        // does not have. Other threads that run this code fault the pages in again. The program maps its libraries once at
        // its start and never unmaps them; a range that is gone is an error, which is ignored.
        unsafe {
            libc::madvise(
                std::ptr::with_exposed_provenance_mut(code.start),
                length,
                libc::MADV_DONTNEED,
            );
        }
    }
}

/// The addresses of a line of `/proc/<pid>/maps` (proc(5)) that is code from a file.
fn code(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (range, permissions) = (fields.next()?, fields.next()?);
    let inode = fields.nth(2)?;
    if permissions != "r-xp" || inode == "0" || fields.next().is_none_or(|path| !path.starts_with('/')) {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_from_files_is_let_go_of() {
        let kept = "7f00-7f10 r-xp 00001000 08:01 42   /usr/bin/agent";
        assert_eq!(code(kept), Some(0x7f00..0x7f10));
        for line in [
            "7f00-7f10 r--p 00001000 08:01 42   /usr/bin/agent",
            "7f00-7f10 rwxp 00001000 08:01 42   /usr/bin/agent",
            "7f00-7f10 r-xs 00001000 08:01 42   /usr/bin/agent",
            "7f00-7f10 rw-p 00000000 00:00 0    [heap]",
            "7f00-7f10 r-xp 00000000 00:00 0    [vdso]",
            "7f00-7f10 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(code(line), None, "{line}");
        }
    }

    #[test]
    fn a_program_goes_on_after_it_gave_memory_back() {
        be_frugal();
        let held: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
        drop(vec![1_u8; 10_000_000]);
        give_back();
        assert_eq!(
            held.iter().filter_map(|text| text.parse::<u64>().ok()).sum::<u64>(),
            49_995_000
        );
        give_back();
    }
}
