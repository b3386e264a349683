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
