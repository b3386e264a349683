//! Grouping again: after success, after a crash, after a lost answer, and under a name that is
//! taken.

use s3bundler::group::{GroupError, GroupMade, GroupRequest, Origin, group};
use s3bundler_contract::{ByteSize, ExitCode, HasExitCode};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, Published, Synthetic};
use s3bundler_testbed::proxy::{Fault, Operation};

use super::scene::{ARCHIVE, INVENTORIES, Recorder, Scene, request};

type Edit = Box<dyn Fn(&mut GroupRequest)>;

async fn publish(scene: &Scene, rows: u64) -> Published {
    Inventory::new("source", INVENTORIES)
        .publish(&scene.client, Synthetic::rows(rows))
        .await
        .unwrap()
}

async fn etags(scene: &Scene) -> Vec<(String, String)> {
    let mut etags = Vec::new();
    for key in scene.manifests(ARCHIVE, "logs/").await {
        let head = scene
            .client
            .head_object()
            .bucket(ARCHIVE)
            .key(&key)
            .send()
            .await
            .unwrap();
        // The time of writing shows whether it was written again.
        etags.push((
            key,
            format!("{:?} {:?}", head.e_tag(), head.last_modified()),
        ));
    }
    etags
}

#[tokio::test]
async fn a_second_start_writes_nothing_and_reads_no_row() {
    let scene = Scene::start().await;
    let request = request(&publish(&scene, 35).await);
    let (first, messages) = scene.group(&request).await.unwrap();
    let written = etags(&scene).await;

    scene.proxy.clear_log();
    let (second, sent) = scene.group(&request).await.unwrap();
    assert_eq!(second.summary, first.summary);
    assert!(second.resumed);
    // The same messages: also with what the manifests hold, which the summary does not say.
    assert_eq!(sent, messages);
    assert!(
        sent.iter().all(|it| it.rows.is_some() && it.md5 == it.etag),
        "{sent:?}"
    );
    // Nobody archived them: their messages may be lost.
    assert_eq!(
        (second.sent, second.already_archived, sent.len()),
        (4, 0, 4)
    );
    assert_eq!(scene.proxy.count(Operation::PutObject), 0);
    // Claim and summary of the run: the inventory is not opened.
    assert_eq!(scene.proxy.count(Operation::GetObject), 2);
    assert_eq!(etags(&scene).await, written);
}

#[tokio::test]
async fn only_groups_without_a_receipt_get_a_message() {
    let scene = Scene::start().await;
    let request = request(&publish(&scene, 35).await);
    scene.group(&request).await.unwrap();
    for group in ["run.000000", "run.000002"] {
        scene.archive(&request, group).await;
    }
    // Dead letters, retry groups and strangers among the receipts are not groups of the grouper.
    for key in [
        "groups/run/run.000000.index.dlq",
        "groups/run/run.retry1.000000.index",
        "receipts/run/x",
    ] {
        client::put_object(&scene.client, ARCHIVE, &format!("logs/{key}"), "")
            .await
            .unwrap();
    }
    let queue = Recorder::default();
    let mut made: Vec<GroupMade> = Vec::new();
    scene.proxy.clear_log();
    let grouped = group(&scene.s3, &request, Some(&queue), |it| {
        made.push(it.clone());
    })
    .await
    .unwrap();
    let log = scene.proxy.log();
    let heads = log
        .iter()
        .filter(|it| it.request.operation == Operation::HeadObject);
    assert_eq!(
        heads
            .filter(|it| it.request.key().contains("/groups/"))
            .count(),
        2,
        "of those that get one"
    );
    let keys: Vec<_> = queue
        .sent()
        .into_iter()
        .map(|it| (it.key, it.etag.is_some()))
        .collect();
    let wanted =
        ["run.000001", "run.000003"].map(|group| (format!("logs/groups/run/{group}.index"), true));
    assert_eq!(keys, wanted);
    assert_eq!((grouped.sent, grouped.already_archived), (2, 2));
    assert_eq!(
        made.iter()
            .map(|it| it.already_archived)
            .collect::<Vec<_>>(),
        [true, false, true, false]
    );
    assert_eq!(
        (made[0].objects, made[0].bytes, made[1].objects),
        (Some(1), Some(7), None)
    );
}

#[tokio::test]
async fn a_grouping_that_died_half_way_is_finished() {
    let scene = Scene::start().await;
    let request = request(&publish(&scene, 95).await);
    let refused = "logs/groups/run/run.000006.index";
    scene.refuse_put(refused);
    let error = scene.refuse(&request).await;
    assert_eq!(error.exit_code(), ExitCode::Permission);
    assert!(
        error
            .to_string()
            .contains(&format!("PutObject of s3://archive/{refused} failed")),
        "{error}"
    );
    let before = etags(&scene).await;
    let keys: Vec<_> = before.iter().map(|(key, _)| key.clone()).collect();
    assert!(
        !keys.is_empty() && !keys.contains(&refused.to_owned()),
        "{keys:?}"
    );
    scene.archive(&request, "run.000000").await;

    scene.proxy.forward_all();
    scene.proxy.clear_log();
    let (grouped, sent) = scene.group(&request).await.unwrap();
    assert_eq!(
        (
            grouped.summary.groups,
            grouped.summary.objects,
            grouped.resumed
        ),
        (10, 95, true)
    );
    assert_eq!((grouped.already_archived, sent.len()), (1, 9));
    let after = etags(&scene).await;
    assert!(
        before.iter().all(|it| after.contains(it)),
        "what was there is there unchanged"
    );
    scene.assert_went_on(&keys, &[refused, "logs/runs/run.done.json"]);
}

#[tokio::test]
async fn a_lost_answer_is_not_taken_for_another_run() {
    let scene = Scene::start().await;
    let request = request(&publish(&scene, 35).await);
    // The server wrote claim, manifests and summary; none of the answers arrives, and the
    // repetition gets a 412.
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
    let (grouped, sent) = scene.group(&request).await.unwrap();
    assert_eq!((grouped.summary.groups, sent.len()), (4, 4));
    assert!(
        sent.iter()
            .all(|message| message.etag.as_ref().is_some_and(|etag| etag.len() == 32))
    );
}

#[tokio::test]
async fn a_store_that_asks_to_repeat_is_obeyed() {
    let scene = Scene::start().await;
    let request = request(&publish(&scene, 15).await);
    scene.proxy.rule(|seen| match seen.operation {
        Operation::PutObject if seen.nth % 2 == 1 => Fault::FailBefore {
            status: 409,
            code: "ConditionalRequestConflict",
        },
        _ => Fault::Forward,
    });
    assert_eq!(scene.group(&request).await.unwrap().0.summary.groups, 2);
}

#[tokio::test]
async fn a_name_that_is_taken_says_how_it_differs() {
    let scene = Scene::start().await;
    let taken = request(&publish(&scene, 15).await);
    scene.group(&taken).await.unwrap();
    let other_inventory = Inventory::new("source", INVENTORIES).configuration("weekly");
    let other_inventory = other_inventory
        .publish(&scene.client, Synthetic::rows(15))
        .await
        .unwrap();
    let edits: [(&str, Edit); 4] = [
        (
            "another inventory",
            Box::new(move |it| {
                it.origin = Origin::Inventory(other_inventory.manifest.parse().unwrap());
            }),
        ),
        (
            "another selection of objects",
            Box::new(|it| it.select.all_versions = true),
        ),
        (
            "other group limits",
            Box::new(|it| it.group.max_size = ByteSize::mib(1)),
        ),
        (
            "other archive options",
            Box::new(|it| it.archive.storage_class = "DEEP_ARCHIVE".to_owned()),
        ),
    ];
    for (difference, edit) in edits {
        let mut other = taken.clone();
        edit(&mut other);
        let error = scene.refuse(&other).await;
        assert_eq!(error.exit_code(), ExitCode::Usage);
        let message = format!(
            "the name run is taken: s3://archive/logs/runs/run.json is the claim of {difference}, \
             made by \"the first\""
        );
        assert!(error.to_string().starts_with(&message), "{error}");
    }
    // Who asks makes no difference.
    let mut same = taken.clone();
    same.owner = "the second".to_owned();
    assert!(scene.group(&same).await.unwrap().0.resumed);
}

#[tokio::test]
async fn another_runs_manifest_under_our_key_is_an_error() {
    let scene = Scene::start().await;
    let request = request(&publish(&scene, 35).await);
    client::put_object(
        &scene.client,
        ARCHIVE,
        "logs/groups/run/run.000001.index",
        "source,x,1\n",
    )
    .await
    .unwrap();
    let error = scene.refuse(&request).await;
    assert!(matches!(error, GroupError::ForeignManifest(_)), "{error}");
    assert_eq!(error.exit_code(), ExitCode::Usage);
    assert!(
        error
            .to_string()
            .starts_with("s3://archive/logs/groups/run/run.000001.index is there already"),
        "{error}"
    );
    let summary = scene
        .client
        .head_object()
        .bucket(ARCHIVE)
        .key("logs/runs/run.done.json")
        .send()
        .await;
    assert!(summary.is_err(), "a run that failed has no summary");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_not_overwritten() {
    let scene = Scene::start().await;
    let request = request(&publish(&scene, 5).await);
    client::put_object(
        &scene.client,
        ARCHIVE,
        "logs/runs/run.json",
        "{\"format\": 2}",
    )
    .await
    .unwrap();
    let error = scene.refuse(&request).await;
    assert_eq!(error.exit_code(), ExitCode::Usage);
    assert!(
        error
            .to_string()
            .starts_with("s3://archive/logs/runs/run.json cannot be used"),
        "{error}"
    );
}

#[tokio::test]
async fn a_manifest_that_was_deleted_after_the_summary_is_named() {
    let scene = Scene::start().await;
    let request = request(&publish(&scene, 35).await);
    scene.group(&request).await.unwrap();
    scene
        .client
        .delete_object()
        .bucket(ARCHIVE)
        .key("logs/groups/run/run.000002.index")
        .send()
        .await
        .unwrap();
    let error = scene.refuse(&request).await;
    assert_eq!(error.exit_code(), ExitCode::Unreadable);
    assert!(error.to_string().contains(
        "counts 4 groups, but the manifest s3://archive/logs/groups/run/run.000002.index"
    ));
}

#[tokio::test]
async fn a_grouping_that_is_dropped_stops_and_can_be_resumed() {
    let scene = Scene::start().await;
    let request = request(&publish(&scene, 200).await);
    let queue = Recorder::default();
    let grouping = group(&scene.s3, &request, Some(&queue), |_| ());
    scene.drop_in_put(5, Box::pin(grouping)).await;
    scene.proxy.forward_all();
    let (grouped, sent) = scene.group(&request).await.unwrap();
    assert_eq!(
        (grouped.summary.groups, sent.len(), grouped.resumed),
        (20, 20, true)
    );
}
