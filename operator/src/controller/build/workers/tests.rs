use serde_json::{Value, json};

use super::*;
use crate::controller::fixtures::{archive_run, defaults};
use crate::controller::validate::read;

#[test]
fn room_for_the_scratch_is_asked_of_the_node_where_it_lies_on_its_disk() {
    let ephemeral = json!({"type": "Ephemeral", "ephemeral": {}});
    let host_path = json!({"type": "HostPath", "hostPath": {"path": "/mnt/nvme"}});
    for (workers, expected) in [
        (
            json!({}),
            json!({"requests": {"cpu": "1", "ephemeral-storage": "20Gi"}}),
        ),
        (
            json!({"scratch": {"sizeLimit": "5Gi"}, "resources": {}}),
            json!({"requests": {"cpu": "1", "ephemeral-storage": "5Gi"}}),
        ),
        (
            json!({"resources": {"requests": {"ephemeral-storage": "1Gi"}}}),
            json!({"requests": {"cpu": "1", "ephemeral-storage": "1Gi"}}),
        ),
        // Kubernetes then asks for as much.
        (
            json!({"resources": {"limits": {"ephemeral-storage": "30Gi"}}}),
            json!({"requests": {"cpu": "1"}, "limits": {"ephemeral-storage": "30Gi"}}),
        ),
        (
            json!({"scratch": ephemeral}),
            json!({"requests": {"cpu": "1"}}),
        ),
        (
            json!({"scratch": host_path}),
            json!({"requests": {"cpu": "1"}}),
        ),
    ] {
        let run = read(&archive_run(json!({"workers": workers})), &defaults()).expect("a run");
        let pod = super::workers(&run, &defaults(), "q")
            .spec
            .and_then(|spec| spec.template.spec)
            .expect("a pod");
        let found: Value = serde_json::to_value(&pod.containers[0].resources).expect("JSON");
        assert_eq!(found, expected, "{workers}");
    }
}

#[test]
fn a_worker_is_asked_for_no_more_groups_at_a_time_than_it_takes() {
    for (wanted, expected) in [
        (1, "--groups=1"),
        (64, "--groups=64"),
        (65, "--groups=64"),
        (i32::MAX, "--groups=64"),
    ] {
        let scaling = json!({"workers": {"scaling": {"targetGroupsPerWorker": wanted}}});
        let run = read(&archive_run(scaling), &defaults()).expect("a run");
        assert!(
            worker_args(&run, "q").iter().any(|arg| arg == expected),
            "{wanted}: {:?}",
            worker_args(&run, "q")
        );
    }
}

fn fs_group(scratch: &Value, defaults: &Defaults) -> Option<i64> {
    let run = read(
        &archive_run(json!({"workers": {"scratch": scratch}})),
        defaults,
    )
    .expect("a run");
    let template = workers(&run, defaults, "q")
        .spec
        .expect("a Deployment")
        .template;
    template
        .spec
        .and_then(|pod| pod.security_context)
        .expect("a pod")
        .fs_group
}

#[test]
fn only_volumes_that_are_made_for_a_worker_change_hands() {
    let ephemeral = json!({"type": "Ephemeral", "ephemeral": {}});
    assert_eq!(fs_group(&ephemeral, &defaults()), Some(65532));
    assert_eq!(
        fs_group(
            &ephemeral,
            &Defaults {
                worker_fs_group: None,
                ..defaults()
            }
        ),
        None
    );
    assert_eq!(fs_group(&json!({}), &defaults()), None);
    assert_eq!(
        fs_group(
            &json!({"type": "HostPath", "hostPath": {"path": "/nvme"}}),
            &defaults()
        ),
        None
    );
}
