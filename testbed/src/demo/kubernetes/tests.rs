use s3bundler_operator::crd::ArchiveRun;
use serde_json::Value;

use super::*;

#[test]
fn the_run_is_one_that_the_operator_reads() {
    let run: ArchiveRun = serde_saphyr::from_str(&archive_run("s3://inv/a/manifest.json")).unwrap();
    assert_eq!(
        (run.metadata.name.as_deref(), run.spec.group.max_objects),
        (Some(RUN), 250)
    );
}

#[test]
fn what_can_be_looked_at_is_told_to_those_whose_cluster_ends_too() {
    let commands = commands(Path::new("/programs/s3bundler"));
    for line in [
        "kubectl --namespace s3bundler-system logs deployment/s3bundler-operator",
        "/programs/s3bundler verify --destination s3://demo-archives/logs --name demo",
    ] {
        assert!(
            commands.lines().any(|told| told.trim() == line),
            "{line} is not in\n{commands}"
        );
    }
    assert_eq!(
        another_time("make demo", "the cluster"),
        "Now the cluster ends. To look around yourself, `make demo KEEP=1` leaves it up and says \
         what to export; then:"
    );
}

#[test]
fn keys_stay_texts_whatever_is_in_them() {
    let secret: Value =
        serde_saphyr::from_str(&secret(TEAM, &Access::new("http://s3", "0123", "a: \"b\"")))
            .unwrap();
    assert_eq!(secret["stringData"]["AWS_ACCESS_KEY_ID"], "0123");
    assert_eq!(secret["stringData"]["AWS_SECRET_ACCESS_KEY"], "a: \"b\"");
}
