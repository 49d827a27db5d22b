//! From ranges of a pack to checked contents.

use sha2::{Digest as _, Sha256};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use super::{FetchRange, Frame, PackError, PackIndex, WINDOW_LOG};
use crate::{
    bundle::contents::{Content, ContentSink, CutError, Cutter, MemorySink},
    ids::Digest,
};

/// Output is made in pieces of this size.
const STEP: usize = 64 * 1024;

/// Unpacks one range as its bytes come, in pieces of any length: memory stays small however large the files are.
pub struct Unpacker<'a> {
    index: &'a PackIndex,
    frames: &'a [Frame],
    first: usize,
    at: usize,
    left: u64,
    open: Option<Open>,
    context: DCtx<'static>,
    step: Vec<u8>,
}

/// A frame of which some bytes have come.
struct Open {
    left: u64,
    made: u64,
    ended: bool,
    hash: Sha256,
    next: usize,
    cutter: Cutter,
}

impl<'a> Unpacker<'a> {
    /// For one range of a plan made with the same index.
    ///
    /// # Errors
    /// When the range is not of this index.
    pub fn new(index: &'a PackIndex, range: &FetchRange) -> Result<Self, PackError> {
        let frames = index.frames().get(range.frames.clone()).ok_or(PackError::BadIndex)?;
        let mut context = DCtx::create();
        context
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG))
            .map_err(|_| PackError::BadFrame(range.frames.start))?;
        Ok(Self {
            index,
            frames,
            first: range.frames.start,
            at: 0,
            left: range.len(),
            open: None,
            context,
            step: vec![0; STEP],
        })
    }

    /// How many bytes of the range have not come yet: where to go on after a broken connection.
    pub fn missing(&self) -> u64 {
        self.left
    }

    /// Takes the next bytes of the range.
    ///
    /// # Errors
    /// When they are more than the range, a frame is damaged, a content is not the manifest's, or the sink fails.
    /// Contents that were accepted before stay good; this unpacker is spent.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut dyn ContentSink) -> Result<(), PackError> {
        while !bytes.is_empty() {
            let frame = self.frames.get(self.at).ok_or(PackError::BadIndex)?;
            let number = self.first + self.at;
            let mut open = self.open.take().unwrap_or_else(|| Open::new(frame));
            let take = usize::try_from(open.left).unwrap_or(usize::MAX).min(bytes.len());
            let (now, rest) = bytes.split_at(take);
            (bytes, self.left) = (rest, self.left.saturating_sub(take as u64));
            open.left -= take as u64;
            open.hash.update(now);
            self.decode(now, frame, &mut open, sink).map_err(|e| e.at(number))?;
            if open.left > 0 {
                self.open = Some(open);
                continue;
            }
            open.end(frame).map_err(|e| e.at(number))?;
            self.context
                .reset(ResetDirective::SessionOnly)
                .map_err(|_| PackError::BadFrame(number))?;
            self.at += 1;
        }
        Ok(())
    }

    /// Says that all bytes have been given.
    ///
    /// # Errors
    /// When some are missing.
    pub fn finish(self) -> Result<(), PackError> {
        match self.left {
            0 => Ok(()),
            left => Err(PackError::Truncated(left)),
        }
    }

    fn decode(
        &mut self,
        bytes: &[u8],
        frame: &Frame,
        open: &mut Open,
        sink: &mut dyn ContentSink,
    ) -> Result<(), Fault> {
        let held = self.index.held(frame);
        let mut source = InBuffer::around(bytes);
        loop {
            if open.ended {
                // The zstd frame is over: nothing may follow it.
                return if source.pos() == bytes.len() {
                    Ok(())
                } else {
                    Err(Fault::Damaged)
                };
            }
            let mut buffer = OutBuffer::around(&mut self.step[..]);
            let hint = self
                .context
                .decompress_stream(&mut buffer, &mut source)
                .map_err(|_| Fault::Damaged)?;
            let (made, full) = (buffer.pos(), buffer.pos() == STEP);
            open.ended = hint == 0;
            open.made += made as u64;
            if open.made > frame.raw {
                return Err(Fault::Damaged);
            }
            let next = &mut open.next;
            let mut next = || {
                *next += 1;
                held.get(*next - 1).copied()
            };
            open.cutter.push(&self.step[..made], &mut next, sink)?;
            if !open.ended && !full && source.pos() == bytes.len() {
                return Ok(());
            }
        }
    }
}

impl Open {
    fn new(frame: &Frame) -> Self {
        Self {
            left: frame.bytes.end - frame.bytes.start,
            made: 0,
            ended: false,
            hash: Sha256::new(),
            next: 0,
            cutter: Cutter::new(),
        }
    }

    fn end(self, frame: &Frame) -> Result<(), Fault> {
        let Digest(full) = Digest(self.hash.finalize().into());
        let whole = self.ended && self.made == frame.raw && self.cutter.is_between();
        if whole && full[..4] == frame.check {
            Ok(())
        } else {
            Err(Fault::Damaged)
        }
    }
}

/// A fault before it is known at which frame.
enum Fault {
    Damaged,
    Cut(CutError),
}

impl From<CutError> for Fault {
    fn from(e: CutError) -> Self {
        Self::Cut(e)
    }
}

impl Fault {
    fn at(self, frame: usize) -> PackError {
        match self {
            Self::Damaged | Self::Cut(CutError::Surplus) => PackError::BadFrame(frame),
            Self::Cut(CutError::WrongDigest(digest)) => PackError::WrongDigest(digest),
            Self::Cut(CutError::Sink(e)) => PackError::Io(e),
        }
    }
}

/// Reads single contents from a pack that is at hand as a whole (a publisher's own).
pub struct PackReader<'a> {
    pack: &'a [u8],
    index: PackIndex,
    places: std::collections::HashMap<Digest, usize>,
    last: Option<(usize, MemorySink)>,
}

impl<'a> PackReader<'a> {
    /// Opens a pack with the index that was read from its end.
    pub fn new(pack: &'a [u8], index: PackIndex) -> Self {
        let frames = index.frames().iter().enumerate();
        let places = frames.flat_map(|(i, f)| index.held(f).iter().map(move |c| (c.digest, i)));
        Self {
            places: places.collect(),
            pack,
            index,
            last: None,
        }
    }

    /// One content, checked; `None` when the pack has none of this digest.
    ///
    /// # Errors
    /// When its frame is damaged.
    pub fn read(&mut self, digest: &Digest) -> Result<Option<Vec<u8>>, PackError> {
        let Some(&place) = self.places.get(digest) else {
            return Ok(None);
        };
        if self.last.as_ref().is_none_or(|(at, _)| *at != place) {
            self.last = Some((place, self.unpack(place)?));
        }
        Ok(self
            .last
            .as_ref()
            .and_then(|(_, sink)| sink.accepted.get(digest).cloned()))
    }

    fn unpack(&self, place: usize) -> Result<MemorySink, PackError> {
        let frame = self.index.frames().get(place).ok_or(PackError::BadIndex)?;
        let range = FetchRange {
            bytes: frame.bytes.clone(),
            frames: place..place + 1,
        };
        let span = usize::try_from(range.bytes.start)
            .ok()
            .zip(usize::try_from(range.bytes.end).ok());
        let bytes = span.and_then(|(start, end)| self.pack.get(start..end));
        let mut sink = MemorySink::default();
        let mut unpacker = Unpacker::new(&self.index, &range)?;
        unpacker.push(bytes.ok_or(PackError::BadIndex)?, &mut sink)?;
        unpacker.finish()?;
        Ok(sink)
    }

    /// The contents it has.
    pub fn contents(&self) -> &[Content] {
        self.index.contents()
    }
}
