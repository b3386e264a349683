use serde_json::{Value, json};

use super::*;

fn run(number: usize) -> RunKey {
    ("team-a".to_owned(), format!("run-{number}"))
}

fn deployment(generation: i64, template: &str, status: &Value) -> Deployment {
    let deployment = json!({
        "metadata": {"generation": generation, "annotations": {POD_TEMPLATE_ANNOTATION: template}},
        "spec": {"replicas": 3, "selector": {}, "template": {}},
        "status": status,
    });
    serde_json::from_value(deployment).expect("a Deployment")
}

#[test]
fn the_eleventh_run_waits_until_another_has_its_new_workers() {
    let (roll_outs, now) = (RollOuts::default(), Instant::now());
    let none_is_done = |_: &RunKey, _| false;
    for number in 0..MOST {
        assert!(roll_outs.begin(&run(number), now, none_is_done), "{number}");
        roll_outs.applied(&run(number), Some(2));
    }
    assert!(!roll_outs.begin(&run(10), now, none_is_done));
    assert!(roll_outs.begin(&run(3), now, none_is_done), "its own turn");
    roll_outs.applied(&run(3), Some(3));
    let third_is_done = |key: &RunKey, generation| *key == run(3) && generation == 3;
    assert!(roll_outs.begin(&run(10), now, third_is_done));
    assert!(!roll_outs.begin(&run(11), now, none_is_done));
}

#[test]
fn a_run_that_could_not_be_applied_or_takes_too_long_holds_up_nobody() {
    let (roll_outs, now) = (RollOuts::default(), Instant::now());
    let none_is_done = |_: &RunKey, _| false;
    for number in 0..MOST {
        assert!(roll_outs.begin(&run(number), now, none_is_done));
    }
    roll_outs.applied(&run(0), None);
    assert!(roll_outs.begin(&run(10), now, none_is_done));
    let before = now + LONGEST.saturating_sub(Duration::from_secs(1));
    assert!(!roll_outs.begin(&run(11), before, none_is_done));
    assert!(roll_outs.begin(&run(11), now + LONGEST, none_is_done));
}

#[test]
fn only_another_template_of_workers_that_are_there_replaces_pods() {
    let shown = deployment(1, "a", &json!(null));
    assert!(!replaces_pods(&shown, &deployment(1, "a", &json!(null))));
    assert!(replaces_pods(&shown, &deployment(1, "b", &json!(null))));
    let mut none = shown;
    if let Some(spec) = &mut none.spec {
        spec.replicas = Some(0);
    }
    assert!(!replaces_pods(&none, &deployment(1, "b", &json!(null))));
}

#[test]
fn a_deployment_is_rolled_out_once_all_its_pods_are_of_the_generation() {
    let status = |observed, replicas, updated| json!({"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated});
    for (generation, status, is_done) in [
        (1, status(1, 3, 3), false),
        (2, status(1, 3, 3), false),
        (2, status(2, 3, 1), false),
        (2, status(2, 3, 3), true),
        (3, status(3, 2, 2), true),
        (2, json!({"observedGeneration": 2}), true),
    ] {
        let shown = deployment(generation, "b", &status);
        assert_eq!(is_rolled_out(&shown, 2), is_done, "{shown:?}");
    }
}
