use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::*;

/// As many slots of a namespace as there are for it now.
fn all(slots: &Slots, namespace: &str) -> Vec<Slot> {
    std::iter::from_fn(|| slots.acquire(namespace).now_or_never()).collect()
}

fn waiting<'a>(slots: &'a Slots, namespace: &'a str) -> BoxFuture<'a, Slot> {
    let mut waiting = slots.acquire(namespace).boxed();
    assert!((&mut waiting).now_or_never().is_none(), "it has to wait");
    waiting
}

#[test]
fn a_namespace_leaves_a_quarter_to_those_that_hold_less_than_half() {
    let slots = Slots::default();
    let large = all(&slots, "large");
    assert_eq!(large.len(), SLOTS - RESERVE);
    let small = all(&slots, "small");
    assert_eq!(small.len(), RESERVE);
    assert_eq!(all(&slots, "other").len(), 0);
    drop(large);
    assert_eq!(all(&slots, "other").len(), HALF);
}

#[test]
fn the_namespace_that_holds_least_is_next_and_none_takes_more_than_half_while_others_wait() {
    let slots = Slots::default();
    let mut large = all(&slots, "large");
    let small = all(&slots, "small");
    let (mut again, mut other) = (waiting(&slots, "large"), waiting(&slots, "other"));
    large.pop();
    assert!((&mut again).now_or_never().is_none());
    let first = (&mut other).now_or_never();
    assert!(first.is_some(), "it held none");
    large.truncate(HALF);
    assert!(
        (&mut again).now_or_never().is_none(),
        "it holds half, and a quarter is free"
    );
    large.pop();
    assert!((&mut again).now_or_never().is_some());
    drop(small);
}

#[test]
fn of_more_namespaces_than_slots_each_has_its_turn() {
    let slots = Slots::default();
    let names: Vec<_> = (0..3 * SLOTS).map(|n| format!("team-{n:02}")).collect();
    let first = |name: &String| slots.acquire(name).now_or_never();
    let mut held: VecDeque<_> = names[..SLOTS].iter().filter_map(first).collect();
    assert_eq!(held.len(), SLOTS);
    // Each of them wants one again as soon as it has one.
    let mut wanted: Vec<_> = names.iter().map(|it| waiting(&slots, it)).collect();
    let mut served = vec![0; names.len()];
    for _ in &names {
        held.pop_front();
        for (n, name) in names.iter().enumerate() {
            if let Some(slot) = (&mut wanted[n]).now_or_never() {
                held.push_back(slot);
                served[n] += 1;
                wanted[n] = waiting(&slots, name);
            }
        }
    }
    assert_eq!(served, vec![1; names.len()]);
}

#[test]
fn reconciles_of_a_namespace_are_served_in_their_order() {
    let slots = Slots::default();
    let mut held = all(&slots, "team");
    let (mut first, mut second) = (waiting(&slots, "team"), waiting(&slots, "team"));
    held.pop();
    let slot = (&mut first).now_or_never();
    assert!(slot.is_some());
    assert!((&mut second).now_or_never().is_none());
}

#[test]
fn a_reconcile_that_is_given_up_takes_no_slot_with_it() {
    let slots = Slots::default();
    let mut held = all(&slots, "team");
    let given_up = waiting(&slots, "team");
    let mut next = waiting(&slots, "team");
    drop(given_up);
    held.pop();
    let next = (&mut next).now_or_never();
    assert!(next.is_some());
    // One that was granted a slot and did not take it.
    let granted = waiting(&slots, "team");
    held.pop();
    drop(granted);
    drop((held, next));
    assert_eq!(all(&slots, "team").len(), SLOTS - RESERVE);
}
