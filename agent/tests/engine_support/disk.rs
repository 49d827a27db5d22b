//! Plugins' files on disk, byte for byte.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Files, PRESERVED};

pub fn write(folder: &Path, files: &Files) {
    for (path, bytes) in files {
        let to = folder.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
}

/// Every file of a folder but the plugin's own data and the agent's, byte for byte.
pub fn read(folder: &Path) -> Files {
    let mut found = Files::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(at) = waiting.pop() {
        for entry in fs::read_dir(folder.join(&at)).unwrap() {
            let entry = entry.unwrap();
            let path = at.join(entry.file_name());
            let text = path.to_str().unwrap().to_owned();
            if PRESERVED.contains(&text.as_str()) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                waiting.push(path);
            } else {
                found.insert(text, fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}
