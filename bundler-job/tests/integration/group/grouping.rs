//! What grouping writes.

use std::collections::{BTreeMap, BTreeSet};

use s3bundler::group::{GroupMade, Origin, group};
use s3bundler_contract::{
    ByteSize, ExitCode, GroupOptions, HasExitCode, LeftOut, Row, RowDigest, RunClaim, SelectOptions,
};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{
    Column, Inventory, Synthetic, inventory_of_bucket, rows_of_bucket,
};
use s3bundler_testbed::proxy::{Fault, Operation};

use super::scene::{ARCHIVE, INVENTORIES, Recorder, Scene, destination, request};

/// Keys that an inventory encodes and a group manifest quotes.
const AWKWARD_KEYS: [&str; 7] = [
    "a,b",
    "a\"b",
    "a b+c%2Fd",
    "ä/ö ü",
    "folder/",
    "-dash",
    "a;b'c=d&e?f#g",
];

fn digest(rows: &[Row]) -> RowDigest {
    let mut digest = RowDigest::default();
    for row in rows {
        digest.add(&row.bucket, &row.key, row.version_id.as_deref());
    }
    digest
}

#[tokio::test]
async fn every_object_of_a_bucket_is_in_one_group() {
    let scene = Scene::on_moto().await;
    client::create_bucket(&scene.client, "source")
        .await
        .unwrap();
    let plain = (0..27).map(|n| format!("plain/{n:02}"));
    let keys: Vec<String> = plain.chain(AWKWARD_KEYS.map(str::to_owned)).collect();
    client::put_objects(
        &scene.client,
        "source",
        keys.iter().map(|key| (key.clone(), key.clone())),
    )
    .await
    .unwrap();
    let inventory = Inventory::new("source", INVENTORIES)
        .rows_per_shard(9)
        .columns(Column::all_current());
    let request = request(
        &inventory_of_bucket(&scene.client, &inventory)
            .await
            .unwrap(),
    );

    let queue = Recorder::default();
    let mut made: Vec<GroupMade> = Vec::new();
    let grouped = group(&scene.s3, &request, Some(&queue), |group| {
        made.push(group.clone());
    })
    .await
    .unwrap();

    // The manifests are the inventory's rows, with literal keys, in order.
    let names = ["run.000000", "run.000001", "run.000002", "run.000003"];
    let manifests = scene.manifests(ARCHIVE, "logs/").await;
    assert_eq!(
        manifests,
        names.map(|name| format!("logs/groups/run/{name}.index"))
    );
    let mut rows = Vec::new();
    for key in &manifests {
        rows.extend(scene.manifest(ARCHIVE, key).await.0);
    }
    let listed = rows_of_bucket(&scene.client, "source", false)
        .await
        .unwrap();
    let of_row = |row: &Row| {
        (
            row.key.clone(),
            row.size.unwrap(),
            row.etag.clone().unwrap(),
        )
    };
    let of_object =
        |row: &s3bundler_testbed::inventory::Row| (row.key.clone(), row.size, row.etag.clone());
    assert_eq!(
        rows.iter().map(of_row).collect::<Vec<_>>(),
        listed.iter().map(of_object).collect::<Vec<_>>()
    );
    assert!(
        rows.iter()
            .all(|row| row.bucket == "source" && row.storage_class.as_deref() == Some("STANDARD"))
    );
    assert!(
        rows.iter()
            .all(|row| row.version_id.is_none() && row.last_modified.is_some())
    );

    // The summary counts them.
    let summary = &grouped.summary;
    let bytes = keys.iter().map(|key| key.len() as u64).sum::<u64>();
    assert_eq!(
        (summary.groups, summary.objects, summary.rows, summary.bytes),
        (4, 34, 34, bytes)
    );
    assert_eq!((summary.digest, summary.left_out.len()), (digest(&rows), 0));
    assert_eq!(scene.summary(&request).await, *summary);
    assert_eq!(
        (grouped.sent, grouped.already_archived, grouped.resumed),
        (4, 0, false)
    );

    // One message a group, with the ETag under which its manifest can be read.
    let messages = queue.sent();
    assert_eq!(
        messages.iter().map(|it| it.key.clone()).collect::<Vec<_>>(),
        manifests
    );
    for message in messages {
        let head = scene
            .client
            .head_object()
            .bucket(&message.bucket)
            .key(&message.key)
            .send()
            .await
            .unwrap();
        assert_eq!(
            head.e_tag().unwrap().trim_matches('"'),
            message.etag.unwrap()
        );
    }
    made.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(
        made.iter()
            .map(|it| it.name.to_string())
            .collect::<Vec<_>>(),
        names
    );
    assert_eq!(
        made.iter()
            .map(|it| it.objects.unwrap())
            .collect::<Vec<_>>(),
        [10, 10, 10, 4]
    );

    // The claim names inventory, options and owner.
    let claim = client::get_bytes(&scene.client, ARCHIVE, "logs/runs/run.json")
        .await
        .unwrap();
    let claim = RunClaim::parse(&claim).unwrap();
    assert_eq!(
        (claim.owner.as_str(), claim.group.max_objects),
        ("the first", 10)
    );
    assert_eq!(Origin::Inventory(claim.inventory.manifest), request.origin);
}

#[tokio::test]
async fn keys_that_no_terminal_likes_are_literal_in_the_manifest() {
    let scene = Scene::start().await;
    let longest = "ü".repeat(512);
    let keys = [
        "line\nfeed",
        "carriage\r\nreturn",
        "\u{1b}[31m",
        "\0",
        "//a//../b",
        ".",
        "\"\"",
        ",",
        longest.as_str(),
    ];
    let rows = keys.map(|key| s3bundler_testbed::inventory::Row::new(key, 1));
    let published = Inventory::new("source", INVENTORIES)
        .publish(&scene.client, rows)
        .await
        .unwrap();
    scene.group(&request(&published)).await.unwrap();
    let (rows, _) = scene
        .manifest(ARCHIVE, "logs/groups/run/run.000000.index")
        .await;
    assert_eq!(
        rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
        keys
    );
}

#[tokio::test]
async fn ten_messages_go_at_a_time() {
    let scene = Scene::start().await;
    let published = Inventory::new("source", INVENTORIES)
        .publish(&scene.client, Synthetic::rows(230))
        .await
        .unwrap();
    let queue = Recorder::default();
    group(&scene.s3, &request(&published), Some(&queue), |_| ())
        .await
        .unwrap();
    assert_eq!(queue.batches(), [10, 10, 3]);
    assert_eq!(scene.proxy.count(Operation::SendMessageBatch), 0);
}

#[tokio::test]
async fn without_a_queue_only_the_manifests_are_written() {
    let scene = Scene::start().await;
    let published = Inventory::new("source", INVENTORIES)
        .publish(&scene.client, Synthetic::rows(20))
        .await
        .unwrap();
    let grouped = group(&scene.s3, &request(&published), None::<&Recorder>, |_| ())
        .await
        .unwrap();
    assert_eq!((grouped.summary.groups, grouped.sent), (2, 0));
}

#[tokio::test]
async fn all_versions_are_told_apart() {
    let scene = Scene::on_moto().await;
    client::create_versioned_bucket(&scene.client, "source")
        .await
        .unwrap();
    for (key, body) in [("kept", "1"), ("kept", "22"), ("gone", "333")] {
        client::put_object(&scene.client, "source", key, body)
            .await
            .unwrap();
    }
    scene
        .client
        .delete_object()
        .bucket("source")
        .key("gone")
        .send()
        .await
        .unwrap();
    let inventory = Inventory::new("source", INVENTORIES).columns(Column::VERSIONS);
    let published = inventory_of_bucket(&scene.client, &inventory)
        .await
        .unwrap();

    let current = request(&published);
    let (grouped, _) = scene.group(&current).await.unwrap();
    let left_out = BTreeMap::from([(LeftOut::DeleteMarker, 1), (LeftOut::NotLatest, 2)]);
    assert_eq!(
        (
            grouped.summary.objects,
            grouped.summary.rows,
            &grouped.summary.left_out
        ),
        (1, 4, &left_out)
    );
    let (rows, _) = scene
        .manifest(ARCHIVE, "logs/groups/run/run.000000.index")
        .await;
    assert_eq!((rows[0].key.as_str(), rows[0].size), ("kept", Some(2)));
    assert!(rows[0].version_id.is_some());

    let mut all = request(&published);
    all.run = "all".parse().unwrap();
    all.select = SelectOptions {
        all_versions: true,
        ..SelectOptions::default()
    };
    let (grouped, _) = scene.group(&all).await.unwrap();
    assert_eq!(
        (grouped.summary.objects, grouped.summary.left_out_rows()),
        (3, 1)
    );
    let (rows, _) = scene
        .manifest(ARCHIVE, "logs/groups/all/all.000000.index")
        .await;
    let versions: BTreeSet<_> = rows
        .iter()
        .map(|row| row.version_id.clone().unwrap())
        .collect();
    assert_eq!(versions.len(), 3);
}

#[tokio::test]
async fn the_selection_is_counted_by_reason() {
    let scene = Scene::start().await;
    let row = |key: &str, size| s3bundler_testbed::inventory::Row::new(key, size);
    let rows = [
        row("logs/a", 5),
        row("logs/b", 5).storage_class("GLACIER"),
        row("logs/c", 5).storage_class("GLACIER_IR"),
        row("logs/tmp/d", 5),
        row("other/e", 5),
        row("logs/f", 1),
        row("logs/g", 9).last_modified("2026-01-01T00:00:00Z".parse().unwrap()),
    ];
    let published = Inventory::new("source", INVENTORIES)
        .publish(&scene.client, rows)
        .await
        .unwrap();
    let mut request = request(&published);
    request.select = SelectOptions {
        include: vec!["logs/".to_owned()],
        exclude: vec!["logs/tmp/".to_owned()],
        modified_before: Some("2026-01-01T00:00:00Z".to_owned()),
        min_size: Some(ByteSize(2)),
        ..SelectOptions::default()
    };
    let (grouped, _) = scene.group(&request).await.unwrap();
    let left_out = [
        (LeftOut::Glacier, 1),
        (LeftOut::Excluded, 1),
        (LeftOut::NotIncluded, 1),
        (LeftOut::TooSmall, 1),
        (LeftOut::ModifiedSince, 1),
    ];
    assert_eq!(grouped.summary.left_out, BTreeMap::from(left_out));
    assert_eq!((grouped.summary.rows, grouped.summary.objects), (7, 2));
    let (rows, _) = scene
        .manifest(ARCHIVE, "logs/groups/run/run.000000.index")
        .await;
    assert_eq!(
        rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
        ["logs/a", "logs/c"]
    );
}

#[tokio::test]
async fn an_inventory_in_which_nothing_is_taken_has_a_summary_and_no_group() {
    let scene = Scene::start().await;
    let inventory = Inventory::new("source", INVENTORIES);
    let mut request = request(
        &inventory
            .publish(&scene.client, Synthetic::rows(5))
            .await
            .unwrap(),
    );
    request.select.include = vec!["nothing/".to_owned()];
    let (grouped, sent) = scene.group(&request).await.unwrap();
    assert_eq!(
        (grouped.summary.groups, grouped.summary.rows, sent.len()),
        (0, 5, 0)
    );
    assert_eq!(
        scene.summary(&request).await.left_out,
        BTreeMap::from([(LeftOut::NotIncluded, 5)])
    );
    assert!(scene.manifests(ARCHIVE, "logs/").await.is_empty());
}

#[tokio::test]
async fn the_runs_own_output_is_left_out_where_all_share_a_bucket() {
    let scene = Scene::start().await;
    client::create_bucket(&scene.client, "source")
        .await
        .unwrap();
    client::put_objects(
        &scene.client,
        "source",
        (0..5).map(|n| (format!("data/{n}"), "x")),
    )
    .await
    .unwrap();
    // An earlier run, an earlier delivery of the inventory, and a neighbour whose name only begins
    // alike.
    let strangers = [
        "arch/runs/old.json",
        "inventory/source/daily/data/old.csv.gz",
        "arch-of-others/x",
    ];
    client::put_objects(&scene.client, "source", strangers.map(|key| (key, "y")))
        .await
        .unwrap();
    let inventory = Inventory::new("source", "source");
    let mut request = request(
        &inventory_of_bucket(&scene.client, &inventory)
            .await
            .unwrap(),
    );
    request.destination = destination("s3://source/arch");
    let (grouped, _) = scene.group(&request).await.unwrap();
    assert_eq!(
        grouped.summary.left_out,
        BTreeMap::from([(LeftOut::OwnOutput, 2)])
    );
    assert_eq!(grouped.summary.objects, 6);

    // The next inventory sees this run and this inventory's files, too.
    let mut next = request.clone();
    let later = inventory.created("2031-01-01T00:00:00Z".parse().unwrap());
    let later = inventory_of_bucket(&scene.client, &later).await.unwrap();
    next.origin = Origin::Inventory(later.manifest.parse().unwrap());
    next.run = "next".parse().unwrap();
    let (grouped, _) = scene.group(&next).await.unwrap();
    // Claim, manifest and summary; data file, manifest.json and manifest.checksum.
    assert_eq!(
        grouped.summary.left_out,
        BTreeMap::from([(LeftOut::OwnOutput, 2 + 3 + 3)])
    );
    assert_eq!(grouped.summary.objects, 6);

    let mut everything = request.clone();
    everything.destination = destination("s3://source");
    let error = scene.refuse(&everything).await;
    assert_eq!(error.exit_code(), ExitCode::Usage);
    assert!(
        error
            .to_string()
            .contains("the destination s3://source/ is the inventory's source bucket"),
        "{error}"
    );
}

#[tokio::test]
async fn the_same_inventory_gives_the_same_bytes() {
    let scene = Scene::start().await;
    // Some 4 MB of lines: several blocks of each of several shards, parsed on whichever threads
    // there are.
    let inventory = Inventory::new("source", INVENTORIES)
        .rows_per_shard(9_000)
        .columns(Column::all_current());
    let mut first = request(
        &inventory
            .publish(&scene.client, Synthetic::rows(20_000))
            .await
            .unwrap(),
    );
    first.group = GroupOptions {
        max_objects: 3_000,
        max_size: ByteSize::mib(25),
    };
    let mut second = first.clone();
    second.destination = destination("s3://archive/again");
    let (one, _) = scene.group(&first).await.unwrap();
    let (other, _) = scene.group(&second).await.unwrap();
    assert_eq!(one.summary, other.summary);

    let mut keys = Vec::new();
    for (a, b) in scene
        .manifests(ARCHIVE, "logs/")
        .await
        .iter()
        .zip(&scene.manifests(ARCHIVE, "again/").await)
    {
        let (rows, bytes) = scene.manifest(ARCHIVE, a).await;
        assert_eq!(bytes, scene.manifest(ARCHIVE, b).await.1, "{a}");
        let all_but_last: u64 = rows[..rows.len() - 1]
            .iter()
            .filter_map(|row| row.size)
            .sum();
        assert!(rows.len() <= 3_000 && all_but_last < 25 << 20, "{a}");
        keys.extend(rows.into_iter().map(|row| row.key));
    }
    assert_eq!(
        keys,
        Synthetic::rows(20_000)
            .map(|row| row.key)
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn several_buckets_in_one_inventory_have_groups_of_their_own() {
    let scene = Scene::start().await;
    let rows = Synthetic::rows(40)
        .enumerate()
        .map(|(n, row)| row.with(Column::Bucket, format!("b{}", n % 3)));
    let published = Inventory::new("source", INVENTORIES)
        .publish(&scene.client, rows)
        .await
        .unwrap();
    let (grouped, _) = scene.group(&request(&published)).await.unwrap();
    assert_eq!((grouped.summary.groups, grouped.summary.objects), (6, 40));
    for key in scene.manifests(ARCHIVE, "logs/").await {
        let (rows, _) = scene.manifest(ARCHIVE, &key).await;
        assert!(rows.iter().all(|row| row.bucket == rows[0].bucket), "{key}");
    }
}

#[tokio::test]
async fn a_download_that_breaks_is_resumed() {
    let scene = Scene::start().await;
    let inventory = Inventory::new("source", INVENTORIES);
    let published = inventory
        .publish(&scene.client, Synthetic::rows(20_000))
        .await
        .unwrap();
    let data_file = published.files[0].key.clone();
    scene.proxy.rule(move |seen| {
        let whole = seen.headers.get("range").is_none();
        if seen.key() == data_file && whole {
            Fault::TruncateBody(100_000)
        } else {
            Fault::Forward
        }
    });
    let mut request = request(&published);
    request.group.max_objects = 5_000;
    let (grouped, _) = scene.group(&request).await.unwrap();
    assert_eq!(grouped.summary.objects, 20_000);
    let ranges = scene
        .proxy
        .log()
        .iter()
        .filter(|it| it.request.headers.get("range").is_some())
        .count();
    assert_eq!(ranges, 1);
}
