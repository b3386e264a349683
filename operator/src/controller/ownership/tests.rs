use serde_json::{Value, json};

use super::*;
use crate::controller::build;
use crate::controller::fixtures::{archive_run, defaults};
use crate::controller::validate::read;

#[test]
fn an_object_is_the_runs_by_the_uid_of_its_controller_and_never_by_its_name() {
    let run = read(&archive_run(json!({})), &defaults()).expect("a run");
    let controller = json!({"apiVersion": "archive.s3bundler.dev/v1alpha1", "kind": "ArchiveRun", "name": "logs",
            "uid": run.uid, "controller": true});
    let with = |key: &str, value: Value| {
        let mut owner = controller.clone();
        owner[key] = value;
        json!([owner])
    };
    for (owners, expected) in [
        (json!([controller]), Owner::Run),
        (json!([]), Owner::Other),
        (with("uid", json!("of the run before")), Owner::Former),
        (
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "logs", "uid": "x", "controller": true}]),
            Owner::Other,
        ),
        // Of another run: a-b-worker is of run a-b only.
        (
            json!([{"apiVersion": "archive.s3bundler.dev/v1alpha1", "kind": "ArchiveRun", "name": "b", "uid": "x", "controller": true}]),
            Owner::Other,
        ),
        // Garbage collection goes by such owners too, control does not.
        (with("controller", json!(false)), Owner::Other),
    ] {
        let object =
            serde_json::from_value(json!({"name": "logs-worker", "ownerReferences": owners}))
                .expect("JSON");
        assert_eq!(owner(&run, &object), expected, "{owners}");
    }
    let made = build::workers(&run, &defaults(), "q");
    assert_eq!(owner(&run, &made.metadata), Owner::Run);
}
