use super::*;
use serde_json::json;

fn run(conditions: &Value) -> Value {
    json!({"status": {
        "conditions": conditions, "progress": "3/12", "objects": {"archived": 750, "failed": 1}, "workers": {"running": 2},
    }})
}

#[test]
fn a_run_that_nobody_has_seen_yet_stands_nowhere() {
    assert_eq!(Progress::of(&json!({"metadata": {}})), Progress::default());
}

#[test]
fn numbers_are_below_their_titles() {
    let progress = Progress::of(&run(
        &json!([{"type": "Ready", "status": "False", "reason": "Bundling"}]),
    ));
    assert_eq!(progress.end(), None);
    assert_eq!(
        progress.to_string(),
        "Bundling          3/12         750       1        2"
    );
    assert_eq!(progress.to_string().len(), Progress::TITLES.len());
}

#[test]
fn only_a_run_without_failures_is_complete() {
    let complete =
        json!([{"type": "Complete", "status": "True"}, {"type": "Ready", "reason": "Complete"}]);
    assert_eq!(Progress::of(&run(&complete)).end(), Some(&End::Complete));
    for conditions in [
        json!([{"type": "Complete", "status": "True"}, {"type": "Ready", "reason": "CompleteWithFailures"}]),
        json!([{"type": "Failed", "status": "True", "reason": "GrouperFailed", "message": "exit \
            code 2"}]),
    ] {
        assert!(
            matches!(
                Progress::of(&run(&conditions)).end(),
                Some(End::Otherwise(_))
            ),
            "{conditions}"
        );
    }
}
