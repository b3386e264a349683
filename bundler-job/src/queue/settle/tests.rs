#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::sync::Mutex;

use s3bundler_contract::S3Address;

use super::*;
use crate::queue::visibility::VISIBILITY;
use crate::queue::{Delivery, MemoryQueue};

#[test]
fn what_becomes_of_a_message() {
    let seconds = Duration::from_secs;
    for (work, receive_count, expected) in [
        (Work::Done, 1, Fate::Delete),
        (Work::Stopped, 9, Fate::Release(Duration::ZERO)),
        (
            Work::Failed(Disposition::Fatal),
            9,
            Fate::Release(Duration::ZERO),
        ),
        (
            Work::Failed(Disposition::LeaveForRedrive),
            1,
            Fate::SetAside,
        ),
        (
            Work::Failed(Disposition::GiveBack),
            1,
            Fate::Release(seconds(30)),
        ),
        (
            Work::Failed(Disposition::GiveBack),
            3,
            Fate::Release(seconds(90)),
        ),
        (
            Work::Failed(Disposition::GiveBack),
            10,
            Fate::Release(seconds(300)),
        ),
        (
            Work::Failed(Disposition::GiveBack),
            u32::MAX,
            Fate::Release(seconds(300)),
        ),
        (Work::Panicked, 2, Fate::Release(seconds(60))),
    ] {
        assert_eq!(
            fate(work, true, receive_count),
            expected,
            "{work:?} {receive_count}"
        );
    }
}

fn manifests(keys: &[&str]) -> Vec<ManifestRef> {
    keys.iter()
        .map(|key| ManifestRef::new(S3Address::new("b", *key), None))
        .collect()
}

/// What the groups of a message end like, by key, and how the message's work ends then; and which
/// were tried.
async fn worked_through(ends: &[(&str, Option<Disposition>)]) -> (Work, Vec<String>) {
    let tried = Mutex::new(Vec::new());
    let ends: std::collections::HashMap<_, _> = ends.iter().copied().collect();
    let mut keys: Vec<_> = ends.keys().copied().collect();
    keys.sort_unstable();
    let (work, _) = work_through(
        manifests(&keys),
        &CancellationToken::new(),
        &|manifest: ManifestRef, _| {
            let end = ends[manifest.key.as_str()];
            tried.lock().unwrap().push(manifest.key);
            std::future::ready(end.map_or(Ok(()), |it| Err(GroupFailure::new(it, "cause"))))
        },
    )
    .await;
    (work, tried.into_inner().unwrap())
}

#[tokio::test]
async fn the_heaviest_failure_of_a_message_counts_and_only_a_fatal_one_ends_it() {
    use Disposition::{Fatal, GiveBack, LeaveForRedrive};
    for (ends, expected, tried) in [
        ([None, None, None], Work::Done, 3),
        ([Some(GiveBack), None, None], Work::Failed(GiveBack), 3),
        (
            [Some(GiveBack), None, Some(LeaveForRedrive)],
            Work::Failed(GiveBack),
            3,
        ),
        (
            [Some(LeaveForRedrive), None, None],
            Work::Failed(LeaveForRedrive),
            3,
        ),
        ([None, Some(Fatal), None], Work::Failed(Fatal), 2),
    ] {
        let named = [("1", ends[0]), ("2", ends[1]), ("3", ends[2])];
        let (work, keys) = worked_through(&named).await;
        assert_eq!((work, keys.len()), (expected, tried), "{ends:?}");
    }
}

#[test]
fn a_message_of_which_a_part_cannot_be_used_is_never_deleted() {
    assert_eq!(fate(Work::Done, false, 1), Fate::SetAside);
    assert_eq!(fate(Work::Stopped, false, 1), Fate::Release(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_message_told_to_stop_between_two_groups_is_not_done() {
    let queue = MemoryQueue::new(10);
    queue.send_body("x");
    let held = Held::new(
        queue
            .receive(1, Duration::ZERO, VISIBILITY)
            .await
            .unwrap()
            .remove(0),
    );
    let cancel = CancellationToken::new();
    let handler = Arc::new(|_: ManifestRef, cancel: CancellationToken| async move {
        cancel.cancel();
        Ok::<(), GroupFailure<&str>>(())
    });
    let settled = see_through(
        &queue,
        &held,
        manifests(&["1", "2"]),
        true,
        VISIBILITY,
        cancel,
        handler,
    )
    .await;
    assert!(matches!(settled, Settled::Stopped), "{settled:?}");
    let again = queue.receive(1, Duration::ZERO, VISIBILITY).await.unwrap();
    assert_eq!(again[0].receive_count, 2, "given back at once");
}

/// A queue that takes requests and never answers.
struct Silent;

impl Queue for Silent {
    async fn send(&self, _: &[ManifestRef]) -> Result<(), QueueError> {
        std::future::pending().await
    }

    async fn receive(
        &self,
        _: usize,
        _: Duration,
        _: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        std::future::pending().await
    }

    async fn extend(&self, _: &Delivery, _: Duration) -> Result<(), QueueError> {
        std::future::pending().await
    }

    async fn delete(&self, _: &Delivery) -> Result<(), QueueError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_holds_up_no_worker_that_was_told_to_stop() {
    let queue = MemoryQueue::new(10);
    queue.send_body("x");
    let held = Held::new(
        queue
            .receive(1, Duration::ZERO, VISIBILITY)
            .await
            .unwrap()
            .remove(0),
    );
    let cancel = CancellationToken::new();
    let handler = Arc::new(|_: ManifestRef, cancel: CancellationToken| async move {
        cancel.cancelled().await;
        Ok::<(), GroupFailure<&str>>(())
    });
    let (begun, told) = (tokio::time::Instant::now(), cancel.clone());
    let stop = async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        told.cancel();
    };
    let working = see_through(
        &Silent,
        &held,
        manifests(&["1"]),
        true,
        VISIBILITY,
        cancel,
        handler,
    );
    let (settled, ()) = tokio::join!(working, stop);
    assert!(matches!(settled, Settled::Done), "{settled:?}");
    assert_eq!(begun.elapsed(), Duration::from_mins(1) + LAST_TRIES);
    give_back(&Silent, &held).await;
    assert_eq!(begun.elapsed(), Duration::from_mins(1) + 2 * LAST_TRIES);
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_own_message_a_try_and_nothing_else() {
    let queue = MemoryQueue::new(10);
    queue.send_body("x");
    let held = Held::new(
        queue
            .receive(1, Duration::ZERO, VISIBILITY)
            .await
            .unwrap()
            .remove(0),
    );
    let handler = Arc::new(|_: ManifestRef, _| async {
        assert!(std::hint::black_box(false), "a defect");
        Ok::<(), GroupFailure<&str>>(())
    });
    let token = CancellationToken::new();
    let settled = see_through(
        &queue,
        &held,
        manifests(&["1"]),
        true,
        VISIBILITY,
        token,
        handler,
    )
    .await;
    assert!(matches!(settled, Settled::Failed), "{settled:?}");
    tokio::time::advance(PAUSE).await;
    assert_eq!(
        queue
            .receive(1, Duration::ZERO, VISIBILITY)
            .await
            .unwrap()
            .len(),
        1
    );
}
