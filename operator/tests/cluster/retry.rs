//! Objects that failed for the time being: tried again in groups of their own, as often as the run
//! wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use s3bundler_testbed::proxy::{Fault, Operation};
use serde_json::json;

use super::scene::Scene;
use super::team::{FAILING, message, told};

/// The pass in which an object can be read at last, by its number; the last one never can.
const READABLE: [(&str, i32); 3] = [
    ("logs/00003.json", 1),
    ("logs/00014.json", 2),
    ("logs/00015.json", i32::MAX),
];

pub async fn objects_that_fail_for_the_time_being_are_tried_again(scene: &Scene) {
    let team = scene.team("retried").await;
    let manifest = team.inventory(25).await;
    let pass = Arc::new(AtomicI32::new(0));
    let now = Arc::clone(&pass);
    team.rule("source", move |seen| {
        let readable = READABLE
            .iter()
            .find(|(key, _)| *key == seen.key())
            .map_or(0, |(_, pass)| *pass);
        let fails =
            seen.operation == Operation::GetObject && now.load(Ordering::Relaxed) < readable;
        if fails { FAILING } else { Fault::Forward }
    });
    // One fails in the end, two until the last pass has come to them, three at first.
    let spec = json!({"retry": {"maxObjectPasses": 2}, "failurePolicy": {"maxFailedObjects": 1}});
    team.apply(&team.archive_run("logs", &manifest, spec)).await;
    for next in [1, 2] {
        let status = team
            .until("logs", "tried again", |status| {
                status.retry_pass == Some(next)
            })
            .await;
        pass.store(next, Ordering::Relaxed);
        assert_eq!(
            told(&status, "Ready"),
            Some(("False", "Retrying")),
            "{}",
            message(&status, "Ready")
        );
        assert_eq!(told(&status, "Complete").unwrap().0, "False");
        assert_eq!(
            (status.objects.unwrap().failed, status.failures.len()),
            (0, 0),
            "they may still be had"
        );
    }
    let status = team
        .condition("logs", "Complete", "True", "CompleteWithFailures")
        .await;
    let objects = status.objects.unwrap();
    assert_eq!(
        (objects.total, objects.archived, objects.failed),
        (Some(25), 24, 1)
    );
    assert_eq!(
        (status.retry_pass, status.progress.as_deref()),
        (Some(2), Some("3/3"))
    );
    assert_eq!(
        status
            .failures
            .iter()
            .map(|it| (it.reason.as_str(), it.count))
            .collect::<Vec<_>>(),
        [("Retry", 1)]
    );
    team.assert_verified("logs").await;
}
