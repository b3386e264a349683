//! Retry passes: what they are made of, when they are refused, and what happens when they are
//! planned again. Nothing is archived here; receipts and dead letters are written as a worker
//! writes them.

use s3bundler::group::{GroupError, Grouped, RetryRequest, retry};
use s3bundler::inventory::Scratch;
use s3bundler_contract::group_manifest::{COLUMNS_METADATA, Columns, RowWriter};
use s3bundler_contract::message::ManifestRef;
use s3bundler_contract::{
    ExitCode, Figures, GroupName, HasExitCode, Reason, Receipt, Row, RowDigest, RunClaim, RunName,
    RunSummary,
};
use s3bundler_testbed::cli::Outcome;
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, Synthetic};
use s3bundler_testbed::proxy::{Fault, Operation};
use serde_json::{Value, json};

use super::scene::{ARCHIVE, INVENTORIES, Recorder, Scene, destination, request};
use crate::world;

const RETRY: &str = "Retry";

fn run() -> RunName {
    "run".parse().unwrap()
}

fn of_pass(pass: u32) -> RetryRequest {
    RetryRequest {
        run: run(),
        destination: destination("s3://archive/logs"),
        pass,
        reasons: vec![Reason::Retry],
        manifest_storage_class: "STANDARD".to_owned(),
        scratch: Scratch::new(None, None).unwrap(),
    }
}

/// A row whose fields need quotes.
fn row(bucket: &str, key: &str) -> Row {
    Row {
        bucket: bucket.to_owned(),
        key: format!("ä, \"{key}\"\n"),
        size: Some(7),
        version_id: Some("v".to_owned()),
        last_modified: Some("2026-11-22T01:00:00.000Z".to_owned()),
        etag: Some("e".to_owned()),
        storage_class: Some("STANDARD".to_owned()),
    }
}

type Letters<'a> = Vec<(Row, &'a str)>;

fn letters<'a>(rows: &[(&str, &'a str)]) -> Letters<'a> {
    rows.iter()
        .map(|(key, reason)| (row("source", key), *reason))
        .collect()
}

/// A run of so many groups of ten rows, none of which is archived.
async fn grouped(groups: u64) -> Scene {
    grouped_in(Scene::start().await, groups).await
}

async fn grouped_in(scene: Scene, groups: u64) -> Scene {
    let published = Inventory::new("source", INVENTORIES);
    let published = published
        .publish(&scene.client, Synthetic::rows(10 * groups))
        .await
        .unwrap();
    scene.group(&request(&published)).await.unwrap();
    scene
}

/// Such a run, each of whose groups left these dead letters.
async fn archived(groups: &[Letters<'_>]) -> Scene {
    archived_in(Scene::start().await, groups).await
}

async fn archived_in(scene: Scene, groups: &[Letters<'_>]) -> Scene {
    let scene = grouped_in(scene, groups.len() as u64).await;
    for (number, letters) in (0..).zip(groups) {
        scene
            .fail(&GroupName::numbered(&run(), number), letters)
            .await;
    }
    scene
}

impl Scene {
    async fn plan(&self, pass: u32) -> Result<(Grouped, Vec<ManifestRef>), GroupError> {
        let queue = Recorder::default();
        let planned = retry(&self.s3, &of_pass(pass), Some(&queue), |_| ()).await?;
        assert!(queue.batches().iter().all(|messages| *messages <= 10));
        Ok((planned, queue.sent()))
    }

    async fn refuse_pass(&self, pass: u32, exit: ExitCode) -> String {
        let error = self
            .plan(pass)
            .await
            .map(|(planned, _)| planned)
            .unwrap_err();
        assert_eq!(error.exit_code(), exit, "{error}");
        assert_eq!(
            self.summary_of(pass).await,
            None,
            "a pass that failed has no summary"
        );
        error.to_string()
    }

    /// What a worker leaves of a group: dead letters and a receipt.
    async fn fail(&self, group: &GroupName, letters: &Letters<'_>) {
        let figures = Figures {
            archived: 1,
            archived_bytes: 5,
            ..Figures::default()
        };
        let mut receipt = Receipt::new(&run(), group.clone(), figures);
        for (row, reason) in letters {
            *receipt
                .figures
                .failed
                .entry(reason.parse::<Reason>().unwrap())
                .or_default() += 1;
            receipt.figures.failed_bytes += row.size.unwrap();
        }
        if !letters.is_empty() {
            self.put_letters(group, letters).await;
        }
        client::put_object(
            &self.client,
            ARCHIVE,
            &format!("logs/receipts/run/{}", receipt.name()),
            "",
        )
        .await
        .unwrap();
    }

    async fn put_letters(&self, group: &GroupName, letters: &Letters<'_>) {
        let mut writer = RowWriter::new(Vec::new());
        for (row, reason) in letters {
            writer.write(row, &[reason, "SlowDown"]).unwrap();
        }
        self.put_dead_letters(
            group,
            writer.finish().unwrap(),
            &Columns::dead_letters().to_string(),
        )
        .await;
    }

    async fn put_dead_letters(&self, group: &GroupName, bytes: Vec<u8>, columns: &str) {
        let put = self
            .client
            .put_object()
            .bucket(ARCHIVE)
            .key(dead_letters(group))
            .body(bytes.into());
        put.metadata(COLUMNS_METADATA, columns)
            .send()
            .await
            .unwrap();
    }

    async fn delete(&self, key: &str) {
        self.client
            .delete_object()
            .bucket(ARCHIVE)
            .key(key)
            .send()
            .await
            .unwrap();
    }

    async fn summary_of(&self, pass: u32) -> Option<RunSummary> {
        let key = of_pass(pass).destination.layout.pass_summary(&run(), pass);
        let bytes = client::get_bytes(&self.client, ARCHIVE, &key).await.ok()?;
        Some(RunSummary::parse(&bytes).unwrap())
    }

    /// The rows of a group of a pass.
    async fn rows_of(&self, pass: u32, number: u64) -> Vec<Row> {
        self.manifest(ARCHIVE, &manifest(pass, number)).await.0
    }

    /// The keys of all manifests of retry passes.
    async fn retried(&self) -> Vec<String> {
        let keys = self.manifests(ARCHIVE, "logs/").await;
        keys.into_iter()
            .filter(|key| key.contains(".retry") && key.ends_with(".index"))
            .collect()
    }
}

fn manifest(pass: u32, number: u64) -> String {
    format!(
        "logs/groups/run/{}.index",
        GroupName::retry(&run(), pass, number)
    )
}

fn dead_letters(group: &GroupName) -> String {
    format!("logs/groups/run/{group}.index.dlq")
}

#[tokio::test]
async fn rows_that_are_worth_it_become_groups_of_the_next_pass() {
    let first = letters(&[("a", RETRY), ("gone", "NoSuchKey"), ("b", RETRY)]);
    let last: Vec<_> = (0..21)
        .map(|n| (row("source", &format!("{n}")), RETRY))
        .collect();
    let wanted: Vec<Row> = [&first[..], &last]
        .concat()
        .into_iter()
        .filter(|it| it.1 == RETRY)
        .map(|it| it.0)
        .collect();
    let scene = archived(&[first, letters(&[("denied", "AccessDenied")]), vec![], last]).await;
    scene.proxy.clear_log();
    let (planned, sent) = scene.plan(1).await.unwrap();

    // Ten rows a group, as the claim says.
    assert_eq!(
        scene.retried().await,
        [manifest(1, 0), manifest(1, 1), manifest(1, 2)]
    );
    let mut rows = Vec::new();
    for number in 0..3 {
        rows.extend(scene.rows_of(1, number).await);
    }
    assert_eq!(rows, wanted);
    let mut digest = RowDigest::default();
    for row in &rows {
        digest.add(&row.bucket, &row.key, row.version_id.as_deref());
    }
    let summary = RunSummary {
        groups: 3,
        objects: 23,
        rows: 23,
        bytes: 161,
        digest,
        ..RunSummary::of_pass(run(), 1)
    };
    assert_eq!(
        (scene.summary_of(1).await, &planned.summary),
        (Some(summary.clone()), &summary)
    );
    assert_eq!(
        (planned.sent, planned.already_archived, planned.resumed),
        (3, 0, false)
    );
    assert!(
        sent.iter()
            .all(|message| message.etag.as_ref().is_some_and(|etag| etag.len() == 32))
    );
    // Claim, summary before, its own summary after the PUT, and dead letters with rows to retry;
    // the inventory is not read.
    assert_eq!(scene.proxy.count(Operation::GetObject), 5);
    let (again, sent) = scene.plan(1).await.unwrap();
    assert_eq!(
        (again.summary, again.resumed, sent.len()),
        (summary, true, 3)
    );
}

#[tokio::test]
async fn groups_of_a_retry_pass_never_mix_source_buckets() {
    let rows = (0..12)
        .map(|n| (row(["one", "two"][n % 2], &format!("{n}")), RETRY))
        .collect();
    let scene = archived(&[rows]).await;
    assert_eq!(scene.plan(1).await.unwrap().0.summary.groups, 2);
    for (number, bucket) in [(0, "one"), (1, "two")] {
        let rows = scene.rows_of(1, number).await;
        assert!(
            rows.len() == 6 && rows.iter().all(|row| row.bucket == bucket),
            "{rows:?}"
        );
    }
}

#[tokio::test]
async fn a_second_pass_is_made_of_the_first_and_of_nothing_else() {
    let scene = archived(&[letters(&[("a", RETRY), ("b", RETRY), ("c", RETRY)])]).await;
    scene.plan(1).await.unwrap();
    let told = scene.refuse_pass(2, ExitCode::Download).await;
    assert!(
        told.contains(
            "1 of the 1 groups of retry pass 1 have no receipt, the first is run.retry1.000000"
        ),
        "{told}"
    );
    scene
        .fail(
            &GroupName::retry(&run(), 1, 0),
            &letters(&[("b", RETRY), ("c", "Changed")]),
        )
        .await;
    let (planned, sent) = scene.plan(2).await.unwrap();
    assert_eq!(
        (planned.summary.pass, planned.summary.groups, sent.len()),
        (2, 1, 1)
    );
    assert_eq!(scene.rows_of(2, 0).await, [row("source", "b")]);
    assert_eq!(sent[0].key, "logs/groups/run/run.retry2.000000.index");
    // The first is not sent again.
    let (again, sent) = scene.plan(1).await.unwrap();
    assert_eq!((again.already_archived, sent.len()), (1, 0));
}

#[tokio::test]
async fn nothing_to_retry_is_a_pass_without_groups() {
    let scene = archived(&[letters(&[("gone", "NoSuchKey")]), vec![]]).await;
    let (planned, sent) = scene.plan(1).await.unwrap();
    assert_eq!(
        (planned.summary.groups, planned.summary.rows, sent.len()),
        (0, 0, 0)
    );
    assert_eq!(
        scene.summary_of(1).await,
        Some(RunSummary::of_pass(run(), 1))
    );
    assert_eq!(scene.retried().await, Vec::<String>::new());
    assert_eq!(
        scene.plan(2).await.unwrap().0.summary.groups,
        0,
        "an empty pass is whole"
    );
}

#[tokio::test]
async fn a_pass_is_planned_only_when_the_one_before_is_whole() {
    let scene = grouped(3).await;
    let told = scene.refuse_pass(1, ExitCode::Download).await;
    let expected = "retry pass 1 of run run cannot be planned: 3 of the 3 groups of pass 0 have \
        no receipt, the first is run.000000";
    assert!(told.starts_with(expected), "{told}");
    for number in [0, 2] {
        scene
            .fail(
                &GroupName::numbered(&run(), number),
                &letters(&[("a", RETRY)]),
            )
            .await;
    }
    // As many receipts as groups, and more.
    for stand_in in ["run.retry1.000001", "run.01234567"] {
        scene.fail(&stand_in.parse().unwrap(), &vec![]).await;
        let told = scene.refuse_pass(1, ExitCode::Download).await;
        assert!(
            told.contains("1 of the 3 groups of pass 0 have no receipt, the first is run.000001"),
            "{told}"
        );
    }
    let told = scene.refuse_pass(2, ExitCode::Download).await;
    assert!(told.starts_with(
        "pass 1 of run run is not grouped to its end: s3://archive/logs/runs/run.retry1.done.json"
    ));
    assert_eq!(scene.retried().await, Vec::<String>::new());
    scene.fail(&GroupName::numbered(&run(), 1), &vec![]).await;
    assert_eq!(scene.plan(1).await.unwrap().0.summary.objects, 2);
}

#[tokio::test]
async fn an_unfinished_grouping_has_no_retry_pass_and_neither_has_a_run_that_nobody_claimed() {
    let scene = archived(&[letters(&[("a", RETRY)])]).await;
    scene.delete("logs/runs/run.done.json").await;
    let told = scene.refuse_pass(1, ExitCode::Download).await;
    assert!(
        told.starts_with(
            "pass 0 of run run is not grouped to its end: s3://archive/logs/runs/run.done.json"
        ),
        "{told}"
    );
    scene.delete("logs/runs/run.json").await;
    let told = scene.refuse_pass(1, ExitCode::Usage).await;
    assert!(
        told.starts_with(
            "there is no run run to retry: its claim s3://archive/logs/runs/run.json is missing"
        ),
        "{told}"
    );
}

#[tokio::test]
async fn receipts_too_many_are_told_and_not_summed() {
    let scene = archived(&[letters(&[("a", RETRY)])]).await;
    client::put_object(
        &scene.client,
        ARCHIVE,
        "logs/receipts/run/run.000000~a9~c0~f0~b1",
        "",
    )
    .await
    .unwrap();
    let told = scene.refuse_pass(1, ExitCode::Unreadable).await;
    assert!(
        told.contains("group run.000000 has several receipts"),
        "{told}"
    );
    scene
        .delete("logs/receipts/run/run.000000~a9~c0~f0~b1")
        .await;
    scene.fail(&GroupName::numbered(&run(), 1), &vec![]).await;
    let told = scene.refuse_pass(1, ExitCode::Unreadable).await;
    assert!(
        told.contains(
            "group run.000001 has a receipt, but the summary of its pass does not count it"
        ),
        "{told}"
    );
}

#[tokio::test]
async fn dead_letters_that_are_not_those_of_their_group_are_named() {
    let group = GroupName::numbered(&run(), 1);
    let good = letters(&[("a", RETRY), ("b", "NoSuchKey"), ("c", RETRY)]);
    let scene = archived(&[letters(&[("x", RETRY)]), good.clone()]).await;
    let columns = Columns::dead_letters().to_string();
    let bytes = client::get_bytes(&scene.client, ARCHIVE, &dead_letters(&group))
        .await
        .unwrap()
        .to_vec();
    let named = format!(
        "s3://archive/{}, the dead letters of group run.000001, ",
        dead_letters(&group)
    );
    let refused = async |problem: &str| {
        let told = scene.refuse_pass(1, ExitCode::Unreadable).await;
        assert!(
            told.starts_with(&format!("{named}{problem}")),
            "{problem}: {told}"
        );
        assert!(told.contains("`s3bundler verify --repair`"), "{told}");
    };

    scene.delete(&dead_letters(&group)).await;
    refused("are missing").await;
    assert_eq!(
        scene.retried().await,
        Vec::<String>::new(),
        "they are looked for before anything is written"
    );
    scene.put_letters(&group, &good[..2].to_vec()).await;
    refused(
        "have 2 rows, 1 of them to retry, where the group's receipt has 3 rows, 2 of them to retry",
    )
    .await;
    scene
        .put_letters(&group, &[&good[..], &good[..1]].concat())
        .await;
    refused("have 4 rows, 3 of them to retry,").await;
    scene
        .put_letters(
            &group,
            &letters(&[("a", RETRY), ("b", RETRY), ("c", RETRY)]),
        )
        .await;
    refused("have 3 rows, 3 of them to retry,").await;
    scene
        .put_dead_letters(&group, bytes[..bytes.len() - 20].to_vec(), &columns)
        .await;
    refused("cannot be read, line ").await;
    scene
        .put_dead_letters(&group, bytes.clone(), &Columns::full().to_string())
        .await;
    refused("do not tell reasons").await;
    scene.put_dead_letters(&group, bytes.clone(), "Key").await;
    refused("say which columns they have, but the columns \"Key\" lack Bucket").await;
    scene.put_letters(&group, &good).await;
    assert_eq!(scene.plan(1).await.unwrap().0.summary.objects, 3);
}

#[tokio::test]
async fn of_dead_letters_that_are_damaged_no_row_is_used() {
    let group = GroupName::numbered(&run(), 0);
    let good: Letters<'_> = (0..12)
        .map(|n| (row("source", &format!("{n}")), RETRY))
        .collect();
    let scene = archived(std::slice::from_ref(&good)).await;
    // Each row would be a group at once.
    let bytes = client::get_bytes(&scene.client, ARCHIVE, "logs/runs/run.json")
        .await
        .unwrap();
    let mut claim = RunClaim::parse(&bytes).unwrap();
    claim.group.max_objects = 1;
    client::put_object(
        &scene.client,
        ARCHIVE,
        "logs/runs/run.json",
        claim.to_json(),
    )
    .await
    .unwrap();

    scene.proxy.rule(|seen| match seen.operation {
        Operation::GetObject if seen.key().ends_with(".dlq") => Fault::CorruptBody(700),
        _ => Fault::Forward,
    });
    let told = scene.refuse_pass(1, ExitCode::Unreadable).await;
    assert!(told.contains(&dead_letters(&group)), "{told}");
    assert_eq!(scene.retried().await, [""; 0]);

    scene.proxy.forward_all();
    scene.put_letters(&group, &good[..11].to_vec()).await;
    scene.refuse_pass(1, ExitCode::Unreadable).await;
    assert_eq!(scene.retried().await, [""; 0]);

    scene.put_letters(&group, &good).await;
    assert_eq!(scene.plan(1).await.unwrap().0.summary.groups, 12);
}

#[tokio::test]
async fn what_the_store_refuses_has_the_code_of_its_cause() {
    let scene = archived(&[letters(&[("a", RETRY)])]).await;
    for (status, code, exit) in [
        (403, "AccessDenied", ExitCode::Permission),
        (500, "InternalError", ExitCode::Download),
    ] {
        scene.proxy.rule(move |seen| match seen.operation {
            Operation::GetObject if seen.key().ends_with(".dlq") => {
                Fault::FailBefore { status, code }
            }
            _ => Fault::Forward,
        });
        let told = scene.refuse_pass(1, exit).await;
        assert!(
            told.contains("GetObject of s3://archive/logs/groups/run/run.000000.index.dlq failed"),
            "{told}"
        );
    }
    // A connection that breaks is resumed.
    scene.proxy.rule(|seen| match seen.operation {
        Operation::GetObject if seen.key().ends_with(".dlq") && seen.nth % 2 == 1 => {
            Fault::TruncateBody(9)
        }
        _ => Fault::Forward,
    });
    assert_eq!(scene.plan(1).await.unwrap().0.summary.objects, 1);
}

#[tokio::test]
async fn many_rows_of_many_groups_keep_their_order() {
    let group = |of: usize| {
        (0..4000)
            .map(|n| (row("source", &format!("{of}-{n:0>200}")), RETRY))
            .collect()
    };
    // More groups than are opened ahead; lines of more than a batch each.
    let groups: Vec<Letters<'_>> = (0..12).map(group).collect();
    let scene = archived(&groups).await;
    let bytes = client::get_bytes(&scene.client, ARCHIVE, "logs/runs/run.json")
        .await
        .unwrap();
    let mut claim = RunClaim::parse(&bytes).unwrap();
    claim.group.max_objects = 5000;
    client::put_object(
        &scene.client,
        ARCHIVE,
        "logs/runs/run.json",
        claim.to_json(),
    )
    .await
    .unwrap();
    let planned = scene.plan(1).await.unwrap().0;
    assert_eq!(
        (planned.summary.groups, planned.summary.objects),
        (10, 48_000)
    );
    let mut rows = Vec::new();
    for number in 0..10 {
        rows.extend(scene.rows_of(1, number).await);
    }
    assert!(
        rows.iter().eq(groups.iter().flatten().map(|(row, _)| row)),
        "every row, in the order of groups and rows"
    );
}

#[tokio::test]
async fn a_pass_that_died_half_way_is_finished_and_only_what_is_missing_is_sent() {
    let rows: Letters<'_> = (0..55)
        .map(|n| (row("source", &format!("{n}")), RETRY))
        .collect();
    let scene = archived(&[rows]).await;
    scene.refuse_put(&manifest(1, 3));
    let told = scene.refuse_pass(1, ExitCode::Permission).await;
    assert!(
        told.contains("PutObject of s3://archive/logs/groups/run/run.retry1.000003.index failed"),
        "{told}"
    );
    let before = scene.retried().await;
    assert!(!before.is_empty() && !before.contains(&manifest(1, 3)));
    // A worker has been faster than the second start.
    scene.fail(&GroupName::retry(&run(), 1, 0), &vec![]).await;

    scene.proxy.forward_all();
    scene.proxy.clear_log();
    let (planned, sent) = scene.plan(1).await.unwrap();
    assert_eq!(
        (
            planned.summary.groups,
            planned.summary.objects,
            planned.resumed
        ),
        (6, 55, true)
    );
    assert_eq!((planned.already_archived, sent.len()), (1, 5));
    scene.assert_went_on(
        &before,
        &[&manifest(1, 3), "logs/runs/run.retry1.done.json"],
    );
    scene.proxy.clear_log();
    let (again, resent) = scene.plan(1).await.unwrap();
    assert_eq!((again.summary, resent), (planned.summary, sent));
    assert_eq!(scene.proxy.count(Operation::PutObject), 0);
}

#[tokio::test]
async fn a_pass_that_is_dropped_and_one_whose_answers_are_lost_are_finished() {
    let rows: Letters<'_> = (0..95)
        .map(|n| (row("source", &format!("{n}")), RETRY))
        .collect();
    let scene = archived(&[rows]).await;
    scene.drop_in_put(4, scene.plan(1)).await;
    let dropped = std::sync::Mutex::new(std::collections::HashSet::new());
    scene.proxy.rule(move |seen| {
        let first =
            seen.operation == Operation::PutObject && dropped.lock().unwrap().insert(seen.key());
        if first {
            Fault::DropAfter
        } else {
            Fault::Forward
        }
    });
    let (planned, sent) = scene.plan(1).await.unwrap();
    assert_eq!(
        (planned.summary.groups, sent.len(), planned.resumed),
        (10, 10, true)
    );
}

#[tokio::test]
async fn a_manifest_of_other_rows_under_a_name_of_the_pass_is_an_error() {
    let scene = archived(&[letters(&[("a", RETRY)])]).await;
    client::put_object(&scene.client, ARCHIVE, &manifest(1, 0), "source,x,1\n")
        .await
        .unwrap();
    let told = scene.refuse_pass(1, ExitCode::Usage).await;
    assert!(
        told.starts_with("s3://archive/logs/groups/run/run.retry1.000000.index is there already"),
        "{told}"
    );
}

async fn s3bundler(scene: &Scene, more: &str) -> Outcome {
    let program = world::s3bundler().access(scene.proxy.access());
    let program = program.args([
        "group",
        "--destination",
        "s3://archive/logs",
        "--name",
        "run",
        "--retry-pass",
    ]);
    program.args(more.split_whitespace()).run().await.unwrap()
}

#[tokio::test]
async fn the_command_plans_a_pass_and_says_so() {
    let failed = letters(&[("a", RETRY), ("b", RETRY)]);
    let scene = archived_in(Scene::on_moto().await, &[failed]).await;
    let queue = client::create_queue(&client::sqs(scene.proxy.access()), "groups")
        .await
        .unwrap();
    let done = s3bundler(&scene, &format!("1 --queue {queue} --output json")).await;
    assert_eq!(done.code, Some(0), "{done}");
    let wanted = json!({
        "run": "run", "retryPass": 1, "destination": "s3://archive/logs/", "groups": 1, "objects": 2, "bytes": 14,
        "sent": 1, "alreadyArchived": 0, "resumed": false,
    });
    assert_eq!(
        serde_json::from_str::<Value>(&done.stdout).unwrap(),
        wanted,
        "{done}"
    );
    let again = s3bundler(&scene, "1").await;
    assert_eq!(again.code, Some(0), "{again}");
    assert!(
        again
            .stdout
            .starts_with("retry pass 1 of run run is grouped: 1 groups, as before\n"),
        "{again}"
    );

    let early = s3bundler(&scene, "2").await;
    assert_eq!(early.code, Some(5), "{early}");
    assert!(
        early
            .stderr
            .contains("s3bundler: retry pass 2 of run run cannot be planned: 1 of the 1 groups"),
        "{early}"
    );
    scene.fail(&GroupName::retry(&run(), 1, 0), &vec![]).await;
    let nothing = s3bundler(&scene, "2").await;
    assert_eq!(
        (nothing.code, nothing.stdout.as_str()),
        (Some(0), "run run has nothing to retry in pass 2\n"),
        "{nothing}"
    );
}

#[tokio::test]
async fn the_command_refuses_what_makes_no_sense_together() {
    let scene = Scene::start().await;
    for (arguments, told) in [
        ("1", "there is no run run to retry"),
        ("0", "invalid value '0' for '--retry-pass <N>'"),
        ("1 --max-objects 5", "--max-objects"),
        ("1 --inventory s3://b/manifest.json", "--inventory"),
        ("1 --format tar", "--format"),
    ] {
        let done = s3bundler(&scene, arguments).await;
        assert_eq!(done.code, Some(6), "{done}");
        assert!(done.stderr.contains(told), "{arguments}: {done}");
    }
    let program = world::s3bundler().access(scene.proxy.access());
    let of_env = program.args([
        "group",
        "--destination",
        "s3://archive/logs",
        "--name",
        "run",
        "--retry-pass",
        "1",
    ]);
    let of_env = of_env
        .env("S3BUNDLER_MAX_SIZE", "1MiB")
        .run()
        .await
        .unwrap();
    assert_eq!(of_env.code, Some(6), "{of_env}");
    assert!(of_env.stderr.contains("--max-size"), "{of_env}");
}
