use futures_util::FutureExt as _;

use super::*;

fn item(uid: &str) -> Item {
    let run = ObjectMeta {
        uid: Some(uid.to_owned()),
        ..ObjectMeta::default()
    };
    Item::new(&run, "ops")
}

fn next(queue: &Queue) -> Option<String> {
    queue.next().now_or_never().map(|item| item.uid)
}

#[test]
fn an_item_is_queued_once_until_it_is_settled() {
    let queue = Queue::default();
    let added = ["a", "b", "a"].map(|uid| queue.add(item(uid)));
    assert_eq!(added, [true, true, false]);
    assert_eq!(next(&queue).as_deref(), Some("a"));
    // Its turn is not over.
    assert!(!queue.add(item("a")));
    assert_eq!(next(&queue).as_deref(), Some("b"));
    assert_eq!(next(&queue), None);
    queue.settle(&item("a"));
    assert!(queue.add(item("a")));
    assert_eq!(next(&queue).as_deref(), Some("a"));
}

#[test]
fn an_item_that_fails_lets_the_others_go_first() {
    let queue = Queue::default();
    for uid in ["refused", "b", "c"] {
        queue.add(item(uid));
    }
    let refused = queue.next().now_or_never().expect("an item");
    queue.put_back(refused);
    let order: Vec<_> = std::iter::from_fn(|| next(&queue)).collect();
    assert_eq!(order, ["b", "c", "refused"]);
}
