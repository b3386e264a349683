//! The loop against the queue in memory, in simulated time, and against one that fails as told.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use s3bundler_contract::S3Address;

use super::*;
use crate::queue::{Disposition, MemoryQueue};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

type Handled = Result<(), GroupFailure<String>>;

fn options(groups: usize) -> WorkerOptions {
    WorkerOptions {
        groups,
        ..WorkerOptions::default()
    }
}

fn manifest(key: &str) -> ManifestRef {
    ManifestRef::new(S3Address::new("b", key), None)
}

/// A queue with these messages that is closed, so that work on it ends.
async fn closed_queue(keys: &[&str]) -> MemoryQueue {
    let queue = MemoryQueue::new(10);
    queue
        .send(&keys.iter().map(|key| manifest(key)).collect::<Vec<_>>())
        .await
        .unwrap();
    queue.close();
    queue
}

fn failed(disposition: Disposition) -> Handled {
    Err(GroupFailure::new(disposition, "no luck".to_owned()))
}

/// What is visible in the queue now: (body's key, receive count).
async fn visible(queue: &MemoryQueue) -> Vec<(String, u32)> {
    let deliveries = queue.receive(100, Duration::ZERO, MINUTE).await.unwrap();
    let key = |body: &str| {
        message::parse(body)
            .ok()
            .and_then(|mut it| it.pop())
            .map_or(body.to_owned(), |it| it.key)
    };
    deliveries
        .iter()
        .map(|it| (key(&it.body), it.receive_count))
        .collect()
}

async fn take(duration: Duration) -> Handled {
    sleep(duration).await;
    Ok(())
}

/// Works for so long, unless cancelled.
async fn take_or_stop(duration: Duration, cancel: CancellationToken) -> Handled {
    tokio::select! {
        () = sleep(duration) => Ok(()),
        () = cancel.cancelled() => failed(Disposition::GiveBack),
    }
}

fn after(duration: Duration) -> CancellationToken {
    let token = CancellationToken::new();
    let later = token.clone();
    tokio::spawn(async move {
        sleep(duration).await;
        later.cancel();
    });
    token
}

#[tokio::test(start_paused = true)]
async fn every_group_is_worked_on_once_and_never_more_than_asked_for_at_a_time() {
    let keys: Vec<String> = (0..25).map(|n| n.to_string()).collect();
    let queue = closed_queue(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let done = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let (most, done) = (Arc::clone(&most), Arc::clone(&done));
        move |manifest: ManifestRef, _| {
            let (running, most, done) =
                (Arc::clone(&running), Arc::clone(&most), Arc::clone(&done));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                sleep(SECOND * manifest.key.parse().unwrap()).await;
                running.fetch_sub(1, Ordering::SeqCst);
                done.lock().unwrap().push(manifest.key);
                Handled::Ok(())
            }
        }
    };
    let ended = work(&queue, &options(3), CancellationToken::new(), handler)
        .await
        .unwrap();
    assert_eq!(ended, Ended::Finished);
    assert_eq!(most.load(Ordering::SeqCst), 3);
    let mut done = done.lock().unwrap().clone();
    done.sort_by_key(|it| it.parse::<u32>().unwrap());
    assert_eq!(done, keys);
}

#[tokio::test(start_paused = true)]
async fn a_message_nobody_can_use_is_left_to_the_queue_and_events_without_manifests_are_discarded()
{
    let queue = MemoryQueue::new(10);
    queue.send_body("what's this? \u{1b}[31m");
    queue.send_body(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#);
    queue.send_body(r#"{"Records":[]}"#);
    queue.send_body(&manifest("x").to_json());
    queue.close();
    let ended = work(&queue, &options(2), CancellationToken::new(), |_, _| {
        take(SECOND)
    })
    .await
    .unwrap();
    assert_eq!(ended, Ended::Finished);
    assert_eq!(queue.given_up_bodies(), ["what's this? \u{1b}[31m"]);
}

#[tokio::test(start_paused = true)]
async fn events_of_our_own_output_are_dropped_and_messages_of_ours_are_not() {
    let layout =
        s3bundler_contract::Layout::new("p", s3bundler_contract::KeyLayout::Plain).unwrap();
    let options = WorkerOptions {
        destination: Some(Destination {
            bucket: "dst".to_owned(),
            layout,
        }),
        ..WorkerOptions::default()
    };
    let event = |bucket: &str, key: &str| {
        format!(
            r#"{{"Records":[{{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"{bucket}"}},"object":{{"key":"{key}"}}}}}}]}}"#
        )
    };
    for (body, is_worked_on) in [
        (event("dst", "p/groups/r/r.000001.index"), true),
        (event("dst", "p/archivesx"), true),
        (event("other", "p/archives/a.index"), true),
        (event("dst", "archives/a.index"), true),
        (
            event("dst", "p/archives/src/r.000001-aaaaaaaa.tar.index"),
            false,
        ),
        (event("dst", "p/catalog/run=r/r.000001.parquet"), false),
        (event("dst", "p/receipts/r/r.000001~a1"), false),
        (event("dst", "p/runs/r.json"), false),
        (event("dst", "p/objects/src/k"), false),
        (event("dst", "p/groups/r/r.000001.index.dlq"), false),
        (event("other", "x/a.index.dlq"), false),
        (event("other", "x/folder/"), false),
        (
            r#"{"Bucket":"dst","Key":"p/groups/r/r.000001.index.dlq"}"#.to_owned(),
            true,
        ),
        (
            r#"{"Bucket":"dst","Key":"p/archives/a.index"}"#.to_owned(),
            true,
        ),
    ] {
        let queue = MemoryQueue::new(1);
        queue.send_body(&body);
        queue.close();
        let done = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&done);
        let handler = move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Handled::Ok(()))
        };
        work(&queue, &options, CancellationToken::new(), handler)
            .await
            .unwrap();
        assert_eq!(done.load(Ordering::SeqCst) == 1, is_worked_on, "{body}");
        assert!(
            queue.given_up_bodies().is_empty() && visible(&queue).await.is_empty(),
            "{body}: deleted"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_right_record_beside_a_foreign_one_is_worked_on_and_the_message_is_left() {
    let queue = MemoryQueue::new(1);
    queue.send_body(
        r#"{"Records":[{"eventSource":"aws:kinesis"},{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}]}"#,
    );
    queue.close();
    let done = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&done);
    let handler = move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Handled::Ok(()))
    };
    work(
        &queue,
        &WorkerOptions::default(),
        CancellationToken::new(),
        handler,
    )
    .await
    .unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 1);
    assert_eq!(
        queue.given_up_bodies().len(),
        1,
        "the message is not deleted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_of_several_records_is_deleted_when_all_are_done() {
    let queue = MemoryQueue::new(10);
    let record = |key: &str| {
        format!(
            r#"{{"eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"b"}},"object":{{"key":"{key}"}}}}}}"#
        )
    };
    queue.send_body(&format!(
        r#"{{"Records":[{},{}]}}"#,
        record("a+b"),
        record("c")
    ));
    queue.close();
    let tried = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&tried);
    let handler = move |manifest: ManifestRef, _| {
        let mut log = log.lock().unwrap();
        log.push(manifest.key);
        // The first record fails the first time.
        let result = if log.len() == 1 {
            failed(Disposition::GiveBack)
        } else {
            Ok(())
        };
        std::future::ready(result)
    };
    work(&queue, &options(1), CancellationToken::new(), handler)
        .await
        .unwrap();
    assert_eq!(*tried.lock().unwrap(), ["a b", "c", "a b", "c"]);
    assert!(queue.given_up_bodies().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_failed_is_tried_again_later_and_not_sooner() {
    let queue = closed_queue(&["x"]).await;
    let start = Instant::now();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let handler = move |_, _| {
        let n = counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(if n < 2 {
            failed(Disposition::GiveBack)
        } else {
            Ok(())
        })
    };
    work(&queue, &options(1), CancellationToken::new(), handler)
        .await
        .unwrap();
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    assert_eq!(start.elapsed().as_secs(), 30 + 60);
}

#[tokio::test(start_paused = true)]
async fn trouble_that_every_group_would_have_gives_all_back_at_once_and_ends_the_loop() {
    let queue = closed_queue(&["bad", "good", "later"]).await;
    let handler = |manifest: ManifestRef, cancel| async move {
        match manifest.key.as_str() {
            "bad" => {
                sleep(SECOND).await;
                failed(Disposition::Fatal)
            }
            _ => take_or_stop(MINUTE, cancel).await,
        }
    };
    let start = Instant::now();
    let error = work(&queue, &options(2), CancellationToken::new(), handler)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, WorkError::Fatal(cause) if cause == "no luck"),
        "{error:?}"
    );
    assert_eq!(start.elapsed(), SECOND);
    let mut left = visible(&queue).await;
    left.sort();
    assert_eq!(
        left,
        [("bad".into(), 2), ("good".into(), 2), ("later".into(), 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_groups_finish_that_are_quick_and_gives_the_others_back() {
    let queue = closed_queue(&["quick", "slow", "later"]).await;
    let handler = |manifest: ManifestRef, cancel| {
        take_or_stop(
            if manifest.key == "quick" {
                MINUTE
            } else {
                10 * MINUTE
            },
            cancel,
        )
    };
    let start = Instant::now();
    let ended = work(&queue, &options(2), after(SECOND), handler)
        .await
        .unwrap();
    assert_eq!(ended, Ended::Shutdown);
    assert_eq!(start.elapsed().as_secs(), 1 + 90);
    let mut left = visible(&queue).await;
    left.sort();
    assert_eq!(
        left,
        [("later".into(), 1), ("slow".into(), 2)],
        "later was never begun, slow is visible at once"
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_that_does_not_listen_is_broken_off_after_the_grace() {
    let queue = closed_queue(&["deaf"]).await;
    let start = Instant::now();
    let ended = work(&queue, &options(1), after(SECOND), |_, _| take(60 * MINUTE))
        .await
        .unwrap();
    assert_eq!(ended, Ended::Shutdown);
    assert_eq!(start.elapsed().as_secs(), 1 + 90 + 10);
    assert_eq!(visible(&queue).await, [("deaf".into(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_poll_brings_after_the_shutdown_is_given_back() {
    let queue = MemoryQueue::new(10);
    let options = options(1);
    let (ended, ()) = tokio::join!(
        work(&queue, &options, after(SECOND / 4), |_, _| take(SECOND)),
        async {
            sleep(SECOND / 2).await;
            queue.send_body("x");
        }
    );
    assert_eq!(ended.unwrap(), Ended::Shutdown);
    assert_eq!(
        visible(&queue).await,
        [("x".into(), 2)],
        "received once by the poll, and visible at once"
    );
}

#[tokio::test(start_paused = true)]
async fn after_enough_groups_the_process_is_to_be_recycled() {
    // With more slots than groups that are left to it, too.
    for groups in [2, 5] {
        let queue = closed_queue(&["1", "2", "3", "4", "5"]).await;
        let options = WorkerOptions {
            recycle_after: 3,
            ..options(groups)
        };
        let ended = work(&queue, &options, CancellationToken::new(), |_, _| {
            take(10 * MINUTE)
        })
        .await
        .unwrap();
        assert_eq!(ended, Ended::Recycle);
        assert_eq!(
            visible(&queue).await,
            [("4".into(), 1), ("5".into(), 1)],
            "three were done and no more received"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_while_the_last_groups_run_is_not_a_recycling() {
    let queue = closed_queue(&["1", "2"]).await;
    let options = WorkerOptions {
        recycle_after: 1,
        ..options(1)
    };
    let start = Instant::now();
    let ended = work(&queue, &options, after(SECOND), |_, cancel| {
        take_or_stop(60 * MINUTE, cancel)
    })
    .await
    .unwrap();
    assert_eq!(ended, Ended::Shutdown);
    assert_eq!(start.elapsed().as_secs(), 1 + 90);
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_ends_once_the_queue_gave_nothing_for_long_enough() {
    let queue = MemoryQueue::new(10);
    queue.send(&[manifest("x")]).await.unwrap();
    let options = WorkerOptions {
        idle_exit: Some(30 * SECOND),
        ..options(2)
    };
    let start = Instant::now();
    let ended = work(&queue, &options, CancellationToken::new(), |_, _| {
        take(20 * MINUTE)
    })
    .await
    .unwrap();
    assert_eq!(ended, Ended::Idle);
    let waited = start
        .elapsed()
        .checked_sub(20 * MINUTE)
        .expect("a group that runs is no idleness");
    assert!((30..=32).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_paused_worker_ends_its_group_and_takes_no_other_until_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pause");
    let queue = closed_queue(&["1", "2"]).await;
    let options = WorkerOptions {
        pause: Some(PauseFile::new(&file)),
        ..options(1)
    };
    let start = Instant::now();
    let began = Mutex::new(Vec::new());
    let began = Arc::new(began);
    let ended = work(&queue, &options, CancellationToken::new(), {
        let began = Arc::clone(&began);
        move |_, _| {
            began.lock().unwrap().push(start.elapsed().as_secs());
            let file = file.clone();
            async move {
                std::fs::write(&file, "true").unwrap();
                tokio::spawn(async move {
                    sleep(10 * MINUTE).await;
                    std::fs::write(&file, "").unwrap();
                });
                take(MINUTE).await
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(ended, Ended::Finished);
    let began = began.lock().unwrap().clone();
    assert!(matches!(began[..], [0, 600..=603]), "{began:?}");
}

#[tokio::test(start_paused = true)]
async fn a_paused_worker_ends_at_once_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pause");
    std::fs::write(&file, "true\n").unwrap();
    let queue = closed_queue(&["1"]).await;
    let options = WorkerOptions {
        pause: Some(PauseFile::new(&file)),
        ..options(1)
    };
    let start = Instant::now();
    let ended = work(&queue, &options, after(SECOND), |_, _| take(MINUTE))
        .await
        .unwrap();
    assert_eq!((ended, start.elapsed().as_secs()), (Ended::Shutdown, 1));
    assert_eq!(
        visible(&queue).await,
        [("1".into(), 1)],
        "it was not received"
    );
}

/// A queue that fails as told, for as often as told.
struct Failing {
    inner: MemoryQueue,
    receives: Mutex<VecDeque<QueueErrorKind>>,
    extends: bool,
    deletes: Option<QueueErrorKind>,
}

impl Failing {
    fn new(inner: MemoryQueue) -> Self {
        Self {
            inner,
            receives: Mutex::default(),
            extends: true,
            deletes: None,
        }
    }

    fn receives(self, kinds: impl IntoIterator<Item = QueueErrorKind>) -> Self {
        self.receives.lock().unwrap().extend(kinds);
        self
    }
}

fn error(action: &'static str, kind: QueueErrorKind) -> QueueError {
    QueueError {
        action,
        queue: "q".into(),
        kind,
        detail: "as told".into(),
    }
}

impl Queue for Failing {
    async fn send(&self, manifests: &[ManifestRef]) -> Result<(), QueueError> {
        self.inner.send(manifests).await
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let told = self.receives.lock().unwrap().pop_front();
        match told {
            Some(kind) => Err(error("ReceiveMessage", kind)),
            None => self.inner.receive(max, wait, visibility).await,
        }
    }

    async fn extend(&self, delivery: &Delivery, visibility: Duration) -> Result<(), QueueError> {
        if !self.extends {
            return Err(error("ChangeMessageVisibility", QueueErrorKind::Transient));
        }
        self.inner.extend(delivery, visibility).await
    }

    async fn delete(&self, delivery: &Delivery) -> Result<(), QueueError> {
        match self.deletes {
            Some(kind) => Err(error("DeleteMessage", kind)),
            None => self.inner.delete(delivery).await,
        }
    }

    fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_answers_again_is_worked_on() {
    let queue = Failing::new(closed_queue(&["x"]).await).receives([QueueErrorKind::Transient; 4]);
    let start = Instant::now();
    let ended = work(&queue, &options(1), CancellationToken::new(), |_, _| {
        take(Duration::ZERO)
    })
    .await
    .unwrap();
    assert_eq!(ended, Ended::Finished);
    assert_eq!(start.elapsed().as_secs(), 1 + 2 + 4 + 8);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_never_answered_is_given_up_and_one_that_did_is_not() {
    let never = Failing::new(closed_queue(&["x"]).await).receives([QueueErrorKind::Transient; 5]);
    let error = work(&never, &options(1), CancellationToken::new(), |_, _| {
        take(SECOND)
    })
    .await
    .unwrap_err();
    assert!(
        matches!(&error, WorkError::Queue(error) if error.kind == QueueErrorKind::Transient),
        "{error:?}"
    );
    let queue = Failing::new(closed_queue(&["x"]).await);
    let options = options(2);
    let (ended, ()) = tokio::join!(
        work(&queue, &options, CancellationToken::new(), |_, _| take(
            SECOND
        )),
        async {
            sleep(SECOND / 2).await;
            queue
                .receives
                .lock()
                .unwrap()
                .extend([QueueErrorKind::Transient; 20]);
        }
    );
    assert_eq!(ended.unwrap(), Ended::Finished);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_denied_or_missing_ends_the_loop_once_the_running_groups_are_done() {
    for kind in [
        QueueErrorKind::Denied,
        QueueErrorKind::Missing,
        QueueErrorKind::Rejected,
    ] {
        let queue = Failing::new(closed_queue(&["x"]).await);
        let options = options(2);
        let (ended, ()) = tokio::join!(
            work(&queue, &options, CancellationToken::new(), |_, _| take(
                MINUTE
            )),
            async {
                sleep(SECOND / 2).await;
                queue.receives.lock().unwrap().push_back(kind);
            }
        );
        let error = ended.unwrap_err();
        assert!(
            matches!(&error, WorkError::Queue(error) if error.kind == kind),
            "{error:?}"
        );
        assert!(
            queue.is_finished(),
            "the group that ran was done and its message deleted"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_lets_nobody_delete_is_not_worked_through_in_vain() {
    let queue = Failing {
        deletes: Some(QueueErrorKind::Denied),
        ..Failing::new(closed_queue(&["1", "2"]).await)
    };
    let error = work(&queue, &options(1), CancellationToken::new(), |_, _| {
        take(SECOND)
    })
    .await
    .unwrap_err();
    assert!(
        matches!(&error, WorkError::Queue(error) if error.action == "DeleteMessage"),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_while_it_is_worked_on_is_not_worked_on_twice() {
    // Its visibility cannot be extended, so it comes back to the worker's other slot.
    let queue = Failing {
        extends: false,
        ..Failing::new(closed_queue(&["x"]).await)
    };
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let handler = move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        take(12 * MINUTE)
    };
    let ended = work(&queue, &options(2), CancellationToken::new(), handler)
        .await
        .unwrap();
    assert_eq!(
        ended,
        Ended::Finished,
        "it was deleted with the handle that is the newest"
    );
    assert_eq!(begun.load(Ordering::SeqCst), 1);
}

#[test]
fn an_excerpt_of_a_body_is_short_and_printable() {
    assert_eq!(excerpt("a\n\u{1b}ü"), r"a\n\x1b\xc3\xbc");
    assert_eq!(excerpt(&"ü".repeat(500)).len(), 4 * EXCERPT);
}

#[test]
fn pauses_between_failed_receives_double_up_to_a_limit() {
    let seconds: Vec<u64> = [0, 1, 2, 5, 6, 100, u32::MAX]
        .map(|n| pause_after(n).as_secs())
        .to_vec();
    assert_eq!(seconds, [0, 1, 2, 16, 30, 30, 30]);
}
