use super::*;

#[test]
fn a_lease_is_taken_from_nobody_and_from_whoever_was_not_heard_of() {
    let start = Instant::now();
    let seen = |holder: &str| Seen {
        holder: holder.to_owned(),
        renewed: None,
        since: start,
    };
    for (holder, later, expected) in [
        ("", Duration::ZERO, Step::Take),
        ("me", Duration::ZERO, Step::Take),
        ("other", Duration::from_secs(14), Step::Wait),
        ("other", Duration::from_secs(15), Step::Take),
    ] {
        assert_eq!(
            step("me", &seen(holder), start + later),
            expected,
            "{holder:?} after {later:?}"
        );
    }
}
