//! Contents: what the files of a release hold, each once, named by its digest.

use std::io;

use sha2::{Digest as _, Sha256};

use super::manifest::FileEntry;
use crate::ids::Digest;

/// The digest of nothing (FIPS 180-4).
pub const EMPTY: Digest = Digest([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// One content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    /// Its name.
    pub digest: Digest,
    /// Its length, in bytes; never 0.
    pub size: u64,
}

impl Content {
    /// The content of a file.
    pub fn of(file: &FileEntry) -> Self {
        Self {
            digest: file.sha256,
            size: file.size,
        }
    }
}

/// Where contents go as they are decoded. A content is genuine only once `accept` is called: what was written after a
/// `begin` that no `accept` followed must be thrown away.
pub trait ContentSink {
    /// Whether this content is wanted; a range may hold some that are not.
    fn wants(&mut self, content: &Content) -> bool {
        let _ = content;
        true
    }

    /// A content begins; at most `content.size` bytes follow.
    ///
    /// # Errors
    /// Any of the place it goes to; decoding ends with it.
    fn begin(&mut self, content: &Content) -> io::Result<()>;

    /// More of the content that has begun.
    ///
    /// # Errors
    /// Any of the place it goes to; decoding ends with it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The content that has begun is whole and has the right digest.
    ///
    /// # Errors
    /// Any of the place it goes to; decoding ends with it.
    fn accept(&mut self) -> io::Result<()>;
}

/// Keeps accepted contents in memory; for small releases, tools and tests.
#[derive(Debug, Default)]
pub struct MemorySink {
    /// What was accepted.
    pub accepted: std::collections::HashMap<Digest, Vec<u8>>,
    open: Option<(Digest, Vec<u8>)>,
}

impl ContentSink for MemorySink {
    fn begin(&mut self, content: &Content) -> io::Result<()> {
        self.open = Some((content.digest, Vec::new()));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some((_, held)) = &mut self.open {
            held.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        self.accepted.extend(self.open.take());
        Ok(())
    }
}

/// Cuts a stream of bytes into contents and checks each before the sink is told to accept it.
#[derive(Debug)]
pub(super) struct Cutter {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    content: Content,
    left: u64,
    hash: Sha256,
    wanted: bool,
}

/// Why cutting stopped.
#[derive(Debug)]
pub(super) enum CutError {
    /// More bytes than the contents have.
    Surplus,
    /// A content has another digest.
    WrongDigest(Digest),
    /// The sink's own.
    Sink(io::Error),
}

impl Cutter {
    pub(super) fn new() -> Self {
        Self { current: None }
    }

    /// Whether no content is half read.
    pub(super) fn is_between(&self) -> bool {
        self.current.is_none()
    }

    /// Takes more of the stream; `next` gives the contents in their order.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        next: &mut dyn FnMut() -> Option<Content>,
        sink: &mut dyn ContentSink,
    ) -> Result<(), CutError> {
        while !bytes.is_empty() {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => Current::begin(next().ok_or(CutError::Surplus)?, sink)?,
            };
            let take = usize::try_from(current.left).unwrap_or(usize::MAX).min(bytes.len());
            let (now, rest) = bytes.split_at(take);
            current.take(now, sink)?;
            bytes = rest;
            if current.left == 0 {
                current.end(sink)?;
            } else {
                self.current = Some(current);
            }
        }
        Ok(())
    }
}

impl Current {
    fn begin(content: Content, sink: &mut dyn ContentSink) -> Result<Self, CutError> {
        let wanted = sink.wants(&content);
        if wanted {
            sink.begin(&content).map_err(CutError::Sink)?;
        }
        Ok(Self {
            content,
            left: content.size,
            hash: Sha256::new(),
            wanted,
        })
    }

    fn take(&mut self, bytes: &[u8], sink: &mut dyn ContentSink) -> Result<(), CutError> {
        self.left -= bytes.len() as u64;
        if self.wanted {
            self.hash.update(bytes);
            sink.write(bytes).map_err(CutError::Sink)?;
        }
        Ok(())
    }

    fn end(self, sink: &mut dyn ContentSink) -> Result<(), CutError> {
        if !self.wanted {
            return Ok(());
        }
        if Digest(self.hash.finalize().into()) != self.content.digest {
            return Err(CutError::WrongDigest(self.content.digest));
        }
        sink.accept().map_err(CutError::Sink)
    }
}
