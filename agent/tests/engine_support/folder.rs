//! A release repository that is a folder on disk.

use std::{
    fs,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use plugmend_agent::upstream::repo::{Transport, TransportError};

/// Serves a folder.
pub struct Folder {
    pub folder: PathBuf,
    /// Bytes of targets that were asked for.
    pub asked: Arc<Mutex<Vec<(String, u64)>>>,
}

impl Transport for Folder {
    async fn fetch(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        max_bytes: u64,
    ) -> Result<Option<Bytes>, TransportError> {
        let Ok(file) = fs::File::open(self.folder.join(path)) else {
            return if self.folder.exists() {
                Ok(None)
            } else {
                Err(TransportError::Unreachable("the repository is gone".into()))
            };
        };
        let range = range.unwrap_or(0..file.metadata().unwrap().len());
        let length = range.end - range.start;
        if length > max_bytes {
            return Err(TransportError::TooLarge(max_bytes));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        file.read_exact_at(&mut bytes, range.start).unwrap();
        self.asked.lock().unwrap().push((path.to_owned(), length));
        Ok(Some(bytes.into()))
    }
}
