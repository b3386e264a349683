use super::*;

#[test]
fn busy_is_for_as_long_as_a_group_is_held() {
    let activity = WorkerStatus::default();
    let busy = || activity.page("/busy").0;
    assert_eq!(busy(), StatusCode::SERVICE_UNAVAILABLE);
    let (first, second) = (activity.hold(), activity.hold());
    drop(first);
    assert_eq!(busy(), StatusCode::OK);
    drop(second);
    assert_eq!(busy(), StatusCode::SERVICE_UNAVAILABLE);
}
