use std::time::Duration;

use super::*;

const KIB: u64 = 1024;

/// Whether this would wait for good, on a clock that runs as soon as everybody waits.
async fn waits(taking: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(Duration::from_mins(1), taking)
        .await
        .is_err()
}

#[tokio::test(start_paused = true)]
async fn no_member_takes_room_before_earlier_members_have_theirs() {
    let scratch = Scratch::new(10 * KIB);
    let (mut unknown, mut known) = (scratch.place(), scratch.place());
    assert!(waits(known.take(4 * KIB)).await);
    assert_eq!(known.try_take(4 * KIB), Err(NoRoom));
    unknown.take(8 * KIB).await;
    unknown.settle();
    assert!(waits(known.take(4 * KIB)).await, "2 KiB are left");
    drop(unknown);
    assert!(!waits(known.take(4 * KIB)).await);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_has_grown_takes_more_before_later_ones_take_any() {
    let scratch = Scratch::new(10 * KIB);
    let (mut grown, mut later) = (scratch.place(), scratch.place());
    grown.take(4 * KIB).await;
    assert!(waits(later.take(6 * KIB)).await);
    assert!(
        !waits(grown.take(100 * KIB)).await,
        "what is larger than all the room has it alone"
    );
    grown.settle();
    assert!(waits(later.take(KIB)).await);
    grown.leave();
    assert!(!waits(later.take(6 * KIB)).await);
    assert_eq!(later.try_take(10 * KIB), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn parts_have_their_room_once_members_have_left_it_and_no_member_waits_for_what_parts_have() {
    let scratch = Scratch::new(16 * KIB);
    let mut aside = scratch.aside();
    let mut places: Vec<_> = (0..3).map(|_| scratch.place()).collect();
    for place in &mut places {
        place.take(5 * KIB).await;
        place.settle();
    }
    // It waits for more room than there will be.
    let mut large = scratch.place();
    let waiting = tokio::spawn(async move {
        large.take(16 * KIB).await;
        large
    });
    tokio::task::yield_now().await;
    assert!(!aside.has(8 * KIB), "more than a quarter");
    assert!(
        !aside.has(3 * KIB),
        "members have 15 KiB, and 13 are theirs"
    );
    drop(places.pop());
    assert!(aside.has(3 * KIB) && aside.has(2 * KIB) && !aside.has(5 * KIB));
    assert!(!waiting.is_finished());
    places.clear();
    let large = waiting
        .await
        .expect("13 KiB are all the room that there is");
    assert_eq!(large.held, 13 * KIB);
    assert!(
        aside.has(3 * KIB) && !aside.has(4 * KIB),
        "the member leaves 3 KiB"
    );
    drop(large);
    assert!(aside.has(4 * KIB));
}

#[tokio::test(start_paused = true)]
async fn members_that_need_no_room_block_no_other_in_any_order() {
    let scratch = Scratch::new(KIB);
    let mut places: Vec<_> = (0..5).map(|_| scratch.place()).collect();
    let mut last = places.pop().expect("five");
    for place in [3, 1, 0] {
        places[place].settle();
    }
    assert!(waits(last.take(KIB)).await);
    places.clear();
    assert!(!waits(last.take(KIB)).await);
}
