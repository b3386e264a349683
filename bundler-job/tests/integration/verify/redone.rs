//! Groups that are archived again in place of damaged ones: what every count makes of them, and
//! what is refused.

use s3bundler_contract::{Reason, RunSummary};
use serde_json::{Value, json};

use super::scene::Scene;
use crate::world::{PREFIX, RUN};

/// Those of a group manifest.
const COLUMNS: &str = "Bucket,Key,Size,VersionId,LastModifiedDate,ETag,StorageClass";

fn own(number: u32) -> String {
    format!("{RUN}.{number:06}")
}

fn redone(redo: u32, number: u32) -> String {
    format!("{RUN}.redo{redo}.{number:06}")
}

impl Scene {
    async fn redo(&self, redo: u32, groups: &[&str], code: i32) -> String {
        let (redo, groups) = (redo.to_string(), groups.join(","));
        let args = [
            "--name", RUN, "--redo", &redo, "--groups", &groups, "--output", "json",
        ];
        let done = self.command("group", code, &args).await;
        if code == 0 { done.stdout } else { done.stderr }
    }

    async fn bundle_redo(&self, redo: u32) {
        let manifest = format!(
            "s3://{}/{PREFIX}/groups/{RUN}/{}.index",
            self.bucket,
            redone(redo, 0)
        );
        self.command("bundle", 0, &["--manifest", &manifest]).await;
    }

    async fn redo_summary(&self, redo: u32) -> RunSummary {
        RunSummary::parse(
            &self
                .get(&format!("{PREFIX}/runs/{RUN}.redo{redo}.done.json"))
                .await,
        )
        .unwrap()
    }

    /// What `run` says at its end.
    async fn told(&self, code: i32) -> Value {
        let done = self
            .run_with(&["--retry-passes", "0", "--output", "json"], code)
            .await;
        serde_json::from_str(&done.stdout).unwrap()
    }

    async fn one_with(&self, part: &str) -> String {
        let keys = self.keys_with(part).await;
        assert_eq!(keys.len(), 1, "{part}: {keys:?}");
        keys[0].clone()
    }

    async fn damage_archive(&self, group: &str) {
        let keys = self.keys_with(&format!("/{group}-")).await;
        let archive = keys.iter().find(|key| key.ends_with(".tar")).unwrap();
        let mut bytes = self.get(archive).await;
        bytes[600] ^= 1;
        self.put(archive, bytes).await;
    }
}

#[tokio::test]
async fn a_damaged_group_is_archived_again_and_counts_once() {
    let scene = Scene::start().await;
    scene.run().await;
    let before = scene.told(0).await;
    scene.damage_archive(&own(1)).await;
    let report = scene.verify(8, &["--full"]).await;
    assert!(
        report["findings"]
            .to_string()
            .contains("s3bundler group --redo"),
        "{report}"
    );

    let planned: Value = serde_json::from_str(&scene.redo(1, &[&own(1)], 0).await).unwrap();
    assert_eq!(
        (&planned["redo"], &planned["groups"], &planned["objects"]),
        (&1.into(), &1.into(), &5.into())
    );
    let summary = scene.redo_summary(1).await;
    assert_eq!(
        (summary.format, summary.redo, summary.pass, summary.rows),
        (2, 1, 0, 5)
    );
    let replaced = &summary.replaces[0];
    assert_eq!(
        (replaced.group.as_str(), replaced.rows, replaced.digest),
        (&*own(1), 5, summary.digest)
    );
    let receipt = scene.one_with(&format!("receipts/{RUN}/{}~", own(1))).await;
    assert!(
        receipt.ends_with(&replaced.receipt) && !replaced.receipt.is_empty(),
        "{receipt}"
    );
    // Planned, and not archived.
    assert_eq!(scene.found().await, ["noCatalog"]);

    // Another start of the run archives it.
    assert_eq!(scene.told(0).await["archived"], before["archived"]);
    let receipt = scene
        .one_with(&format!("receipts/{RUN}/{}~", redone(1, 0)))
        .await;
    assert!(
        receipt.contains(&format!("{}~redo~a3~c1~f1~", redone(1, 0))),
        "{receipt}"
    );
    let report = scene.verify(0, &["--full"]).await;
    assert_eq!(
        (&report["replaced"], &report["redone"]["rows"]),
        (&json!([own(1)]), &5.into())
    );
    assert_eq!(report["failedInTheEnd"], json!({ "NoSuchKey": 2 }));
    let after = scene.told(0).await;
    for figure in [
        "archived",
        "copied",
        "failed",
        "archivedBytes",
        "copiedBytes",
        "failedBytes",
        "rows",
    ] {
        assert_eq!(before[figure], after[figure], "{figure}");
    }
    let again: Value = serde_json::from_str(&scene.redo(1, &[&own(1)], 0).await).unwrap();
    assert_eq!(
        (&again["resumed"], &again["alreadyArchived"]),
        (&true.into(), &1.into())
    );
    assert!(
        !scene
            .keys_with("archives/")
            .await
            .iter()
            .all(|key| key.contains("redo1")),
        "old ones stay"
    );
}

#[tokio::test]
async fn a_replaced_group_needs_no_catalog_and_no_receipt() {
    let scene = Scene::start().await;
    scene.run().await;
    let before = scene.told(0).await;
    let receipt = scene.one_with(&format!("receipts/{RUN}/{}~", own(0))).await;
    scene.delete(&receipt).await;
    scene
        .put(
            &format!("{PREFIX}/catalog/run={RUN}/{}.parquet", own(0)),
            b"no catalog".to_vec(),
        )
        .await;
    assert_eq!(scene.found().await, ["unreadableCatalog"]);
    scene.redo(1, &[&own(0)], 0).await;
    assert_eq!(scene.redo_summary(1).await.replaces[0].receipt, "");
    scene.bundle_redo(1).await;
    scene.verify(0, &["--full"]).await;
    let after = scene.told(0).await;
    assert_eq!(
        (&before["archived"], &before["failed"]),
        (&after["archived"], &after["failed"])
    );
    // The group that was replaced is not archived again.
    assert_eq!(
        scene
            .keys_with(&format!("receipts/{RUN}/{}~", own(0)))
            .await,
        [""; 0]
    );
}

#[tokio::test]
async fn a_damaged_copy_is_made_again_once_it_is_deleted() {
    let scene = Scene::start().await;
    scene.run().await;
    let before = scene.told(0).await;
    let copies = scene.keys_with(&format!("{PREFIX}/objects/")).await;
    let copy = copies
        .iter()
        .find(|key| !key.ends_with(".metadata"))
        .unwrap();
    let size = scene.get(copy).await.len();
    scene.put(copy, vec![7; size]).await;
    let report = scene.verify(8, &[]).await;
    // The command of the finding, and what is to be redone.
    let message = report["findings"][0]["message"].as_str().unwrap();
    let address = format!("s3://{}/{copy}", scene.bucket);
    assert!(
        message.contains(&format!(
            "`aws s3 rm '{address}' && aws s3 rm '{address}.metadata'`"
        )),
        "{message}"
    );
    let group = report["findings"][0]["group"].as_str().unwrap();
    assert!(
        message.contains(&format!("`s3bundler group --redo N --groups {group}`")),
        "{message}"
    );
    // Both groups: whichever has the copy.
    let groups = [own(0), own(1)];
    assert!(groups.contains(&group.to_owned()), "{message}");
    for key in [copy.clone(), format!("{copy}.metadata")] {
        scene.delete(&key).await;
    }
    scene.redo(1, &[&groups[0], &groups[1]], 0).await;
    let after = scene.told(0).await;
    assert_eq!(
        (&before["copied"], &before["copiedBytes"]),
        (&after["copied"], &after["copiedBytes"])
    );
    assert_eq!(
        scene.verify(0, &["--full"]).await["failedInTheEnd"],
        json!({ "NoSuchKey": 2 })
    );
}

#[tokio::test]
async fn a_damaged_description_of_a_copy_is_written_again_by_a_redo() {
    let scene = Scene::start().await;
    scene.run().await;
    let descriptions = scene.keys_with(".metadata").await;
    let right = scene.get(&descriptions[0]).await;
    scene
        .put(&descriptions[0], right[..right.len() / 2].to_vec())
        .await;
    let report = scene.verify(8, &[]).await;
    let message = report["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("to write it again"), "{message}");
    let group = report["findings"][0]["group"].as_str().unwrap();
    scene.redo(1, &[group], 0).await;
    scene.bundle_redo(1).await;
    assert_eq!(scene.get(&descriptions[0]).await, right);
    scene.verify(0, &["--full"]).await;
}

#[tokio::test]
async fn a_group_of_an_existing_manifest_is_not_redone_and_the_error_has_the_command_instead() {
    let scene = Scene::start().await;
    scene.run().await;
    let manifest = format!("s3://{}/elsewhere/x.index", scene.bucket);
    let rows = scene
        .get(&format!("{PREFIX}/groups/{RUN}/{}.index", own(0)))
        .await;
    let put = scene
        .world
        .s3
        .put_object()
        .bucket(&scene.bucket)
        .key("elsewhere/x.index")
        .metadata("columns", COLUMNS);
    put.body(rows.into()).send().await.unwrap();
    for run in [RUN, "no-claim"] {
        scene
            .command("bundle", 0, &["--manifest", &manifest, "--name", run])
            .await;
        let catalogs = scene.keys_with(&format!("catalog/run={run}/x.")).await;
        let group = catalogs[0]
            .rsplit('/')
            .next()
            .unwrap()
            .trim_end_matches(".parquet")
            .to_owned();
        let refused = scene
            .command(
                "group",
                6,
                &["--name", run, "--redo", "1", "--groups", &group],
            )
            .await;
        let instead = format!(
            "`s3bundler bundle --manifest {manifest} --name OTHER --destination s3://{}/{PREFIX}`",
            scene.bucket
        );
        assert!(
            refused
                .stderr
                .contains(&format!("{group} is a group of an existing manifest")),
            "{refused}"
        );
        assert!(refused.stderr.contains(&instead), "{refused}");
        // It is not known of a group without a catalog.
        let refused = scene
            .command(
                "group",
                6,
                &["--name", run, "--redo", "1", "--groups", "y.01234567"],
            )
            .await;
        assert!(
            refused
                .stderr
                .contains("--manifest s3://BUCKET/MANIFEST --name OTHER"),
            "{refused}"
        );
    }
    // The command does what it says.
    scene
        .command("bundle", 0, &["--manifest", &manifest, "--name", "other"])
        .await;
    assert_eq!(scene.keys_with("receipts/other/x.").await.len(), 1);
    scene
        .command("verify", 0, &["--full", "--name", "other"])
        .await;
}

#[tokio::test]
async fn a_redo_uses_no_row_of_a_manifest_that_is_damaged() {
    let scene = Scene::start().await;
    scene.run().await;
    let key = format!("{PREFIX}/groups/{RUN}/{}.index", own(1));
    let manifest = scene.get(&key).await;
    let md5 = "00000000000000000000000000000000";
    for body in [[&manifest[..], b"x\n"].concat(), manifest] {
        let put = scene
            .world
            .s3
            .put_object()
            .bucket(&scene.bucket)
            .key(&key)
            .metadata("columns", COLUMNS);
        put.metadata("md5", md5)
            .body(body.into())
            .send()
            .await
            .unwrap();
        let refused = scene.redo(1, &[&own(1)], 3).await;
        assert!(
            refused.contains(&key) && refused.contains("has the MD5 "),
            "{refused}"
        );
        assert_eq!(scene.keys_with(&format!("{RUN}.redo1")).await, [""; 0]);
    }
}

#[tokio::test]
async fn rows_that_a_retry_pass_took_are_not_archived_twice_and_what_a_redo_leaves_is_retried() {
    let scene = Scene::start().await;
    scene.fail(&[5]);
    scene.run().await;
    assert_eq!(scene.plan("1").await["objects"], 1);
    scene.fail(&[]);
    scene.bundle("1").await;
    scene.damage_archive(&own(1)).await;
    scene.redo(1, &[&own(1)], 0).await;
    let summary = scene.redo_summary(1).await;
    assert_eq!(
        (summary.objects, summary.pass, &summary.replaces[0].taken),
        (4, 1, &[(Reason::Retry, 1)].into())
    );
    // The dead letters of a group of a redo are for the next pass, which waits for it.
    let early = scene
        .command("group", 5, &["--name", RUN, "--retry-pass", "2"])
        .await;
    assert!(early.stderr.contains(&format!(
        "1 of the 1 groups of redo 1 have no receipt, the first is {}",
        redone(1, 0)
    )));
    scene.deny(&[7]);
    scene.bundle_redo(1).await;
    scene.deny(&[]);
    assert_eq!(
        scene.told(0).await["failed"],
        json!({ "NoSuchKey": 2, "AccessDenied": 1 })
    );
    let reasons = [
        "--name",
        RUN,
        "--retry-pass",
        "2",
        "--retry-reasons",
        "AccessDenied",
    ];
    scene.command("group", 0, &reasons).await;
    scene.bundle("2").await;
    assert_eq!(scene.told(0).await["failed"], json!({ "NoSuchKey": 2 }));
    let report = scene.verify(0, &["--full"]).await;
    assert_eq!(report["failedInTheEnd"], json!({ "NoSuchKey": 2 }));

    // A group of a redo and one of a retry pass can be replaced, too.
    scene
        .redo(2, &[&redone(1, 0), &format!("{RUN}.retry1.000000")], 0)
        .await;
    assert_eq!(scene.redo_summary(2).await.objects, 4);
    scene.told(0).await;
    assert_eq!(
        scene.verify(0, &["--full"]).await["failedInTheEnd"],
        json!({ "NoSuchKey": 2 })
    );
}

#[tokio::test]
async fn what_would_count_rows_twice_is_refused() {
    let scene = Scene::start().await;
    scene.run().await;
    for (redo, group, told) in [
        (1, own(2), "is not a group of the run"),
        (2, own(0), "redo 1 is not planned yet"),
    ] {
        let stderr = scene.redo(redo, &[&group], 6).await;
        assert!(stderr.contains(told), "{stderr}");
    }
    scene.redo(1, &[&own(0)], 0).await;
    let stderr = scene.redo(2, &[&own(0)], 6).await;
    assert!(stderr.contains("is replaced by redo 1 already"), "{stderr}");
    let stderr = scene.redo(1, &[&own(1)], 6).await;
    assert!(
        stderr.contains(&format!("planned already, with the groups {}", own(0))),
        "{stderr}"
    );

    // A redo that was not planned to its end blocks the next pass, and is found.
    let summary = format!("{PREFIX}/runs/{RUN}.redo1.done.json");
    let right = scene.get(&summary).await;
    scene.delete(&summary).await;
    assert!(scene.found().await.contains(&"redoUnfinished".to_owned()));
    let early = scene
        .command("group", 5, &["--name", RUN, "--retry-pass", "1"])
        .await;
    assert!(early.stderr.contains("redo 1 of run"), "{early}");
    scene.redo(1, &[&own(0)], 0).await;
    assert_eq!(
        scene.get(&summary).await,
        right,
        "planned again, it is the same"
    );

    // A redo of other rows than those of the groups that it replaces.
    let mut record: Value = serde_json::from_slice(&right).unwrap();
    record["replaces"][0]["rows"] = 4.into();
    scene
        .put(&summary, serde_json::to_vec(&record).unwrap())
        .await;
    scene.bundle_redo(1).await;
    assert!(scene.found().await.contains(&"redoRows".to_owned()));
}
