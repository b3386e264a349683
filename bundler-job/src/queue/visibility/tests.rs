use super::*;
use crate::queue::MemoryQueue;

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

async fn received(queue: &MemoryQueue) -> Held {
    let mut deliveries = queue
        .receive(1, Duration::ZERO, VISIBILITY)
        .await
        .expect("an answer");
    Held::new(deliveries.pop().expect("a message"))
}

async fn is_visible(queue: &MemoryQueue) -> bool {
    !queue
        .receive(1, Duration::ZERO, VISIBILITY)
        .await
        .expect("an answer")
        .is_empty()
}

fn queue_of_one() -> MemoryQueue {
    let queue = MemoryQueue::new(10);
    queue.send_body("x");
    queue
}

#[test]
fn a_message_is_extended_until_shortly_before_sqs_shows_it_anyway() {
    let minutes = Duration::from_mins;
    for (held_for, visibility, expected) in [
        (Duration::ZERO, VISIBILITY, Step::Extend(VISIBILITY)),
        (minutes(11 * 60 + 49), VISIBILITY, Step::Extend(VISIBILITY)),
        (minutes(11 * 60 + 49), HOUR, Step::Extend(minutes(11))),
        (minutes(11 * 60 + 50), VISIBILITY, Step::Cancel),
        (13 * HOUR, VISIBILITY, Step::Cancel),
    ] {
        assert_eq!(
            step(held_for, visibility),
            expected,
            "{held_for:?} {visibility:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_stays_hidden_for_as_long_as_the_work_takes() {
    let queue = queue_of_one();
    let held = received(&queue).await;
    let cancel = CancellationToken::new();
    let work = tokio::time::sleep(3 * HOUR);
    let (done, ()) = tokio::join!(
        keep_hidden(&queue, &held, VISIBILITY, &cancel, work),
        async {
            for _ in 0..179 {
                tokio::time::sleep(MINUTE).await;
                assert!(!is_visible(&queue).await);
            }
        }
    );
    done.expect("the work's end");
    tokio::time::sleep(VISIBILITY).await;
    assert!(is_visible(&queue).await, "the guard ended with the work");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_guard_stops_the_work_and_extends_no_more() {
    let queue = queue_of_one();
    let held = received(&queue).await;
    let cancel = CancellationToken::new();
    let (alive, ended) = tokio::sync::oneshot::channel::<()>();
    let work = async move {
        let _alive = alive;
        tokio::time::sleep(3 * HOUR).await;
    };
    let guard = timeout(
        10 * MINUTE,
        keep_hidden(&queue, &held, VISIBILITY, &cancel, work),
    );
    guard.await.expect_err("it takes longer");
    assert!(ended.await.is_err(), "the work's task is gone");
    tokio::time::sleep(VISIBILITY).await;
    assert!(is_visible(&queue).await);
}

#[tokio::test(start_paused = true)]
async fn a_message_lost_to_another_worker_does_not_end_the_work() {
    let queue = queue_of_one();
    let held = received(&queue).await;
    let cancel = CancellationToken::new();
    let work = async {
        tokio::time::sleep(HOUR).await;
        7
    };
    let (done, ()) = tokio::join!(
        keep_hidden(&queue, &held, VISIBILITY, &cancel, work),
        async {
            queue
                .release(&held.newest(), Duration::ZERO)
                .await
                .expect("released");
            received(&queue).await;
        }
    );
    assert_eq!(done.expect("the work's end"), 7);
    assert!(!cancel.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn the_newest_handle_is_the_one_extended() {
    let queue = queue_of_one();
    let held = received(&queue).await;
    let cancel = CancellationToken::new();
    let work = tokio::time::sleep(HOUR);
    let (done, ()) = tokio::join!(
        keep_hidden(&queue, &held, VISIBILITY, &cancel, work),
        async {
            queue
                .release(&held.newest(), Duration::ZERO)
                .await
                .expect("released");
            tokio::time::sleep(2 * MINUTE).await;
            held.adopt(received(&queue).await.newest());
            tokio::time::sleep(50 * MINUTE).await;
            assert!(!is_visible(&queue).await);
        }
    );
    done.expect("the work's end");
}

#[tokio::test(start_paused = true)]
async fn work_is_cancelled_before_twelve_hours_and_aborted_if_it_does_not_listen() {
    let queue = queue_of_one();
    let held = received(&queue).await;
    let cancel = CancellationToken::new();
    let start = Instant::now();
    let work = std::future::pending::<()>();
    let done = keep_hidden(&queue, &held, VISIBILITY, &cancel, work).await;
    assert!(done.expect_err("aborted").is_cancelled());
    assert!(cancel.is_cancelled());
    assert!(start.elapsed() < 12 * HOUR, "{:?}", start.elapsed());
    queue
        .release(&held.newest(), Duration::ZERO)
        .await
        .expect("still ours to give back");
}

#[tokio::test(start_paused = true)]
async fn cancelled_work_may_clean_up_before_it_ends() {
    let queue = queue_of_one();
    let held = received(&queue).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let work = async {
        tokio::time::sleep(ABORT_GRACE / 2).await;
        "cleaned up"
    };
    let done = keep_hidden(&queue, &held, VISIBILITY, &cancel, work).await;
    assert_eq!(done.expect("it ended by itself"), "cleaned up");
}
