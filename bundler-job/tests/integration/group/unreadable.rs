//! Inventories that cannot be read: each says where and why, with the exit code that scripts and
//! Jobs rely on, and leaves the run's name free.

use s3bundler::group::Origin;
use s3bundler_contract::{ExitCode, HasExitCode};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{
    Checksum, Column, Inventory, Published, RawShard, Row, Synthetic, gzip, shard_of,
};
use s3bundler_testbed::proxy::{Fault, Operation};
use serde_json::Value;

use super::scene::{ARCHIVE, INVENTORIES, Scene, destination, request};

type Edit = fn(&mut Value);

fn shard(bytes: impl Into<Vec<u8>>) -> RawShard {
    RawShard {
        extension: "csv.gz".to_owned(),
        bytes: bytes.into().into(),
    }
}

fn good_shard() -> Vec<u8> {
    let rows: Vec<_> = Synthetic::rows(1000).collect();
    shard_of("source", &Column::CURRENT, &rows).unwrap()
}

/// An inventory of its own configuration, so that several share a server.
fn inventory(configuration: &str) -> Inventory {
    Inventory::new("source", INVENTORIES).configuration(configuration)
}

async fn of_text(scene: &Scene, configuration: &str, text: &str) -> Published {
    let shards = [shard(good_shard()), shard(gzip(text.as_bytes()).unwrap())];
    inventory(configuration)
        .publish_raw(&scene.client, shards)
        .await
        .unwrap()
}

async fn assert_refused(scene: &Scene, published: &Published, exit: ExitCode, wanted: &[&str]) {
    let mut request = request(published);
    // Groups large enough that none is closed before the error is met.
    request.group.max_objects = 10_000;
    let error = scene.refuse(&request).await;
    let message = error.to_string();
    assert_eq!(error.exit_code(), exit, "{message}");
    for part in wanted {
        assert!(message.contains(part), "{part:?} in {message}");
    }
    let summary = client::list_keys(&scene.client, ARCHIVE, "logs/runs/run.done")
        .await
        .unwrap();
    assert!(summary.is_empty(), "{message}");
    for key in client::list_keys(&scene.client, ARCHIVE, "").await.unwrap() {
        scene
            .client
            .delete_object()
            .bucket(ARCHIVE)
            .key(key)
            .send()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn manifests_that_cannot_be_used() {
    let scene = Scene::start().await;
    let rows = || Synthetic::rows(3);

    let unfinished = inventory("unfinished")
        .checksum(Checksum::Missing)
        .publish(&scene.client, rows())
        .await
        .unwrap();
    let wanted = ["is not finished", "manifest.checksum", "Wait for it"];
    assert_refused(&scene, &unfinished, ExitCode::Unreadable, &wanted).await;

    let wrong = inventory("wrong")
        .checksum(Checksum::Wrong)
        .publish(&scene.client, rows())
        .await
        .unwrap();
    let wanted = [
        wrong.manifest.as_str(),
        "has the MD5",
        "but its manifest.checksum says",
    ];
    assert_refused(&scene, &wrong, ExitCode::Unreadable, &wanted).await;

    let edits: [(&str, Edit, &str); 5] = [
        (
            "orc",
            |it| it["fileFormat"] = "ORC".into(),
            "ORC, which is not read yet",
        ),
        (
            "parquet",
            |it| it["fileFormat"] = "Parquet".into(),
            "Parquet, which is not read yet",
        ),
        (
            "no-key",
            |it| it["fileSchema"] = "Bucket, Size".into(),
            "lack Key",
        ),
        (
            "no-files",
            |it| drop(it.as_object_mut().unwrap().remove("files")),
            "missing field `files`",
        ),
        (
            "no-object",
            |it| *it = Value::Null,
            "is not the manifest of an S3 Inventory",
        ),
    ];
    for (name, edit, wanted) in edits {
        let shards = [shard(good_shard())];
        let published = inventory(name)
            .publish_edited(&scene.client, shards, edit)
            .await
            .unwrap();
        assert_refused(
            &scene,
            &published,
            ExitCode::Unreadable,
            &[&published.manifest, wanted],
        )
        .await;
    }

    let mut nothing = unfinished.clone();
    nothing.manifest = format!("s3://{INVENTORIES}/nothing/manifest.json");
    let wanted = ["there is no inventory manifest s3://inventories/nothing/manifest.json"];
    assert_refused(&scene, &nothing, ExitCode::Unreadable, &wanted).await;
    nothing.manifest = "s3://no-such-bucket/manifest.json".to_owned();
    assert_refused(
        &scene,
        &nothing,
        ExitCode::Unreadable,
        &["there is no bucket no-such-bucket"],
    )
    .await;
    nothing.manifest = format!("s3://{INVENTORIES}/inventory/");
    assert_refused(
        &scene,
        &nothing,
        ExitCode::Usage,
        &["give the address of a manifest.json"],
    )
    .await;
}

#[tokio::test]
async fn data_files_that_are_not_what_the_manifest_says() {
    let scene = Scene::start().await;
    let publish = |name: &'static str, edit: Edit| {
        let client = &scene.client;
        async move {
            inventory(name)
                .publish_edited(client, [shard(good_shard())], edit)
                .await
                .unwrap()
        }
    };

    let md5 = publish("md5", |it| {
        it["files"][0]["MD5checksum"] = "0".repeat(32).into();
    })
    .await;
    let wanted = [
        md5.files[0].key.as_str(),
        "has the MD5",
        "where the manifest says 00000000000000000000000000000000",
    ];
    assert_refused(&scene, &md5, ExitCode::Unreadable, &wanted).await;

    let size = publish("size", |it| it["files"][0]["size"] = 7.into()).await;
    let wanted = [
        size.files[0].key.as_str(),
        "bytes where the manifest says 7",
    ];
    assert_refused(&scene, &size, ExitCode::Unreadable, &wanted).await;

    let missing = publish("missing", |it| {
        it["files"][0]["key"] = "data/elsewhere.csv.gz".into();
    })
    .await;
    let wanted =
        ["the data file s3://inventories/data/elsewhere.csv.gz of the inventory is not there"];
    assert_refused(&scene, &missing, ExitCode::Unreadable, &wanted).await;

    let mut cut_off = good_shard();
    cut_off.truncate(cut_off.len() / 2);
    let mut damaged = good_shard();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0);
    let mut trailing = good_shard();
    trailing.extend_from_slice(b"and more than a header");
    for (name, bytes, wanted) in [
        (
            "truncated",
            cut_off,
            "is truncated: its gzip stream ends early",
        ),
        ("damaged", damaged, "cannot be decompressed"),
        ("trailing", trailing, "cannot be decompressed"),
        ("plain", b"\"source\",\"k\",\"1\"\n".to_vec(), "is not gzip"),
        ("empty", Vec::new(), "is truncated"),
    ] {
        let published = inventory(name)
            .publish_raw(&scene.client, [shard(bytes)])
            .await
            .unwrap();
        let file = format!("s3://{INVENTORIES}/{}", published.files[0].key);
        assert_refused(&scene, &published, ExitCode::Unreadable, &[&file, wanted]).await;
    }
}

#[tokio::test]
async fn rows_that_cannot_be_used_are_named_by_file_and_line() {
    let scene = Scene::start().await;
    let good = r#""source","k","1","2026-01-01T00:00:00.000Z","e","STANDARD""#;
    let long = format!("{good}\n\"source\",\"{}", "x".repeat(2 << 20));
    for (name, row, wanted) in [
        (
            "few",
            r#""source","k","1""#.to_owned(),
            "line 2: 3 columns where 6 are expected",
        ),
        (
            "many",
            format!("{good},\"x\""),
            "line 2: 7 columns where 6 are expected",
        ),
        (
            "escape",
            good.replace("\"k\"", "\"a%2\""),
            "line 2: the key \"a%2\" has a bad URL escape",
        ),
        (
            "size",
            good.replace("\"1\"", "\"-1\""),
            "line 2: the size \"-1\" is not a whole number of bytes",
        ),
        (
            "bucket",
            good.replace("source", ""),
            "line 2: it names no bucket",
        ),
        (
            "bucket-name",
            good.replace("source", "a/b"),
            "line 2: its bucket is not a bucket's name",
        ),
        ("endless", long, "line 3: it is longer than any row can be"),
    ] {
        let published = of_text(&scene, name, &format!("{good}\n{row}\n")).await;
        let file = format!(
            "s3://{INVENTORIES}/{} cannot be used: {wanted}",
            published.files[1].key
        );
        assert_refused(&scene, &published, ExitCode::Unreadable, &[&file]).await;
    }
    let mut bytes = format!("{good}\n").into_bytes();
    bytes.extend_from_slice(b"\"source\",\"\xff\",\"1\",\"\",\"\",\"\"\n");
    let shards = [shard(gzip(&bytes).unwrap())];
    let published = inventory("utf-8")
        .publish_raw(&scene.client, shards)
        .await
        .unwrap();
    assert_refused(
        &scene,
        &published,
        ExitCode::Unreadable,
        &["line 2: it is not UTF-8"],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_or_denies_is_not_the_inventorys_fault() {
    let scene = Scene::start().await;
    let published = inventory("fine")
        .publish(&scene.client, Synthetic::rows(2000))
        .await
        .unwrap();
    let key = published.files[0].key.clone();
    let on_data_file = |operation: Operation, fault: Fault| {
        let key = key.clone();
        move |seen: &s3bundler_testbed::proxy::Seen| {
            if seen.operation == operation && seen.key() == key {
                fault.clone()
            } else {
                Fault::Forward
            }
        }
    };
    let denied = || Fault::FailBefore {
        status: 403,
        code: "AccessDenied",
    };
    for operation in [Operation::HeadObject, Operation::GetObject] {
        scene.proxy.rule(on_data_file(operation, denied()));
        assert_refused(
            &scene,
            &published,
            ExitCode::Permission,
            &[&format!("{operation:?} of s3://inventories/{key}")],
        )
        .await;
    }
    for fault in [
        Fault::FailBefore {
            status: 500,
            code: "InternalError",
        },
        Fault::DropBefore,
    ] {
        scene.proxy.rule(on_data_file(Operation::GetObject, fault));
        assert_refused(&scene, &published, ExitCode::Download, &[&key]).await;
    }
    scene.proxy.forward_all();
    let mut elsewhere = request(&published);
    elsewhere.destination = destination("s3://no-such-bucket/x");
    let error = scene.refuse(&elsewhere).await;
    assert_eq!(error.exit_code(), ExitCode::Upload, "{error}");
}

#[tokio::test]
async fn an_inventory_that_cannot_be_read_does_not_take_the_runs_name() {
    let scene = Scene::start().await;
    let missing = inventory("missing")
        .publish_edited(&scene.client, [shard(good_shard())], |it| {
            it["files"][0]["key"] = "gone".into();
        })
        .await
        .unwrap();
    scene.refuse(&request(&missing)).await;
    let fine = inventory("fine")
        .publish(&scene.client, Synthetic::rows(3))
        .await
        .unwrap();
    assert_eq!(
        scene
            .group(&request(&fine))
            .await
            .unwrap()
            .0
            .summary
            .objects,
        3
    );
}

#[tokio::test]
async fn what_is_odd_but_right_is_read() {
    let scene = Scene::start().await;
    let row = |key: &str| Row::new(key, 1);
    let one = shard_of("source", &Column::CURRENT, &[row("a"), row("b")]).unwrap();
    let two = shard_of("source", &Column::CURRENT, &[row("c")]).unwrap();
    // Several gzip members in a file, no line feed at the end, a file without rows.
    let members = [one, two, gzip(b"source,d,1,,,STANDARD").unwrap()].concat();
    let shards = [
        shard(members),
        shard(gzip(b"").unwrap()),
        shard(gzip(b"source,e,1,,,\r\n").unwrap()),
    ];
    let published = inventory("odd")
        .publish_raw(&scene.client, shards)
        .await
        .unwrap();
    let (grouped, _) = scene.group(&request(&published)).await.unwrap();
    assert_eq!(grouped.summary.objects, 5);
    let (rows, _) = scene
        .manifest(ARCHIVE, "logs/groups/run/run.000000.index")
        .await;
    assert_eq!(
        rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
        ["a", "b", "c", "d", "e"]
    );

    // A copy in another bucket is read there, whatever destinationBucket says.
    client::create_bucket(&scene.client, "copies")
        .await
        .unwrap();
    for key in client::list_keys(&scene.client, INVENTORIES, "")
        .await
        .unwrap()
    {
        let bytes = client::get_bytes(&scene.client, INVENTORIES, &key)
            .await
            .unwrap();
        client::put_object(&scene.client, "copies", &key, bytes)
            .await
            .unwrap();
        scene
            .client
            .delete_object()
            .bucket(INVENTORIES)
            .key(&key)
            .send()
            .await
            .unwrap();
    }
    let mut copy = request(&published);
    copy.origin = Origin::Inventory(
        published
            .manifest
            .replace(INVENTORIES, "copies")
            .parse()
            .unwrap(),
    );
    copy.run = "copy".parse().unwrap();
    assert_eq!(scene.group(&copy).await.unwrap().0.summary.objects, 5);
}
