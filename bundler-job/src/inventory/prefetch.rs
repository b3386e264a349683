//! Objects that are downloaded to scratch in their order, the next few while one is read.
//!
//! They wait for room in their order, and an object larger than all of it has it alone: one is
//! always on its way.

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::budget::{Budget, Permit};

/// Objects that are downloaded ahead of the reader, at most: more save no time.
const OBJECTS_AHEAD: usize = 8;

/// The downloads ended before the last object arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

/// What arrives, in order.
pub(crate) struct Prefetch<T, E> {
    coming: mpsc::Receiver<oneshot::Receiver<Result<T, E>>>,
    /// Those that did not arrive yet.
    left: usize,
}

impl<T, E> Prefetch<T, E>
where
    T: Send + 'static,
    E: From<Stopped> + Send + 'static,
{
    /// Starts to `download` what is wanted, each with its bytes on scratch, where there is room for
    /// `room` bytes. What arrives has to keep its permit for as long as it is on scratch. Dropping
    /// the set stops the downloads. Must be called inside a tokio runtime.
    pub(crate) fn start<W, F>(
        wanted: Vec<(W, u64)>,
        room: u64,
        download: impl Fn(W, Permit) -> F + Send + 'static,
    ) -> (JoinSet<()>, Self)
    where
        W: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let left = wanted.len();
        // One is with the reader and one waits to be sent.
        let (sender, coming) = mpsc::channel(OBJECTS_AHEAD - 1);
        let mut feeder = JoinSet::new();
        feeder.spawn(async move {
            let room = Budget::new(room);
            let mut downloads = JoinSet::new();
            for (wanted, bytes) in wanted {
                let permit = room.take(bytes).await;
                let downloading = download(wanted, permit);
                let (arrival, arrived) = oneshot::channel();
                downloads.spawn(async move {
                    let _ = arrival.send(downloading.await);
                });
                if sender.send(arrived).await.is_err() {
                    return;
                }
                while downloads.try_join_next().is_some() {}
            }
            while downloads.join_next().await.is_some() {}
        });
        (feeder, Self { coming, left })
    }

    /// The next one; `None` after the last. Blocks: not for the executor.
    pub(crate) fn next(&mut self) -> Result<Option<T>, E> {
        if self.left == 0 {
            return Ok(None);
        }
        // Downloads that end early are not the end: the channel closes without one.
        let coming = self.coming.blocking_recv().ok_or(Stopped)?;
        let arrived = coming.blocking_recv().map_err(|_| Stopped)??;
        self.left -= 1;
        Ok(Some(arrived))
    }
}

#[cfg(test)]
mod tests;
