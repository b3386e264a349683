//! What `run` makes of its own figures: retry passes that it plans itself, too many failures, and
//! receipts that do not add up.

use std::sync::atomic::{AtomicBool, Ordering};

use s3bundler_contract::{Reason, RunSummary};
use s3bundler_testbed::proxy::Fault;
use serde_json::{Value, json};

use super::scene::{FAILING, Scene};
use crate::world::{PREFIX, RUN, gets_source, key};

async fn summary(scene: &Scene, stage: &str) -> RunSummary {
    RunSummary::parse(
        &scene
            .get(&format!("{PREFIX}/runs/{RUN}{stage}.done.json"))
            .await,
    )
    .unwrap()
}

/// The receipt of a group of the run, under another name.
async fn forge(scene: &Scene, group: &str, figures: &str) {
    let receipt = scene
        .keys_with(&format!("receipts/{RUN}/{group}~"))
        .await
        .remove(0);
    scene.delete(&receipt).await;
    scene
        .put(
            &format!("{PREFIX}/receipts/{RUN}/{group}~{figures}"),
            Vec::new(),
        )
        .await;
}

#[tokio::test]
async fn run_makes_its_retry_passes_itself_and_no_more_than_there_is_to_retry() {
    let scene = Scene::start().await;
    // Until a retry pass has a group, two copied objects fail.
    let (keys, retrying) = ([key(0), key(5)], AtomicBool::new(false));
    scene.proxy.rule(move |seen| {
        if seen.key().contains(".retry1.") {
            retrying.store(true, Ordering::SeqCst);
        }
        let fails =
            gets_source(seen) && keys.contains(&seen.key()) && !retrying.load(Ordering::SeqCst);
        if fails { FAILING } else { Fault::Forward }
    });
    let done = scene.run_with(&["--output", "json"], 0).await;
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["failed"], json!({ "NoSuchKey": 2 }), "{done}");
    let pass = summary(&scene, ".retry1").await;
    assert_eq!(
        (pass.format, pass.objects, pass.retried_reasons()),
        (1, 2, &[Reason::Retry][..])
    );
    assert_eq!(
        scene.keys_with(".retry2").await,
        [""; 0],
        "there was nothing left"
    );
    assert_eq!(
        scene.verify(0, &["--full"]).await["failedInTheEnd"],
        json!({ "NoSuchKey": 2 })
    );
    let again = scene.run_with(&[], 0).await;
    assert!(
        again
            .stdout
            .contains("was complete: 2 groups, nothing to do"),
        "{again}"
    );
    assert_eq!(scene.keys_with(".retry2").await, [""; 0]);
}

#[tokio::test]
async fn objects_that_always_fail_get_as_many_passes_as_were_asked_for_and_a_later_start_tries_again()
 {
    let scene = Scene::start().await;
    scene.fail(&[0]);
    let done = scene.run_with(&[], 0).await;
    assert!(done.stdout.contains("(Retry 1, NoSuchKey 2)"), "{done}");
    assert_eq!(scene.keys_with(".retry2.done.json").await.len(), 1);
    assert_eq!(scene.keys_with(".retry3").await, [""; 0]);
    scene.fail(&[]);
    let done = scene.run_with(&["--retry-passes", "1"], 0).await;
    assert!(
        done.stdout.contains("failed       2 objects (NoSuchKey 2)"),
        "{done}"
    );
    assert_eq!(summary(&scene, ".retry3").await.objects, 1);
    scene.verify(0, &["--full"]).await;
}

#[tokio::test]
async fn a_permission_that_was_granted_needs_no_new_run() {
    let scene = Scene::start().await;
    scene.deny(&[1, 6, 8]);
    let done = scene.run_with(&[], 0).await;
    assert!(
        done.stdout.contains("(NoSuchKey 2, AccessDenied 3)"),
        "{done}"
    );
    assert_eq!(
        scene.keys_with(".retry").await,
        [""; 0],
        "denied objects are no matter of time"
    );
    scene.deny(&[]);
    let done = scene
        .run_with(&["--retry-reasons", "AccessDenied,Retry"], 0)
        .await;
    assert!(
        done.stdout.contains("failed       2 objects (NoSuchKey 2)"),
        "{done}"
    );
    let pass = summary(&scene, ".retry1").await;
    assert_eq!(
        (pass.format, pass.objects, &pass.reasons[..]),
        (2, 3, &[Reason::Retry, Reason::AccessDenied][..])
    );
    assert_eq!(pass.rows_by_reason, [(Reason::AccessDenied, 3)].into());
    let report = scene.verify(0, &["--full"]).await;
    assert_eq!(report["failedInTheEnd"], json!({ "NoSuchKey": 2 }));
    assert_eq!(report["retried"]["rows"], 3);
}

#[tokio::test]
async fn a_run_in_which_too_much_failed_has_an_exit_code_of_its_own() {
    let scene = Scene::start().await;
    // Two of ten are gone.
    for (limit, code) in [
        ("2", 0),
        ("1", 9),
        ("20%", 0),
        ("19.9%", 9),
        ("0", 9),
        ("100%", 0),
    ] {
        let done = scene.run_with(&["--max-failed", limit], code).await;
        let told = format!(
            "2 of the 10 objects of run {RUN} failed (NoSuchKey 2), more than --max-failed {limit}"
        );
        assert_eq!(done.stderr.contains(&told), code == 9, "{done}");
        assert!(
            done.stdout.contains("complete: 2 groups"),
            "what is archived is archived: {done}"
        );
    }
    scene.run_with(&[], 0).await;
    let done = scene.run_with(&["--max-failed", "101%"], 6).await;
    assert!(
        done.stderr.contains("neither a number of objects"),
        "{done}"
    );
}

#[tokio::test]
async fn a_run_in_which_everything_failed_is_no_success() {
    let scene = Scene::start().await;
    for n in 0..10 {
        scene
            .world
            .s3
            .delete_object()
            .bucket("source")
            .key(key(n))
            .send()
            .await
            .unwrap();
    }
    for _ in 0..2 {
        let done = scene.run_with(&[], 9).await;
        assert!(
            done.stderr.contains(&format!(
                "ALL 10 objects of run {RUN} FAILED (NoSuchKey 10)"
            )),
            "{done}"
        );
    }
    scene.run_with(&["--max-failed", "10"], 0).await;
}

#[tokio::test]
async fn receipts_that_do_not_add_up_to_the_inventory_are_no_complete_run() {
    let scene = Scene::start().await;
    scene.run().await;
    let group = format!("{RUN}.000000");
    let most = u64::MAX;
    for figures in [
        "a1~c1~f1~b1~NoSuchKey1".to_owned(),
        "a3~c2~f1~b1~NoSuchKey1".to_owned(),
        format!("a{most}~c{most}~f{most}~b{most}~bc{most}~bf{most}~Retry{most}"),
    ] {
        forge(&scene, &group, &figures).await;
        let done = scene.run_with(&[], 10).await;
        assert!(
            done.stdout.contains(&format!("run {RUN} is NOT complete")),
            "{done}"
        );
        assert!(
            done.stderr.contains(&format!(
                "run {RUN} does not add up: the inventory has 10 rows"
            )),
            "{done}"
        );
        assert!(
            scene
                .found()
                .await
                .iter()
                .any(|it| it.to_lowercase().contains("receipt"))
        );
    }
    let repaired = scene.verify(8, &["--repair"]).await;
    assert!(
        repaired["findings"].to_string().contains(&group),
        "a receipt too many is removed by hand: {repaired}"
    );
}

/// Those of resources that were created one after the other, and one that was damaged: whether the
/// run is whole does not depend on them.
#[tokio::test]
async fn acknowledgements_of_resources_are_no_part_of_what_is_verified() {
    let scene = Scene::start().await;
    scene.run_with(&[], 0).await;
    for (uid, bytes) in [("0a1b-2c3d", "{}"), ("retry1", ""), ("redo1.done", "x")] {
        let key = format!("{PREFIX}/runs/{RUN}.ack.{uid}.json");
        scene.put(&key, bytes.into()).await;
    }
    let report = scene.verify(0, &["--full"]).await;
    assert_eq!(report["findings"], json!([]), "{report}");
}
