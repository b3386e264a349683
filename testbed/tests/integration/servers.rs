//! Each server starts, does its work, and is gone when dropped.

use std::path::Path;

use s3bundler_testbed::client;
use s3bundler_testbed::servers::{
    Access, Certificate, ElasticMq, Moto, MotoOptions, S3Mock, VersityGw, VersityGwOptions,
};

async fn stores_objects(access: &Access) {
    let s3 = client::s3(access);
    client::create_bucket(&s3, "source").await.unwrap();
    client::put_objects(
        &s3,
        "source",
        (0..20).map(|n| (format!("a/{n:02}"), format!("body {n}"))),
    )
    .await
    .unwrap();
    assert_eq!(
        client::get_bytes(&s3, "source", "a/07").await.unwrap(),
        "body 7"
    );
    let keys = client::list_keys(&s3, "source", "a/1").await.unwrap();
    assert_eq!(keys, (10..20).map(|n| format!("a/{n}")).collect::<Vec<_>>());
    let upload = s3
        .create_multipart_upload()
        .bucket("source")
        .key("large")
        .send()
        .await
        .unwrap();
    let open = client::list_open_uploads(&s3, "source").await.unwrap();
    assert_eq!(
        open,
        [("large".to_owned(), upload.upload_id().unwrap().to_owned())]
    );
}

async fn carries_messages(access: &Access) {
    let sqs = client::sqs(access);
    let queue = client::create_queue(&sqs, "work").await.unwrap();
    sqs.send_message()
        .queue_url(&queue)
        .message_body("hello")
        .send()
        .await
        .unwrap();
    let received = sqs
        .receive_message()
        .queue_url(&queue)
        .wait_time_seconds(2)
        .send()
        .await
        .unwrap();
    assert_eq!(received.messages()[0].body(), Some("hello"));
}

fn gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn versitygw_stores_objects_and_ends_when_dropped() {
    let server = VersityGw::start().await.unwrap();
    stores_objects(server.access()).await;
    let pid = server.pid();
    assert!(!gone(pid));
    drop(server);
    assert!(gone(pid));
}

#[tokio::test]
async fn versitygw_serves_a_given_folder_and_keeps_versions() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("buckets");
    let options = VersityGwOptions {
        folder: Some(data.clone()),
        versioning: true,
        ..VersityGwOptions::default()
    };
    let server = VersityGw::start_with(options).await.unwrap();
    let s3 = client::s3(server.access());
    client::create_versioned_bucket(&s3, "source")
        .await
        .unwrap();
    client::put_object(&s3, "source", "a", "one").await.unwrap();
    client::put_object(&s3, "source", "a", "two").await.unwrap();
    let versions = s3
        .list_object_versions()
        .bucket("source")
        .send()
        .await
        .unwrap();
    assert_eq!(versions.versions().len(), 2);
    drop(server);
    assert_eq!(std::fs::read(data.join("source/a")).unwrap(), b"two");
}

#[tokio::test]
async fn moto_stores_objects_carries_messages_and_ends_when_dropped() {
    let server = Moto::start().await.unwrap();
    stores_objects(server.access()).await;
    carries_messages(server.access()).await;
    let pid = server.pid();
    drop(server);
    assert!(gone(pid));
}

#[tokio::test]
async fn moto_enforces_policies_from_when_it_is_told_to() {
    let server = Moto::start().await.unwrap();
    let root = client::s3(server.access());
    client::create_bucket(&root, "source").await.unwrap();
    client::put_object(&root, "source", "a", "body")
        .await
        .unwrap();
    let reader = server
        .user_with_policy(
            "reader",
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::source/*"}]}"#,
        )
        .await
        .unwrap();
    server.enforce_iam().await.unwrap();
    let s3 = client::s3(&reader);
    assert_eq!(client::get_bytes(&s3, "source", "a").await.unwrap(), "body");
    let denied = client::put_object(&s3, "source", "b", "body")
        .await
        .unwrap_err();
    assert!(denied.cause.contains("AccessDenied"), "{denied}");
    let stranger = client::get_bytes(&root, "source", "a").await.unwrap_err();
    assert!(stranger.cause.contains("InvalidAccessKeyId"), "{stranger}");
    server.relax_iam().await.unwrap();
    client::put_object(&s3, "source", "b", "body")
        .await
        .unwrap();
}

#[tokio::test]
async fn moto_serves_https_with_a_certificate_of_its_own_authority() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::generate(folder.path(), &["127.0.0.1", "localhost"]).unwrap();
    let server = Moto::start_with(MotoOptions {
        certificate: Some(certificate),
        ..MotoOptions::default()
    })
    .await
    .unwrap();
    assert!(server.endpoint().starts_with("https://"));
    stores_objects(server.access()).await;
    let mut distrust = server.access().clone();
    distrust.certificate_authority = None;
    let s3 = client::s3(&distrust);
    assert!(client::list_keys(&s3, "source", "").await.is_err());
}

#[tokio::test]
async fn elasticmq_carries_messages_and_ends_when_dropped() {
    let server = ElasticMq::start().await.unwrap();
    carries_messages(server.access()).await;
    let pid = server.pid();
    drop(server);
    assert!(gone(pid));
}

#[tokio::test]
async fn elasticmq_has_the_limits_of_sqs() {
    let server = ElasticMq::start().await.unwrap();
    let sqs = client::sqs(server.access());
    let queue = client::create_queue(&sqs, "work").await.unwrap();
    let receive = || sqs.receive_message().queue_url(&queue);
    assert!(receive().max_number_of_messages(10).send().await.is_ok());
    assert!(receive().max_number_of_messages(11).send().await.is_err());
    assert!(receive().wait_time_seconds(21).send().await.is_err());
    assert!(
        sqs.send_message()
            .queue_url(&queue)
            .message_body("\u{1}")
            .send()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn s3mock_stores_objects_under_keys_as_they_are_and_ends_when_dropped() {
    let server = S3Mock::start().await.unwrap();
    stores_objects(server.access()).await;
    let s3 = client::s3(server.access());
    let keys = ["k/a//b/../c", "k/line\nbreak", "k/quote\"comma,", "k/./x"];
    client::put_objects(&s3, "source", keys.map(|key| (key, key)))
        .await
        .unwrap();
    for key in keys {
        assert_eq!(client::get_bytes(&s3, "source", key).await.unwrap(), key);
    }
    let pid = server.pid();
    drop(server);
    assert!(gone(pid));
}
