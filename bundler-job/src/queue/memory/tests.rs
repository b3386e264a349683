use s3bundler_contract::S3Address;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn manifest(key: &str) -> ManifestRef {
    ManifestRef::new(S3Address::new("b", key), None)
}

async fn receive_one(queue: &MemoryQueue) -> Delivery {
    let mut deliveries = queue
        .receive(1, Duration::ZERO, MINUTE)
        .await
        .expect("an answer");
    deliveries.pop().expect("a message")
}

async fn none(queue: &MemoryQueue) {
    assert!(
        queue
            .receive(10, Duration::ZERO, MINUTE)
            .await
            .expect("an answer")
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn messages_come_in_order_and_no_more_than_asked_for() {
    let queue = MemoryQueue::new(3);
    queue
        .send(&["1", "2", "3"].map(manifest))
        .await
        .expect("sent");
    let two = queue
        .receive(2, Duration::ZERO, MINUTE)
        .await
        .expect("an answer");
    assert_eq!(
        two.iter().map(|it| it.body.as_str()).collect::<Vec<_>>(),
        ["1", "2"].map(|k| manifest(k).to_json())
    );
    assert!(receive_one(&queue).await.body.contains("\"3\""));
}

#[tokio::test(start_paused = true)]
async fn a_receive_ends_when_something_is_sent() {
    let queue = MemoryQueue::new(3);
    let start = Instant::now();
    let (received, ()) = tokio::join!(queue.receive(1, MINUTE, MINUTE), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        queue.send_body("x");
    });
    assert_eq!(received.expect("an answer").len(), 1);
    assert_eq!(start.elapsed().as_millis(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_released_message_comes_back_with_another_handle_and_count() {
    let queue = MemoryQueue::new(3);
    queue.send_body("x");
    let first = receive_one(&queue).await;
    none(&queue).await;
    queue
        .release(&first, Duration::ZERO)
        .await
        .expect("released");
    let second = receive_one(&queue).await;
    assert_eq!((first.receive_count, second.receive_count), (1, 2));
    assert_ne!(first.receipt_handle, second.receipt_handle);
    let error = queue
        .extend(&first, MINUTE)
        .await
        .expect_err("a stale handle");
    assert_eq!(error.kind, QueueErrorKind::Gone);
    queue.delete(&first).await.expect("no error");
    queue
        .extend(&second, MINUTE)
        .await
        .expect("a stale handle deletes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_extends_is_visible_when_its_time_is_up() {
    let queue = MemoryQueue::new(3);
    queue.send_body("x");
    let first = receive_one(&queue).await;
    tokio::time::advance(MINUTE / 2).await;
    queue.extend(&first, MINUTE).await.expect("in flight");
    tokio::time::advance(MINUTE / 2 + MINUTE / 4).await;
    none(&queue).await;
    tokio::time::advance(MINUTE / 4).await;
    assert_eq!(receive_one(&queue).await.receive_count, 2);
}

#[tokio::test(start_paused = true)]
async fn it_is_finished_when_closed_and_empty_with_nothing_in_flight() {
    let queue = MemoryQueue::new(3);
    queue.send_body("x");
    let delivery = receive_one(&queue).await;
    assert!(!queue.is_finished());
    queue.close();
    assert!(!queue.is_finished(), "it may come back");
    let (received, ()) = tokio::join!(queue.receive(1, MINUTE, MINUTE), async {
        queue.delete(&delivery).await.expect("deleted");
    });
    assert!(received.expect("an answer").is_empty());
    assert!(queue.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_back_too_often_is_given_up_at_once() {
    let queue = MemoryQueue::new(2);
    queue.send(&[manifest("x")]).await.expect("sent");
    queue.close();
    for _ in 0..2 {
        assert!(queue.given_up().is_empty());
        let delivery = receive_one(&queue).await;
        queue
            .release(&delivery, Duration::ZERO)
            .await
            .expect("released");
    }
    assert_eq!(queue.given_up(), [manifest("x")]);
    assert!(queue.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_message_released_for_later_is_not_seen_before() {
    let queue = MemoryQueue::new(2);
    queue.send_body("x");
    queue.close();
    queue
        .release(&receive_one(&queue).await, MINUTE)
        .await
        .expect("released");
    none(&queue).await;
    tokio::time::advance(MINUTE).await;
    let last = receive_one(&queue).await;
    queue.release(&last, MINUTE).await.expect("released");
    assert!(
        queue.is_finished(),
        "nobody would see it again, so nobody waits for it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_set_aside_is_given_up_without_waiting() {
    let queue = MemoryQueue::new(9);
    queue.send(&[manifest("x")]).await.expect("sent");
    queue.close();
    let delivery = receive_one(&queue).await;
    queue.set_aside(&delivery).await.expect("set aside");
    assert_eq!(queue.given_up(), [manifest("x")]);
    assert!(queue.is_finished());
}
