//! `.metadata` of a copy that exists.

use aws_sdk_s3::types::StorageClass;

use super::*;

fn metadata_of(key: &str) -> String {
    format!("{key}.metadata")
}

#[tokio::test]
async fn the_description_of_an_existing_copy_is_written_again_if_it_does_not_describe_it() {
    let scene = Scene::new().await;
    let key = scene.copied(&scene.whole_copier().await).await;
    let beside = metadata_of(&key);
    let right = client::get_bytes(&scene.client, "archive", &beside)
        .await
        .expect("its record");
    let other = String::from_utf8(right.to_vec())
        .expect("UTF-8")
        .replace("large", "other");
    for damage in [
        None,
        Some(Bytes::new()),
        Some(right.slice(..right.len() / 2)),
        Some(Bytes::from(other)),
        Some(Bytes::from_static(b"{}")),
        Some(Bytes::from(format!(
            "{:#}",
            serde_json::json!({
                "format": 1, "bucket": "source", "key": KEY, "size": scene.body.len(),
            })
        ))),
        Some(Bytes::from(vec![b' '; 2 << 20])),
    ] {
        match &damage {
            None => scene.delete(&beside).await,
            Some(bytes) => client::put_object(&scene.client, "archive", &beside, bytes.clone())
                .await
                .expect("damage"),
        }
        scene.proxy.clear_log();
        assert_eq!(scene.copied(&scene.whole_copier().await).await, key);
        assert_eq!(
            scene.seen(Operation::CopyObject).len(),
            0,
            "the copy itself stays"
        );
        let found = client::get_bytes(&scene.client, "archive", &beside)
            .await
            .expect("its record");
        assert!(found == right, "{damage:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_description_that_names_its_source_stays() {
    let scene = Scene::new().await;
    let key = scene.copied(&scene.whole_copier().await).await;
    let beside = metadata_of(&key);
    let right = client::get_bytes(&scene.client, "archive", &beside)
        .await
        .expect("its record");
    // Tags of the day when it was copied, by a reader that could read them.
    let other = String::from_utf8(right.to_vec())
        .expect("UTF-8")
        .replace("1=2 3", "another");
    assert_ne!(other.as_bytes(), right);
    client::put_object(&scene.client, "archive", &beside, other.clone())
        .await
        .expect("a record");
    scene.proxy.clear_log();
    scene.copied(&scene.whole_copier().await).await;
    assert_eq!(
        client::get_bytes(&scene.client, "archive", &beside)
            .await
            .expect("its record"),
        other
    );
    assert_eq!(scene.seen(Operation::PutObject).len(), 1, "the refused one");
}

#[tokio::test]
async fn a_copy_whose_description_cannot_be_proven_is_retried_later() {
    let scene = Scene::new().await;
    let key = scene.copied(&scene.whole_copier().await).await;
    let beside = metadata_of(&key);
    scene.proxy.rule(move |seen| {
        if seen.operation == Operation::GetObject && seen.key() == beside {
            return answer(
                200,
                &[
                    ("etag", "\"e\""),
                    ("last-modified", "Sat, 25 Nov 2034 01:00:00 GMT"),
                ],
                "{",
            );
        }
        Fault::Forward
    });
    let copied = scene
        .copy(&scene.whole_copier().await)
        .await
        .expect("the object's trouble");
    assert!(
        matches!(
            copied,
            Copied::Failed(ObjectFailure {
                reason: Reason::Retry,
                ..
            })
        ),
        "{copied:?}"
    );
}

async fn put_in_tier(scene: &Scene, key: &str, bytes: Bytes) {
    let put = scene
        .client
        .put_object()
        .bucket("archive")
        .key(key)
        .storage_class(StorageClass::Glacier);
    put.body(bytes.into())
        .send()
        .await
        .expect("an object in an archive tier");
}

#[tokio::test]
async fn a_description_in_an_archive_tier_stays_if_it_has_a_plausible_size() {
    let scene = Scene::new().await;
    let key = scene.copied(&scene.whole_copier().await).await;
    let beside = metadata_of(&key);
    let right = client::get_bytes(&scene.client, "archive", &beside)
        .await
        .expect("its record");
    for (bytes, puts) in [
        (right.clone(), 1),
        (Bytes::new(), 2),
        (Bytes::from(vec![b' '; 2 << 20]), 2),
    ] {
        put_in_tier(&scene, &beside, bytes.clone()).await;
        scene.proxy.clear_log();
        assert_eq!(scene.copied(&scene.whole_copier().await).await, key);
        assert_eq!(
            scene.seen(Operation::CopyObject).len(),
            0,
            "the copy itself stays"
        );
        assert_eq!(
            scene.seen(Operation::PutObject).len(),
            puts,
            "{} bytes; the first one is refused",
            bytes.len()
        );
        let head = scene
            .client
            .head_object()
            .bucket("archive")
            .key(&beside)
            .send()
            .await
            .expect("its record");
        assert_eq!(
            head.storage_class() == Some(&StorageClass::Glacier),
            puts == 1
        );
    }
}

#[tokio::test]
async fn a_description_that_is_refused_or_of_a_later_release_is_not_written_over() {
    let scene = Scene::new().await;
    let key = scene.copied(&scene.whole_copier().await).await;
    let beside = metadata_of(&key);
    let right = client::get_bytes(&scene.client, "archive", &beside)
        .await
        .expect("its record");
    let later = Bytes::from_static(b"{\"format\": 2}");
    for (status, code, found) in [
        (400, "SomethingNew", &right),
        (403, "AccessDenied", &right),
        (501, "NotImplemented", &right),
        (200, "", &later),
    ] {
        client::put_object(&scene.client, "archive", &beside, found.clone())
            .await
            .expect("a record");
        let refused = beside.clone();
        scene.proxy.rule(move |seen| {
            let is_read = seen.operation == Operation::GetObject && seen.key() == refused;
            if is_read && status != 200 {
                Fault::FailBefore { status, code }
            } else {
                Fault::Forward
            }
        });
        let copied = scene.copy(&scene.whole_copier().await).await;
        let Err(error @ FetchError::Destination(_)) = copied else {
            panic!("{status} {code}: {copied:?}")
        };
        let told = error.to_string();
        assert!(
            told.contains(&beside) && told.contains("or delete"),
            "{told}"
        );
        scene.proxy.forward_all();
        assert_eq!(
            client::get_bytes(&scene.client, "archive", &beside)
                .await
                .expect("its record"),
            found
        );
    }
}
