//! What files are called, on the repository and on disk.

use plugmend_shared::tuf::{hash::Hashes, product::SignedTarget};

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Percent-encodes all but unreserved characters (RFC 3986 section 2.3), so that a role's or a folder's name is one
/// segment of a path. A name that is only dots is encoded whole: `.` and `..` mean other folders.
pub fn encode(name: &str) -> String {
    let only_dots = name.bytes().all(|byte| byte == b'.');
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') || (byte == b'.' && !only_dots);
        if plain {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

/// The transport path of a role's metadata: versioned under consistent snapshots (specification section 6).
pub(super) fn metadata_path(role: &str, version: u64, consistent: bool) -> String {
    let role = encode(role);
    if consistent {
        format!("metadata/{version}.{role}.json")
    } else {
        format!("metadata/{role}.json")
    }
}

/// The transport path of a target: its name carries its hash under consistent snapshots.
pub(super) fn target_path(target: &SignedTarget, consistent: bool) -> String {
    let (folders, name) = match target.path.rsplit_once('/') {
        Some((folders, name)) => (Some(folders), name),
        None => (None, target.path.as_str()),
    };
    let mut path = String::from("targets/");
    for folder in folders.into_iter().flat_map(|folders| folders.split('/')) {
        path.push_str(&encode(folder));
        path.push('/');
    }
    if consistent && let Some(hash) = prefix(&target.file.hashes) {
        path.push_str(hash);
        path.push('.');
    }
    path.push_str(&encode(name));
    path
}

/// The hash in the name: SHA-256 when it is signed, else whichever we know.
fn prefix(hashes: &Hashes) -> Option<&str> {
    let hash = hashes.0.get("sha256").or_else(|| hashes.0.get("sha512"))?;
    hash.bytes().all(|b| b.is_ascii_hexdigit()).then_some(hash.as_str())
}

#[cfg(test)]
mod tests {
    use plugmend_shared::tuf::TargetFile;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_encoded_name_is_one_harmless_file_name(name in ".{1,64}") {
            let encoded = encode(&name);
            prop_assert!(encoded != "." && encoded != "..");
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b)));
        }

        #[test]
        fn two_names_never_share_a_file(a in ".{1,16}", b in ".{1,16}") {
            prop_assert_eq!(a == b, encode(&a) == encode(&b));
        }
    }

    #[test]
    fn hostile_role_names_stay_in_their_folder() {
        assert_eq!(encode("../etc"), "..%2Fetc");
        assert_eq!(encode(".."), "%2E%2E");
        assert_eq!(metadata_path("../x", 3, true), "metadata/3...%2Fx.json");
        assert_eq!(metadata_path("snapshot", 3, false), "metadata/snapshot.json");
    }

    #[test]
    fn a_target_carries_its_hash_in_its_name() {
        let target = |path: &str| SignedTarget {
            path: path.into(),
            file: TargetFile::of(b"x"),
        };
        let hash = target("").file.hashes.sha256().unwrap();
        assert_eq!(
            target_path(&target("a/b c/pack"), true),
            format!("targets/a/b%20c/{hash}.pack")
        );
        assert_eq!(target_path(&target("pack"), true), format!("targets/{hash}.pack"));
        assert_eq!(target_path(&target("a/pack"), false), "targets/a/pack");
    }
}
