//! A file as the body of a request. It is read by position, so that the file needs no name and a
//! body that is sent again begins at its first byte.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

/// Bytes of a file in memory while it is sent or hashed.
pub(super) const CHUNK: usize = 256 * 1024;

/// All of a file as the body of a request.
pub(super) fn stream(file: Arc<File>) -> io::Result<ByteStream> {
    let end = file.metadata()?.len();
    let body = move || {
        SdkBody::from_body_1_x(FileBody {
            file: Arc::clone(&file),
            at: 0,
            end,
            reading: None,
        })
    };
    Ok(ByteStream::new(SdkBody::retryable(body)))
}

/// Reads a file from its first byte, whatever its cursor.
pub(super) struct FromStart {
    file: Arc<File>,
    at: u64,
}

impl FromStart {
    pub(super) fn of(file: Arc<File>) -> Self {
        Self { file, at: 0 }
    }
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The rest of a file.
struct FileBody {
    file: Arc<File>,
    at: u64,
    end: u64,
    /// The next chunk, on a thread that may block.
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileBody {
    fn left(&self) -> u64 {
        self.end - self.at
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let left = usize::try_from(this.left()).unwrap_or(usize::MAX);
        if left == 0 {
            return Poll::Ready(None);
        }
        let reading = this.reading.get_or_insert_with(|| {
            let (file, at) = (Arc::clone(&this.file), this.at);
            tokio::task::spawn_blocking(move || {
                let mut chunk = vec![0; left.min(CHUNK)];
                file.read_exact_at(&mut chunk, at).map(|()| chunk.into())
            })
        });
        let read = ready!(Pin::new(reading).poll(context))
            .map_err(io::Error::other)
            .flatten();
        this.reading = None;
        if let Ok(chunk) = &read {
            this.at += chunk.len() as u64;
        }
        Poll::Ready(Some(read.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

#[cfg(test)]
mod tests;
