//! Which data of the plugin is kept: the union over all releases, in which no path lies within another.

use plugmend_shared::bundle::{manifest::Manifest, path::RelPath};

use super::change::Failure;

/// What `manifest` adds to the `known` paths.
///
/// # Errors
/// It preserves a folder around known data, or data in a known folder that it fills with files of its own: one piece of
/// data would have to lie in two places.
pub fn additions(known: &[RelPath], manifest: &Manifest) -> Result<Vec<RelPath>, Failure> {
    let mut new = Vec::new();
    for path in manifest.preserved() {
        if let Some(inside) = known.iter().find(|old| *old != path && old.is_within(path)) {
            return Err(overlap(path, inside));
        }
        match known.iter().find(|old| path.is_within(old)) {
            None => new.push(path.clone()),
            Some(old) if old == path => {}
            Some(around) if manifest.files.iter().any(|file| file.path.is_within(around)) => {
                return Err(overlap(path, around));
            }
            // Kept already, with the folder around it.
            Some(_) => {}
        }
    }
    Ok(new)
}

fn overlap(path: &RelPath, known: &RelPath) -> Failure {
    Failure::lasting(
        "preserve_overlaps",
        format!("the release preserves '{path}', but '{known}' is preserved on this host already; keep to one of them"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn manifest(preserve: &[&str], files: &[&str]) -> Manifest {
        let files: Vec<_> = files
            .iter()
            .map(|path| serde_json::json!({"path": path, "size": 0, "sha256": "0".repeat(64)}))
            .collect();
        serde_json::from_value(serde_json::json!({
            "format": 1, "product": "pay", "version": "1.0.0", "files": files, "preserve": preserve,
        }))
        .unwrap()
    }

    #[test]
    fn new_data_is_added_once() {
        let known = [path("uploads")];
        let new = additions(&known, &manifest(&["uploads", "logs"], &[])).unwrap();
        assert_eq!(new, [path("logs")]);
    }

    #[test]
    fn data_within_a_kept_folder_is_kept_already() {
        assert!(
            additions(&[path("data")], &manifest(&["data/cache"], &[]))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn one_piece_of_data_never_lies_in_two_places() {
        assert!(additions(&[path("data/cache")], &manifest(&["data"], &[])).is_err());
        assert!(additions(&[path("data")], &manifest(&["data/cache"], &["data/lib.php"])).is_err());
    }
}
