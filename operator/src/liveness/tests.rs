use super::*;

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn an_operator_is_alive_while_it_finishes_reconciles_or_none_is_due() {
    let (liveness, start) = (Liveness::default(), Instant::now());
    let later = |minutes: u32| start + minutes * MINUTE;
    assert!(liveness.is_alive(later(60)), "there is no run");
    liveness.wanted("a", start);
    assert!(liveness.is_alive(later(4)));
    assert!(!liveness.is_alive(later(5)), "it was never finished");
    liveness.finished("a", later(6));
    assert!(liveness.is_alive(later(60)), "nothing is due");

    liveness.wanted("a", later(70));
    liveness.wanted("b", later(70));
    liveness.finished("b", later(74));
    assert!(liveness.is_alive(later(78)), "one of the two was finished");
    assert!(!liveness.is_alive(later(79)));
    liveness.retain(&HashSet::new());
    assert!(liveness.is_alive(later(79)), "the run was deleted");
}

#[test]
fn a_reconcile_that_is_due_and_never_begins_is_missed() {
    let (liveness, start) = (Liveness::default(), Instant::now());
    liveness.wanted("a", start);
    liveness.next("a", start + 10 * MINUTE);
    liveness.finished("a", start);
    assert!(liveness.is_alive(start + 14 * MINUTE));
    assert!(!liveness.is_alive(start + 15 * MINUTE));
    // It is wanted earlier, because something changed, and in vain again and again.
    liveness.wanted("a", start + 6 * MINUTE);
    liveness.wanted("a", start + 8 * MINUTE);
    assert!(!liveness.is_alive(start + 11 * MINUTE));
}
