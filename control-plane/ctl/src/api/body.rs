//! A file as the body of a request, read as it is sent.

use std::{
    fs::File,
    io::Read as _,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// Bytes read at once.
const STEP: usize = 128 * 1024;

/// What is sent: nothing, some bytes, or a file.
pub enum Payload {
    /// Bytes that are at hand; `None` once sent.
    Bytes(Option<Bytes>),
    /// A file, how many of its bytes are still to be sent, and who is told of those that go.
    File(File, u64, Box<dyn Fn(u64) + Send>),
}

impl Body for Payload {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(match self.get_mut() {
            Self::Bytes(bytes) => bytes.take().map(|b| Ok(Frame::data(b))),
            Self::File(_, 0, _) => None,
            // A local file, read by a program that does nothing else meanwhile: no other task is held up.
            Self::File(file, left, tell) => Some(next(file, left).map(|b| {
                tell(b.len() as u64);
                Frame::data(b.into())
            })),
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Bytes(bytes) => bytes.as_ref().map_or(0, |b| b.len() as u64),
            Self::File(_, left, _) => *left,
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Bytes(None) | Self::File(_, 0, _))
    }
}

fn next(file: &mut File, left: &mut u64) -> std::io::Result<Vec<u8>> {
    let want = usize::try_from(*left).unwrap_or(STEP).min(STEP);
    let mut chunk = vec![0; want];
    let got = file.read(&mut chunk)?;
    if got == 0 {
        return Err(std::io::Error::other("the file became shorter while it was sent"));
    }
    chunk.truncate(got);
    *left -= got as u64;
    Ok(chunk)
}
