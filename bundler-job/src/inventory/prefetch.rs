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
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    type Arrivals = Prefetch<(usize, Permit), Stopped>;

    /// Reads objects of these bytes; returns how many were on scratch together, at most.
    async fn together(bytes: &[u64], room: u64) -> usize {
        let (there, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let wanted: Vec<_> = (0..).zip(bytes.iter().copied()).collect();
        let count = wanted.len();
        let counted = (Arc::clone(&there), Arc::clone(&most));
        let (downloads, mut ahead): (_, Arrivals) =
            Prefetch::start(wanted, room, move |number, permit| {
                let (there, most) = (Arc::clone(&counted.0), Arc::clone(&counted.1));
                async move {
                    most.fetch_max(there.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    // Others start, if they may.
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    Ok((number, permit))
                }
            });
        let reading = tokio::task::spawn_blocking(move || {
            let mut read = Vec::new();
            while let Some((number, permit)) = ahead.next().expect("all arrive") {
                there.fetch_sub(1, Ordering::SeqCst);
                drop(permit);
                read.push(number);
            }
            read
        });
        assert_eq!(reading.await.expect("read"), (0..count).collect::<Vec<_>>());
        drop(downloads);
        most.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn as_many_are_on_scratch_as_have_room_and_always_one() {
        const MIB: u64 = 1 << 20;
        assert_eq!(together(&[MIB; 20], 0).await, 1);
        assert_eq!(together(&[MIB; 20], MIB + 1).await, 1);
        assert_eq!(together(&[5 * MIB, MIB, 5 * MIB], 2 * MIB).await, 1);
        assert!(together(&[MIB; 20], 3 * MIB).await <= 3);
        assert!(together(&[MIB; 20], u64::MAX).await <= OBJECTS_AHEAD + 1);
        assert_eq!(together(&[], 0).await, 0);
    }

    #[tokio::test]
    async fn downloads_that_end_early_are_not_the_end() {
        let wanted = vec![((), 1), ((), 1)];
        let (downloads, mut ahead): (_, Prefetch<(), Stopped>) =
            Prefetch::start(wanted, 0, |(), _permit| std::future::pending());
        drop(downloads);
        let next = tokio::task::spawn_blocking(move || ahead.next());
        assert_eq!(next.await.expect("read"), Err(Stopped));
    }
}
