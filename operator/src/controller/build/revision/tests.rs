use super::*;

#[test]
fn a_recorded_revision_is_the_same_again_and_a_later_one_the_latest() {
    for revision in [PodRevision::Original, PodRevision::Pausable] {
        assert_eq!(PodRevision::of(revision.number()), revision);
    }
    assert_eq!(PodRevision::of(i32::MAX), PodRevision::LATEST);
}
