//! Retry passes from end to end: real objects that a real server would not give, groups of what
//! failed, their archives, and what verify makes of it.

use serde_json::{Value, json};

use super::scene::Scene;
use crate::world::{PREFIX, RUN};

#[tokio::test]
async fn what_failed_for_a_while_is_archived_by_a_later_pass_and_proved_byte_for_byte() {
    let scene = Scene::start().await;
    // Two that are copied, and one that is packed: its nine tries take the better part of a minute.
    scene.fail(&[0, 5, 3]);
    scene.run().await;
    let report = scene.verify(0, &[]).await;
    assert_eq!(
        report["objects"]["failed"],
        json!({ "Retry": 3, "NoSuchKey": 2 })
    );
    assert_eq!(report["failedInTheEnd"], report["objects"]["failed"]);

    let planned = scene.plan("1").await;
    assert_eq!(
        (
            &planned["groups"],
            &planned["objects"],
            &planned["retryPass"]
        ),
        (&1.into(), &3.into(), &1.into())
    );
    // Planned and not archived.
    assert_eq!(scene.found().await, ["noCatalog"]);
    let early = scene
        .command("group", 5, &["--name", RUN, "--retry-pass", "2"])
        .await;
    assert!(
        early
            .stderr
            .contains(&format!("the first is {RUN}.retry1.000000")),
        "{early}"
    );

    scene.fail(&[5]);
    scene.bundle("1").await;
    let report = scene.verify(0, &["--full"]).await;
    assert_eq!(
        report["failedInTheEnd"],
        json!({ "Retry": 1, "NoSuchKey": 2 })
    );
    let retried = &report["retried"];
    assert_eq!(
        (&retried["rows"], &retried["archived"], &retried["copied"]),
        (&3.into(), &1.into(), &1.into())
    );

    assert_eq!(scene.plan("2").await["objects"], 1);
    scene.fail(&[]);
    scene.bundle("2").await;
    let text = scene.command("verify", 0, &["--name", RUN, "--full"]).await;
    let lines: Vec<&str> = text.stdout.lines().map(str::trim).collect();
    for line in [
        "retried    4 rows, 1 now archived, 2 copied",
        "in the end 2 objects failed (NoSuchKey 2)",
        "nothing found",
    ] {
        assert!(lines.contains(&line), "{line}: {text}");
    }
    let report = scene.verify(0, &["--full"]).await;
    let read = report["objects"]["archived"].as_u64().unwrap()
        + report["retried"]["archived"].as_u64().unwrap();
    assert_eq!(
        (&report["membersRead"], &report["inventory"]["rows"]),
        (&read.into(), &10.into())
    );
    assert_eq!(scene.plan("3").await["groups"], 0);
    assert_eq!(
        scene.verify(0, &[]).await["failedInTheEnd"],
        json!({ "NoSuchKey": 2 })
    );

    // Another start of the run itself counts all passes, and makes nothing of them.
    let again = scene.run().await;
    assert!(
        again
            .stdout
            .contains("was complete: 2 groups, nothing to do"),
        "{again}"
    );
    assert!(
        again
            .stdout
            .contains("failed       2 objects (NoSuchKey 2)"),
        "{again}"
    );
}

#[tokio::test]
async fn a_retry_pass_that_is_not_what_it_should_be_is_found() {
    let scene = Scene::start().await;
    scene.fail(&[0, 5]);
    scene.run().await;
    scene.fail(&[]);
    // Dead letters that are gone are written again from the catalog.
    let letters = format!("{PREFIX}/groups/{RUN}/{RUN}.000001.index.dlq");
    scene.delete(&letters).await;
    let refused = scene
        .command("group", 3, &["--name", RUN, "--retry-pass", "1"])
        .await;
    assert!(refused.stderr.contains(&format!(
        "{letters}, the dead letters of group {RUN}.000001, are missing"
    )));
    scene.verify(0, &["--repair"]).await;
    assert_eq!(scene.plan("1").await["objects"], 2);
    scene.bundle("1").await;
    scene.verify(0, &["--full"]).await;

    let summary = format!("{PREFIX}/runs/{RUN}.retry1.done.json");
    let right = scene.get(&summary).await;
    scene.delete(&summary).await;
    assert_eq!(scene.found().await, ["retryUnfinished"]);
    assert_eq!(scene.plan("1").await["resumed"], true);
    assert_eq!(
        scene.get(&summary).await,
        right,
        "planned again, it is the same"
    );

    let wrong = |field: &str, value: Value| {
        let mut record: Value = serde_json::from_slice(&right).unwrap();
        record[field] = value;
        serde_json::to_vec(&record).unwrap()
    };
    scene
        .put(&summary, wrong("digest", "0".repeat(32).into()))
        .await;
    assert_eq!(scene.found().await, ["retryRows", "rowDigest"]);
    scene.put(&summary, wrong("groups", 2.into())).await;
    assert_eq!(scene.found().await, ["noManifest", "noCatalog"]);
    scene.put(&summary, wrong("groups", 0.into())).await;
    assert_eq!(scene.found().await, ["strayManifest"]);
    scene.put(&summary, right.clone()).await;

    // Without its receipt a retry group has settled nothing.
    let receipt = scene
        .keys_with(&format!("receipts/{RUN}/{RUN}.retry1.000000~"))
        .await
        .remove(0);
    scene.delete(&receipt).await;
    let report = scene.verify(8, &[]).await;
    assert_eq!(
        report["failedInTheEnd"],
        json!({ "Retry": 2, "NoSuchKey": 2 })
    );
    assert_eq!(report["findings"][0]["finding"], "noReceipt");
    let repaired = scene.verify(0, &["--repair"]).await;
    assert_eq!(repaired["failedInTheEnd"], json!({ "NoSuchKey": 2 }));

    // As many receipts as groups, but not of the groups.
    for key in scene.keys_with(&format!("{RUN}.000001")).await {
        scene.delete(&key).await;
    }
    let receipts = scene.keys_with("receipts/").await;
    assert_eq!(receipts.len(), 2, "{receipts:?}");
    assert_eq!(scene.found().await, ["noManifest", "noCatalog"]);
}
