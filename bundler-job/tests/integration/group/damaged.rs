//! Data files that are damaged on the way, and inventories that have expired.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use s3bundler::group::{GroupError, Origin};
use s3bundler_contract::{ExitCode, HasExitCode};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, Published, Synthetic};
use s3bundler_testbed::proxy::{Fault, Operation, Seen};

use super::scene::{ARCHIVE, INVENTORIES, Scene, request};

async fn publish(scene: &Scene) -> Published {
    Inventory::new("source", INVENTORIES)
        .publish(&scene.client, Synthetic::rows(35))
        .await
        .unwrap()
}

/// The fault of the first `times` GETs of the data file.
fn fault_of_data(
    published: &Published,
    fault: Fault,
    times: usize,
) -> impl Fn(&Seen) -> Fault + use<> {
    let (key, seen_before) = (
        published.files[0].key.clone(),
        Arc::new(AtomicUsize::new(0)),
    );
    move |seen| {
        let is_data = seen.operation == Operation::GetObject && seen.key() == key;
        if is_data && seen_before.fetch_add(1, Ordering::Relaxed) < times {
            fault.clone()
        } else {
            Fault::Forward
        }
    }
}

#[tokio::test]
async fn a_data_file_that_was_damaged_on_the_way_is_downloaded_again() {
    let scene = Scene::start().await;
    let published = publish(&scene).await;
    scene
        .proxy
        .rule(fault_of_data(&published, Fault::CorruptBody(20), 2));
    let (grouped, sent) = scene.group(&request(&published)).await.unwrap();
    assert_eq!(
        (grouped.summary.objects, grouped.summary.groups, sent.len()),
        (35, 4, 4)
    );
}

#[tokio::test]
async fn of_a_data_file_that_stays_damaged_no_row_is_used() {
    let scene = Scene::start().await;
    let published = publish(&scene).await;
    let mut request = request(&published);
    // Each row would be a group at once.
    request.group.max_objects = 1;
    scene.proxy.rule(fault_of_data(
        &published,
        Fault::CorruptBody(20),
        usize::MAX,
    ));
    let error = scene.refuse(&request).await;
    assert!(
        error.to_string().contains(&published.files[0].key),
        "{error}"
    );
    assert_eq!(error.exit_code(), ExitCode::Download, "{error}");
    let groups = client::list_keys(&scene.client, ARCHIVE, "logs/groups/")
        .await
        .unwrap();
    assert!(groups.is_empty(), "{groups:?}");

    scene.proxy.forward_all();
    assert_eq!(
        scene.group(&request).await.unwrap().0.summary.groups,
        35,
        "the name is not used up"
    );
}

#[tokio::test]
async fn a_run_that_is_grouped_goes_on_without_its_inventory() {
    let scene = Scene::start().await;
    let published = publish(&scene).await;
    let mut request = request(&published);
    let (first, _) = scene.group(&request).await.unwrap();
    for key in client::list_keys(&scene.client, INVENTORIES, "")
        .await
        .unwrap()
    {
        scene
            .client
            .delete_object()
            .bucket(INVENTORIES)
            .key(&key)
            .send()
            .await
            .unwrap();
    }
    let (again, sent) = scene.group(&request).await.unwrap();
    assert_eq!(
        (again.summary, again.resumed, sent.len()),
        (first.summary, true, 4)
    );

    // The claim still counts: options, and the address of the inventory.
    request.group.max_objects = 2;
    let error = scene.refuse(&request).await;
    assert!(
        matches!(
            error,
            GroupError::NameTaken {
                difference: "other group limits",
                ..
            }
        ),
        "{error}"
    );
    request.group.max_objects = 10;
    request.origin = Origin::Inventory(
        format!("s3://{INVENTORIES}/another/manifest.json")
            .parse()
            .unwrap(),
    );
    let error = scene.refuse(&request).await;
    assert!(
        matches!(
            error,
            GroupError::NameTaken {
                difference: "another inventory",
                ..
            }
        ),
        "{error}"
    );

    // Without the summary the rows are needed.
    scene
        .client
        .delete_object()
        .bucket(ARCHIVE)
        .key("logs/runs/run.done.json")
        .send()
        .await
        .unwrap();
    request.origin = Origin::Inventory(published.manifest.parse().unwrap());
    let error = scene.refuse(&request).await;
    assert!(matches!(error, GroupError::Unfinished { .. }), "{error}");
    assert_eq!(error.exit_code(), ExitCode::Unreadable);
}

#[tokio::test]
async fn a_manifest_and_its_message_carry_rows_and_md5() {
    let scene = Scene::start().await;
    let (_, sent) = scene.group(&request(&publish(&scene).await)).await.unwrap();
    let rows: Vec<_> = sent.iter().map(|message| message.rows).collect();
    assert_eq!(rows, [Some(10), Some(10), Some(10), Some(5)]);
    for message in sent {
        let head = scene
            .client
            .head_object()
            .bucket(ARCHIVE)
            .key(&message.key)
            .send()
            .await
            .unwrap();
        let metadata = head.metadata().unwrap();
        assert_eq!(
            metadata.get("rows").map(String::as_str),
            message.rows.map(|rows| rows.to_string()).as_deref()
        );
        assert_eq!(metadata.get("md5"), message.md5.as_ref());
        assert_eq!(
            head.e_tag().unwrap().trim_matches('"'),
            message.md5.unwrap()
        );
    }
}

#[tokio::test]
async fn an_inventorys_manifest_that_was_damaged_on_the_way_is_read_again() {
    let scene = Scene::start().await;
    let published = publish(&scene).await;
    let (_, key) = published
        .manifest
        .trim_start_matches("s3://")
        .split_once('/')
        .unwrap();
    let right = client::get_bytes(&scene.client, INVENTORIES, key)
        .await
        .unwrap();
    // Valid JSON of another creation. Under SSE-KMS the ETag is not an MD5.
    let damaged = String::from_utf8(right.to_vec())
        .unwrap()
        .replace("creationTimestamp", "creationTimestomp");
    assert_ne!(damaged.as_bytes(), right);
    let headers = [
        ("etag", "\"e\""),
        ("x-amz-server-side-encryption", "aws:kms"),
    ];
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let fault = Fault::Respond {
        status: 200,
        headers,
        body: damaged.into(),
    };
    let of_manifest = |times: usize| {
        let (fault, key, before) = (fault.clone(), key.to_owned(), AtomicUsize::new(0));
        move |seen: &Seen| {
            let is_manifest = seen.operation == Operation::GetObject && seen.key() == key;
            if is_manifest && before.fetch_add(1, Ordering::Relaxed) < times {
                fault.clone()
            } else {
                Fault::Forward
            }
        }
    };
    scene.proxy.rule(of_manifest(usize::MAX));
    let error = scene.refuse(&request(&published)).await;
    assert!(error.to_string().contains("has the MD5"), "{error}");
    scene.proxy.rule(of_manifest(2));
    assert_eq!(
        scene
            .group(&request(&published))
            .await
            .unwrap()
            .0
            .summary
            .objects,
        35
    );
}
