//! Objects that are read one after the other on a thread of its own, while the next few are being opened. None is ever
//! held whole.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::GroupError;
use crate::s3::Body;

/// Objects that are asked for ahead: most are small, so the time to the first byte is what reading them takes.
const OPENED_AHEAD: usize = 8;

/// What is opened, in order. Dropping it stops that.
pub(super) struct Ahead<T> {
    opened: mpsc::Receiver<Result<T, GroupError>>,
    /// Those that did not come yet.
    left: usize,
    _opener: JoinSet<()>,
}

impl<T: Send + 'static> Ahead<T> {
    /// Starts to open. Must be called inside a tokio runtime.
    pub(super) fn start<W, F>(wanted: Vec<W>, open: impl FnMut(W) -> F + Send + 'static) -> Self
    where
        W: Send + 'static,
        F: Future<Output = Result<T, GroupError>> + Send + 'static,
    {
        let (sender, opened) = mpsc::channel(1);
        let left = wanted.len();
        let mut opener = JoinSet::new();
        opener.spawn(async move {
            let mut opening = std::pin::pin!(stream::iter(wanted).map(open).buffered(OPENED_AHEAD));
            while let Some(opened) = opening.next().await {
                if sender.send(opened).await.is_err() {
                    return;
                }
            }
        });
        Self { opened, left, _opener: opener }
    }

    /// The next one; `None` after the last. Blocks: not for the executor.
    pub(super) fn next(&mut self) -> Result<Option<T>, GroupError> {
        if self.left == 0 {
            return Ok(None);
        }
        // An opener that is gone early is not the end.
        let opened = self.opened.blocking_recv().ok_or(GroupError::Stopped)??;
        self.left -= 1;
        Ok(Some(opened))
    }
}

/// A body that is read on a thread of its own. Its errors carry those of S3.
pub(super) struct BlockingBody {
    body: Body,
    runtime: Handle,
    chunk: Bytes,
}

impl BlockingBody {
    /// Nothing read yet. Reading blocks: not for the executor.
    pub(super) fn new(body: Body, runtime: Handle) -> Self {
        Self { body, runtime, chunk: Bytes::new() }
    }
}

impl Read for BlockingBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.runtime.block_on(self.body.next()).map_err(io::Error::other)? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        Buf::reader(&mut self.chunk).read(buffer)
    }
}
