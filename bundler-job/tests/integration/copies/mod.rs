//! Copies in parts, on a real server behind a proxy, with a limit that small objects pass.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use s3bundler::bundle::copy::{Copied, Copier};
use s3bundler::bundle::source::{Facts, FetchError, ObjectFailure};
use s3bundler::bundle::tags;
use s3bundler::destination::Destination;
use s3bundler::s3::{ErrorKind, PathStyle, RequestOptions, S3, S3Options, Tags};
use s3bundler_contract::{ArchiveOptions, ByteSize, KeyLayout, Layout, Reason, Row};
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy, Seen};
use s3bundler_testbed::servers::{Access, Moto, MotoOptions};

const MIB: usize = 1 << 20;
const PARTS: usize = 6;
/// 2030-01-01.
const EXPIRES: i64 = 1_893_456_000;
const KEY: &str = "logs/ä large+.bin";

/// Over the limit of 5 MiB, which makes parts of 1 MiB. Every part is another.
static BODY: LazyLock<Bytes> = LazyLock::new(|| {
    let bytes: Vec<u8> = (0..MIB + PARTS)
        .map(|at| u8::try_from(at / 7 % 256).expect("a byte"))
        .collect();
    let mebibytes: Vec<_> = (0..PARTS).map(|n| &bytes[n..n + MIB]).collect();
    mebibytes.concat().into()
});

struct Scene {
    _server: Moto,
    proxy: Proxy,
    client: aws_sdk_s3::Client,
    body: Bytes,
}

impl Scene {
    async fn new() -> Self {
        let options = MotoOptions {
            smallest_part: Some(1 << 20),
            ..MotoOptions::default()
        };
        let server = Moto::start_with(options).await.expect("moto");
        let client = client::s3(server.access());
        for bucket in ["source", "archive"] {
            client::create_bucket(&client, bucket)
                .await
                .expect("a bucket");
        }
        let body = BODY.clone();
        let put = client
            .put_object()
            .bucket("source")
            .key(KEY)
            .body(body.clone().into());
        let put = put
            .content_type("x/y")
            .content_language("fi")
            .metadata("a", "b c")
            .tagging("t=1%3D2+3");
        put.expires(DateTime::from_secs(EXPIRES))
            .send()
            .await
            .expect("an object");
        let proxy = Proxy::start(server.access()).expect("a proxy");
        Self {
            _server: server,
            proxy,
            client,
            body,
        }
    }

    /// Copies in parts.
    async fn copier(&self) -> Copier {
        in_parts(self.whole_copier().await)
    }

    /// Copies with one request each.
    async fn whole_copier(&self) -> Copier {
        self.copier_with(RequestOptions::default()).await
    }

    async fn copier_with(&self, requests: RequestOptions) -> Copier {
        let destination = Destination {
            bucket: "archive".to_owned(),
            layout: Layout::new("p", KeyLayout::Hashed).expect("a prefix"),
        };
        let options = ArchiveOptions {
            max_object_size: ByteSize::mib(1),
            ..ArchiveOptions::default()
        };
        let s3 = s3_of(self.proxy.access(), requests).await;
        let tags = tags::Tags::new(s3.clone(), Arc::default());
        Copier::new(s3, destination, options, tags)
    }

    async fn copy(&self, copier: &Copier) -> Result<Copied, FetchError> {
        let mut row = Row {
            bucket: "source".to_owned(),
            key: KEY.to_owned(),
            ..Row::default()
        };
        copier.copy(&mut row, &mut Facts::default()).await
    }

    /// The key of a copy that has to succeed.
    async fn copied(&self, copier: &Copier) -> String {
        match self.copy(copier).await.expect("a destination") {
            Copied::To(key) => key,
            other => panic!("{other:?}"),
        }
    }

    /// Both ways of copying, in parts and whole.
    async fn both_ways(&self) -> [Copier; 2] {
        [self.copier().await, self.whole_copier().await]
    }

    /// Everything that was asked for of an operation.
    fn seen(&self, operation: Operation) -> Vec<Seen> {
        let log = self.proxy.log();
        let requests = log.iter().map(|record| Seen::clone(&record.request));
        requests
            .filter(|seen| seen.operation == operation)
            .collect()
    }

    async fn delete(&self, key: &str) {
        self.client
            .delete_object()
            .bucket("archive")
            .key(key)
            .send()
            .await
            .expect("no copy");
    }

    /// Where the copy of what is in the source now is.
    async fn key_of_copy(&self) -> String {
        let head = self
            .client
            .head_object()
            .bucket("source")
            .key(KEY)
            .send()
            .await
            .expect("the source");
        let etag = head.e_tag().expect("an ETag").trim_matches('"').to_owned();
        Layout::new("p", KeyLayout::Hashed)
            .expect("a prefix")
            .copied_object("source", KEY, None, &etag)
    }

    async fn open_uploads(&self) -> usize {
        client::list_open_uploads(&self.client, "archive")
            .await
            .expect("a list")
            .len()
    }

    /// The copy has everything of its source, and no upload is open.
    async fn assert_copied(&self, key: &str) {
        let copy = self
            .client
            .get_object()
            .bucket("archive")
            .key(key)
            .send()
            .await
            .expect("the copy");
        assert_eq!(
            (copy.content_type(), copy.content_language()),
            (Some("x/y"), Some("fi"))
        );
        assert_eq!(copy.expires_string(), Some("Tue, 01 Jan 2030 00:00:00 GMT"));
        assert_eq!(
            copy.metadata(),
            Some(&HashMap::from([("a".to_owned(), "b c".to_owned())]))
        );
        assert_eq!(copy.tag_count(), Some(1));
        let tags = self
            .client
            .get_object_tagging()
            .bucket("archive")
            .key(key)
            .send()
            .await
            .expect("its tags");
        assert_eq!(
            (tags.tag_set()[0].key(), tags.tag_set()[0].value()),
            ("t", "1=2 3")
        );
        assert!(
            copy.body.collect().await.expect("its body").into_bytes() == self.body,
            "the bytes differ"
        );
        assert_eq!(self.open_uploads().await, 0);
    }
}

/// One that copies objects of more than 5 MiB in parts: of 1 MiB.
fn in_parts(copier: Copier) -> Copier {
    copier.with_max_copy(5 << 20)
}

async fn s3_of(access: &Access, requests: RequestOptions) -> S3 {
    let keys = Credentials::new(&access.access_key, &access.secret_key, None, None, "test");
    let config = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(&access.endpoint)
        .region(Region::new(access.region.clone()))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .load()
        .await;
    S3::new(
        config,
        &S3Options {
            path_style: PathStyle::Always,
            region: None,
            requests,
            first_byte_timeout: None,
            outage_budget: std::time::Duration::ZERO,
            requests_per_second: None,
        },
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_over_the_limit_is_copied_in_parts_with_all_that_belongs_to_it() {
    let scene = Scene::new().await;
    let copier = scene.copier().await;
    let key = scene.copied(&copier).await;
    assert!(scene.proxy.count(Operation::UploadPartCopy) > 2);
    scene.assert_copied(&key).await;
    // Again, after another worker was killed over the same object and one over another: nothing is
    // copied twice, and only the first one's upload is swept.
    for key in [key.clone(), format!("{key}.other")] {
        scene
            .client
            .create_multipart_upload()
            .bucket("archive")
            .key(key)
            .send()
            .await
            .expect("an upload");
    }
    scene.proxy.clear_log();
    assert_eq!(scene.copied(&scene.copier().await).await, key);
    assert_eq!(scene.proxy.count(Operation::UploadPartCopy), 0);
    assert_eq!(scene.open_uploads().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_gets_the_runs_tags_beside_the_sources_in_parts_and_whole() {
    let scene = Scene::new().await;
    let given: Vec<s3bundler::s3::Tag> = (0..9)
        .map(|n| format!("g{n}=new").parse().expect("a tag"))
        .collect();
    let requests = RequestOptions {
        tags: Tags::new(given).expect("tags"),
        ..RequestOptions::default()
    };
    // Of two tags of the source one fits.
    let tagging = aws_sdk_s3::types::Tagging::builder().set_tag_set(Some(
        [("g0", "old"), ("s1", "a b"), ("s2", "c")]
            .map(|(key, value)| {
                aws_sdk_s3::types::Tag::builder()
                    .key(key)
                    .value(value)
                    .build()
                    .expect("a tag")
            })
            .to_vec(),
    ));
    let put = scene.client.put_object_tagging().bucket("source").key(KEY);
    put.tagging(tagging.build().expect("tags"))
        .send()
        .await
        .expect("tags of the source");
    let parts = in_parts(scene.copier_with(requests.clone()).await);
    let whole = scene.copier_with(requests).await;
    for (copier, operation) in [
        (parts, Operation::CreateMultipartUpload),
        (whole, Operation::CopyObject),
    ] {
        let key = scene.copied(&copier).await;
        assert_eq!(scene.proxy.count(operation), 1);
        let tags = scene
            .client
            .get_object_tagging()
            .bucket("archive")
            .key(&key)
            .send()
            .await
            .expect("its tags");
        let tags: HashMap<_, _> = tags
            .tag_set()
            .iter()
            .map(|tag| (tag.key(), tag.value()))
            .collect();
        assert_eq!(
            (tags.len(), tags["g0"], tags["s1"]),
            (10, "new", "a b"),
            "{operation:?}"
        );
        let copy = scene
            .client
            .get_object()
            .bucket("archive")
            .key(&key)
            .send()
            .await
            .expect("the copy");
        assert_eq!(
            (copy.content_type(), copy.content_language()),
            (Some("x/y"), Some("fi"))
        );
        scene
            .client
            .delete_object()
            .bucket("archive")
            .key(&key)
            .send()
            .await
            .expect("no copy");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_last_answer_is_lost_is_there() {
    let scene = Scene::new().await;
    scene
        .proxy
        .fault_nth(Operation::CompleteMultipartUpload, 1, Fault::DropAfter);
    let key = scene.copied(&scene.copier().await).await;
    scene.assert_copied(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_fails_leaves_no_upload_and_says_whose_trouble_it_is() {
    let scene = Scene::new().await;
    let fail = |operation, status, code| {
        scene
            .proxy
            .fault_every(operation, Fault::FailBefore { status, code });
    };
    for (operation, status, code) in [
        (Operation::CreateMultipartUpload, 403, "AccessDenied"),
        (Operation::CompleteMultipartUpload, 403, "AccessDenied"),
        (Operation::CreateMultipartUpload, 404, "NoSuchBucket"),
    ] {
        fail(operation, status, code);
        let copied = scene.copy(&scene.copier().await).await;
        assert!(
            matches!(copied, Err(FetchError::Destination(_))),
            "{operation:?} {code}: {copied:?}"
        );
        assert_eq!(scene.open_uploads().await, 0, "{operation:?} {code}");
    }
    for (operation, status, code, reason) in [
        // The upload was begun, so the destination may be written.
        (
            Operation::UploadPartCopy,
            403,
            "AccessDenied",
            Reason::AccessDenied,
        ),
        (
            Operation::UploadPartCopy,
            412,
            "PreconditionFailed",
            Reason::Changed,
        ),
        (
            Operation::UploadPartCopy,
            404,
            "NoSuchKey",
            Reason::NoSuchKey,
        ),
        (
            Operation::CompleteMultipartUpload,
            404,
            "NoSuchUpload",
            Reason::Retry,
        ),
    ] {
        fail(operation, status, code);
        let only_copy = reason == Reason::AccessDenied;
        assert_eq!(
            scene
                .copy(&scene.copier().await)
                .await
                .expect("a destination"),
            Copied::Failed(ObjectFailure {
                only_copy,
                ..ObjectFailure::new(reason, code)
            }),
            "{operation:?} {code}"
        );
        assert_eq!(scene.open_uploads().await, 0, "{operation:?} {code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_given_up_leaves_no_upload_and_opens_no_other() {
    let scene = Scene::new().await;
    scene
        .proxy
        .fault_every(Operation::UploadPartCopy, Fault::Hang);
    let copier = scene.copier().await;
    let copying = scene.copy(&copier);
    tokio::select! {
        copied = copying => panic!("it hangs: {copied:?}"),
        () = async { while scene.proxy.count(Operation::UploadPartCopy) == 0 { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(scene.open_uploads().await, 1);
    copier.abort().await;
    assert_eq!(scene.open_uploads().await, 0);
    assert_eq!(
        scene.copy(&copier).await.expect("a destination"),
        Copied::Failed(ObjectFailure::new(Reason::Retry, "Transient"))
    );
    assert_eq!(scene.open_uploads().await, 0);
}

/// The answer to a request that the server never sees.
fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Fault {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Fault::Respond {
        status,
        headers,
        body: Bytes::from_static(body.as_bytes()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_answered_and_not_made_is_retried_later() {
    const COPIED: &str = "<CopyObjectResult><ETag>\"0\"</ETag></CopyObjectResult>";
    const COMPLETED: &str =
        "<CompleteMultipartUploadResult><ETag>\"0\"</ETag></CompleteMultipartUploadResult>";
    let scene = Scene::new().await;
    let lies = [
        (Operation::CompleteMultipartUpload, COMPLETED),
        (Operation::CopyObject, COPIED),
    ];
    for (copier, (operation, body)) in scene.both_ways().await.into_iter().zip(lies) {
        scene.proxy.fault_every(
            operation,
            answer(200, &[("content-type", "application/xml")], body),
        );
        let copied = scene.copy(&copier).await.expect("a destination");
        assert_eq!(
            copied,
            Copied::Failed(ObjectFailure::new(Reason::Retry, "Transient")),
            "{operation:?}"
        );
        copier.abort().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_tried_again_and_in_parts_only_once() {
    let scene = Scene::new().await;
    let expected = [
        (Operation::CompleteMultipartUpload, 2),
        (Operation::CopyObject, 4),
    ];
    for (copier, (operation, tries)) in scene.both_ways().await.into_iter().zip(expected) {
        scene.proxy.clear_log();
        scene.proxy.fault_every(
            operation,
            Fault::FailBefore {
                status: 409,
                code: "ConditionalRequestConflict",
            },
        );
        match scene.copy(&copier).await.expect("a destination") {
            Copied::Failed(failure) => assert_eq!(failure.reason, Reason::Retry),
            other => panic!("{other:?}"),
        }
        assert_eq!(scene.proxy.count(operation), tries, "{operation:?}");
        assert_eq!(scene.open_uploads().await, 0);
        scene.proxy.fault_nth(
            operation,
            tries + 1,
            Fault::FailBefore {
                status: 409,
                code: "ConditionalRequestConflict",
            },
        );
        let key = scene.copied(&copier).await;
        scene.assert_copied(&key).await;
        scene.delete(&key).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_object_at_the_key_of_a_copy_is_neither_believed_nor_replaced() {
    let scene = Scene::new().await;
    let key = scene.key_of_copy().await;
    // Of another size, and of the same size with other bytes.
    for bytes in [vec![0; 5], vec![0; scene.body.len()]] {
        client::put_object(&scene.client, "archive", &key, bytes.clone())
            .await
            .expect("another object");
        let copier = scene.whole_copier().await;
        let copied = scene.copy(&copier).await.expect("a destination");
        assert_eq!(
            copied,
            Copied::Failed(ObjectFailure::new(Reason::ChecksumMismatch, "OtherCopy")),
            "{}",
            bytes.len()
        );
        assert!(
            client::get_bytes(&scene.client, "archive", &key)
                .await
                .expect("it")
                == bytes
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_a_length_neither_proves_a_copy_nor_denies_it() {
    let scene = Scene::new().await;
    scene.proxy.fault_every(
        Operation::HeadObject,
        Fault::Unframed {
            close: false,
            end: None,
        },
    );
    let copier = scene.whole_copier().await;
    client::put_object(
        &scene.client,
        "archive",
        &scene.key_of_copy().await,
        scene.body.clone(),
    )
    .await
    .expect("a copy");
    let copied = scene.copy(&copier).await.expect("a destination");
    assert_eq!(
        copied,
        Copied::Failed(ObjectFailure::new(Reason::Retry, "Transient"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_answer_about_the_source_does_not_fail_its_copy() {
    let scene = Scene::new().await;
    scene.proxy.rule(|seen| match (seen.operation, seen.nth) {
        (Operation::GetObject, 1) => Fault::SetHeader {
            name: "content-range",
            value: b"bytes 0-0/54526000",
        },
        _ => Fault::Forward,
    });
    let copier = scene.whole_copier().await;
    let key = scene.copied(&copier).await;
    scene.assert_copied(&key).await;
}

/// Only a HEAD of the source can prove the copy of an object whose ETag is no MD5.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_source_cannot_be_compared_now_is_not_believed() {
    let scene = Scene::new().await;
    let upload = scene
        .client
        .create_multipart_upload()
        .bucket("source")
        .key(KEY)
        .send()
        .await
        .expect("an upload");
    let id = upload.upload_id().expect("an id");
    let part = scene
        .client
        .upload_part()
        .bucket("source")
        .key(KEY)
        .upload_id(id)
        .part_number(1);
    let part = part
        .body(scene.body.clone().into())
        .send()
        .await
        .expect("a part");
    let part = CompletedPart::builder()
        .part_number(1)
        .set_e_tag(part.e_tag)
        .build();
    let complete = scene
        .client
        .complete_multipart_upload()
        .bucket("source")
        .key(KEY)
        .upload_id(id);
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    complete
        .multipart_upload(parts)
        .send()
        .await
        .expect("an object in parts");
    let copier = scene.whole_copier().await;
    // As of a store that keeps a checksum of the copy.
    scene
        .proxy
        .rule(|seen| match (seen.operation, seen.bucket()) {
            (Operation::HeadObject, "archive") => Fault::SetHeader {
                name: "x-amz-checksum-crc32",
                value: b"AAAAAA==",
            },
            (Operation::HeadObject, "source") => Fault::FailBefore {
                status: 500,
                code: "InternalError",
            },
            _ => Fault::Forward,
        });
    let copied = scene.copy(&copier).await.expect("a destination");
    assert!(
        matches!(&copied, Copied::Failed(failure) if failure.reason == Reason::Retry),
        "{copied:?}"
    );
    assert!(
        scene
            .seen(Operation::HeadObject)
            .iter()
            .any(|seen| seen.bucket() == "source")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_412_of_the_destination_is_a_copy_that_exists() {
    let scene = Scene::new().await;
    let key = scene.key_of_copy().await;
    let operations = [Operation::CompleteMultipartUpload, Operation::CopyObject];
    for (copier, operation) in scene.both_ways().await.into_iter().zip(operations) {
        scene.delete(&key).await;
        let (client, copy) = (scene.client.clone(), key.clone());
        let source = "source/logs/%C3%A4%20large%2B.bin";
        let runtime = tokio::runtime::Handle::current();
        scene.proxy.clear_log();
        scene.proxy.rule(move |seen| {
            if seen.operation != operation || seen.nth > 1 {
                return Fault::Forward;
            }
            assert_eq!(seen.headers["if-none-match"], "*", "{operation:?}");
            // Another worker is first.
            let other = client
                .copy_object()
                .bucket("archive")
                .key(&copy)
                .copy_source(source);
            tokio::task::block_in_place(|| runtime.block_on(other.send())).expect("a copy");
            Fault::FailBefore {
                status: 412,
                code: "PreconditionFailed",
            }
        });
        assert_eq!(scene.copied(&copier).await, key, "{operation:?}");
        assert_eq!(scene.open_uploads().await, 0, "{operation:?}");
        let answers: Vec<_> = scene
            .proxy
            .log()
            .into_iter()
            .filter(|it| it.request.operation == operation)
            .map(|it| it.status)
            .collect();
        assert_eq!(answers, [Some(412)], "{operation:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_conditions_on_copies_is_used_without() {
    let scene = Scene::new().await;
    let operations = [Operation::CompleteMultipartUpload, Operation::CopyObject];
    for (status, code) in [(501, "NotImplemented"), (400, "InvalidArgument")] {
        for (copier, operation) in scene.both_ways().await.into_iter().zip(operations) {
            scene.proxy.clear_log();
            scene.proxy.rule(move |seen| {
                if seen.headers.contains_key("if-none-match") && seen.operation == operation {
                    Fault::FailBefore { status, code }
                } else {
                    Fault::Forward
                }
            });
            for requests in [2, 3] {
                let key = scene.copied(&copier).await;
                assert_eq!(
                    scene.proxy.count(operation),
                    requests,
                    "{operation:?} {code}"
                );
                scene.delete(&key).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_replaced_once_is_copied_as_it_is_now() {
    let scene = Scene::new().await;
    let operations = [Operation::UploadPartCopy, Operation::CopyObject];
    for (copier, operation) in scene.both_ways().await.into_iter().zip(operations) {
        scene.proxy.clear_log();
        scene.proxy.fault_nth(
            operation,
            1,
            Fault::FailBefore {
                status: 412,
                code: "PreconditionFailed",
            },
        );
        let key = scene.copied(&copier).await;
        scene.assert_copied(&key).await;
        scene.delete(&key).await;
        scene.proxy.fault_every(
            operation,
            Fault::FailBefore {
                status: 412,
                code: "PreconditionFailed",
            },
        );
        let copied = scene.copy(&copier).await.expect("a destination");
        assert_eq!(
            copied,
            Copied::Failed(ObjectFailure::new(Reason::Changed, "PreconditionFailed")),
            "{operation:?}"
        );
    }
}

/// Not of this time, so that nothing waits for the object to settle.
const MODIFIED: &str = "Sat, 25 Nov 2034 01:00:00 GMT";

fn modified_at(instant: &'static str) -> Fault {
    Fault::SetHeader {
        name: "last-modified",
        value: instant.as_bytes(),
    }
}

/// A store that ignores conditions, and keeps no checksums: only what a HEAD of the source shows
/// tells that it was replaced.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_replaced_by_one_of_the_same_size_is_not_taken_for_what_was_read() {
    let scene = Scene::new().await;
    let range = format!("bytes 0-0/{}", scene.body.len());
    let layout = Layout::new("p", KeyLayout::Hashed).expect("a prefix");
    let without_etag = layout.copied_object_without_etag(
        "source",
        KEY,
        None,
        "",
        "2034-11-25T01:00:00Z",
        scene.body.len() as u64,
    );
    for (header, other, key) in [
        (
            ("etag", "\"e-2\""),
            "\"f-2\"",
            layout.copied_object("source", KEY, None, "e-2"),
        ),
        (
            ("last-modified", MODIFIED),
            "Sat, 25 Nov 2034 01:00:01 GMT",
            without_etag,
        ),
    ] {
        let copy = scene
            .client
            .copy_object()
            .bucket("archive")
            .key(&key)
            .copy_source("source/logs/%C3%A4%20large%2B.bin");
        copy.send().await.expect("a copy");
        for (found, replaced) in [(header.1, false), (other, true)] {
            let size = scene.body.len().to_string();
            let read = answer(206, &[("content-range", range.as_str()), header], "x");
            let head = answer(
                200,
                &[("content-length", size.as_str()), (header.0, found)],
                "",
            );
            let (at, copied) = (
                key.clone(),
                answer(200, &[("content-length", &size), ("etag", "\"c-2\"")], ""),
            );
            scene
                .proxy
                .rule(move |seen| match (seen.operation, seen.bucket()) {
                    (Operation::GetObject, "source") => read.clone(),
                    (Operation::HeadObject, "source") => head.clone(),
                    (Operation::HeadObject, "archive") if seen.key() == at => copied.clone(),
                    _ => Fault::Forward,
                });
            let [_, copier] = scene.both_ways().await;
            let copied = scene.copy(&copier).await.expect("a destination");
            let expected = if replaced {
                Copied::Failed(ObjectFailure::new(Reason::Changed, "PreconditionFailed"))
            } else {
                Copied::To(key.clone())
            };
            assert_eq!(copied, expected, "{header:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_a_strong_etag_is_pinned_by_its_age() {
    let scene = Scene::new().await;
    let mut keys = BTreeSet::new();
    for etag in [&[][..], &[("etag", "W/\"abc\"")]] {
        for (copier, operation) in scene
            .both_ways()
            .await
            .into_iter()
            .zip([Operation::UploadPartCopy, Operation::CopyObject])
        {
            scene.proxy.clear_log();
            let range = format!("bytes 0-0/{}", scene.body.len());
            let mut headers = vec![
                ("content-range", range.as_str()),
                ("last-modified", MODIFIED),
            ];
            headers.extend(etag);
            let of_source = answer(206, &headers, "x");
            scene
                .proxy
                .rule(move |seen| match (seen.operation, seen.bucket()) {
                    (Operation::GetObject, "source") => of_source.clone(),
                    (Operation::HeadObject, "source") => modified_at(MODIFIED),
                    _ => Fault::Forward,
                });
            let key = scene.copied(&copier).await;
            let seen = scene.seen(operation);
            assert!(!seen.is_empty());
            for seen in seen {
                assert_eq!(
                    seen.headers["x-amz-copy-source-if-unmodified-since"], MODIFIED,
                    "{etag:?} {operation:?}"
                );
                assert!(
                    !seen.headers.contains_key("x-amz-copy-source-if-match"),
                    "{etag:?} {operation:?}"
                );
            }
            let copy = client::get_bytes(&scene.client, "archive", &key)
                .await
                .expect("the copy");
            assert!(copy == scene.body, "{etag:?} {operation:?}");
            scene.delete(&key).await;
            keys.insert(key);
        }
    }
    assert_eq!(
        keys.len(),
        2,
        "both ways have the same key, each ETag its own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_small_by_now_is_not_copied() {
    let scene = Scene::new().await;
    for (status, headers) in [
        (416, &[("content-range", "bytes */0")][..]),
        (
            206,
            &[("content-range", "bytes 0-0/1048576"), ("etag", "\"e\"")],
        ),
    ] {
        scene
            .proxy
            .fault_every(Operation::GetObject, answer(status, headers, "x"));
        assert_eq!(
            scene
                .copy(&scene.copier().await)
                .await
                .expect("a destination"),
            Copied::Small,
            "{status}"
        );
    }
    // The store ignores the range: the length of its answer is no proof.
    let whole = answer(200, &[("last-modified", MODIFIED)], "x");
    scene
        .proxy
        .rule(move |seen| match (seen.operation, seen.bucket()) {
            (Operation::GetObject, "source") => whole.clone(),
            (Operation::HeadObject, "source") => modified_at(MODIFIED),
            _ => Fault::Forward,
        });
    scene.copied(&scene.copier().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_copy_is_the_sources_if_the_destination_takes_an_upload() {
    let scene = Scene::new().await;
    let [_, copier] = scene.both_ways().await;
    let denied = Fault::FailBefore {
        status: 403,
        code: "AccessDenied",
    };
    scene
        .proxy
        .fault_every(Operation::CopyObject, denied.clone());
    let copied = scene.copy(&copier).await.expect("a destination");
    let failure = ObjectFailure {
        only_copy: true,
        ..ObjectFailure::new(Reason::AccessDenied, "AccessDenied")
    };
    assert_eq!(copied, Copied::Failed(failure));
    assert_eq!(scene.open_uploads().await, 0);
    scene.proxy.rule(move |seen| match seen.operation {
        Operation::CopyObject | Operation::CreateMultipartUpload => denied.clone(),
        _ => Fault::Forward,
    });
    let copied = scene.copy(&copier).await;
    assert!(
        matches!(copied, Err(FetchError::Destination(_))),
        "{copied:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_the_store_does_not_have_are_recorded() {
    let scene = Scene::new().await;
    let copier = scene.copier().await;
    for (status, code) in [
        (501, "NotImplemented"),
        (405, "MethodNotAllowed"),
        (404, "NoSuchKey"),
    ] {
        scene.proxy.fault_every(
            Operation::GetObjectTagging,
            Fault::FailBefore { status, code },
        );
        let mut row = Row {
            bucket: "source".to_owned(),
            key: KEY.to_owned(),
            ..Row::default()
        };
        let mut facts = Facts::default();
        let copied = copier
            .copy(&mut row, &mut facts)
            .await
            .expect("a destination");
        assert!(matches!(copied, Copied::To(_)), "{code}: {copied:?}");
        assert_eq!(
            facts
                .headers
                .get("s3bundler-missing-tags")
                .map(String::as_str),
            Some(code)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_latin1_value_is_carried_by_copies() {
    let scene = Scene::new().await;
    for copier in scene.both_ways().await {
        scene.proxy.fault_every(
            Operation::GetObject,
            Fault::SetHeader {
                name: "x-amz-meta-a",
                value: b"JULI\xc1N",
            },
        );
        let mut row = Row {
            bucket: "source".to_owned(),
            key: KEY.to_owned(),
            ..Row::default()
        };
        let mut facts = Facts::default();
        let copied = copier
            .copy(&mut row, &mut facts)
            .await
            .expect("a destination");
        let Copied::To(key) = copied else {
            panic!("{copied:?}")
        };
        assert_eq!(facts.metadata.get("a").map(String::as_str), Some("JULIÁN"));
        let beside = client::get_bytes(&scene.client, "archive", &format!("{key}.metadata"))
            .await
            .expect("its record");
        assert!(String::from_utf8_lossy(&beside).contains("JULIÁN"));
        scene.delete(&key).await;
        scene.delete(&format!("{key}.metadata")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_region_is_trouble_of_the_bucket_that_was_asked() {
    let scene = Scene::new().await;
    let copiers = scene.both_ways().await;
    for (operation, which, named) in [
        (Operation::GetObject, 0, "s3://source/logs"),
        (Operation::GetObjectTagging, 0, "s3://source/logs"),
        (
            Operation::CreateMultipartUpload,
            0,
            "s3://archive/p/objects",
        ),
        (Operation::UploadPartCopy, 0, "s3://archive/p/objects"),
        (
            Operation::CompleteMultipartUpload,
            0,
            "s3://archive/p/objects",
        ),
        (Operation::CopyObject, 1, "s3://archive/p/objects"),
    ] {
        let headers = vec![("x-amz-bucket-region".to_owned(), "eu-central-1".to_owned())];
        let body = "<Error><Code>PermanentRedirect</Code></Error>".into();
        scene.proxy.fault_every(
            operation,
            Fault::Respond {
                status: 301,
                headers,
                body,
            },
        );
        let failed = scene.copy(&copiers[which]).await;
        let ((Err(FetchError::Source(error)), true) | (Err(FetchError::Destination(error)), false)) =
            (&failed, named.contains("source"))
        else {
            panic!("{operation:?}: {failed:?}")
        };
        assert_eq!(error.kind, ErrorKind::WrongRegion, "{operation:?}");
        let message = error.to_string();
        assert!(
            message.contains(named) && message.contains("set --region eu-central-1"),
            "{operation:?}: {message}"
        );
        assert_eq!(scene.open_uploads().await, 0, "{operation:?}");
    }
}

/// S3 refuses to copy tags that this process may not read ("CopyObject", S3 API reference).
#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_copied_without_tags_that_are_denied_and_they_are_recorded() {
    let scene = Scene::new().await;
    for (counted, which) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
        if !counted {
            let untagged = scene
                .client
                .delete_object_tagging()
                .bucket("source")
                .key(KEY)
                .send()
                .await;
            untagged.expect("no tags, so that their number is not shown");
        }
        let copier = &scene.both_ways().await[which];
        scene.proxy.rule(|seen| {
            let keeps_tags = !seen.headers.contains_key("x-amz-tagging-directive");
            match seen.operation {
                Operation::GetObjectTagging => Fault::FailBefore {
                    status: 403,
                    code: "AccessDenied",
                },
                Operation::CopyObject if keeps_tags => Fault::FailBefore {
                    status: 403,
                    code: "AccessDenied",
                },
                _ => Fault::Forward,
            }
        });
        let mut row = Row {
            bucket: "source".to_owned(),
            key: KEY.to_owned(),
            ..Row::default()
        };
        let mut facts = Facts::default();
        let copied = copier
            .copy(&mut row, &mut facts)
            .await
            .expect("a destination");
        let Copied::To(key) = copied else {
            panic!("{copied:?}")
        };
        assert_eq!(
            facts
                .headers
                .get("s3bundler-missing-tags")
                .map(String::as_str),
            Some("AccessDenied"),
            "{counted}"
        );
        let copy = scene
            .client
            .get_object()
            .bucket("archive")
            .key(&key)
            .send()
            .await
            .expect("the copy");
        assert_eq!(
            (copy.content_type(), copy.tag_count().unwrap_or(0)),
            (Some("x/y"), 0)
        );
        let beside = client::get_bytes(&scene.client, "archive", &format!("{key}.metadata"))
            .await
            .expect("its record");
        assert!(
            String::from_utf8_lossy(&beside).contains("s3bundler-missing-tags"),
            "{beside:?}"
        );
        scene.delete(&key).await;
        scene.delete(&format!("{key}.metadata")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_goes_with_requests_only_if_the_manifest_lists_it() {
    let scene = Scene::new().await;
    let versioned = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    let enable = scene
        .client
        .put_bucket_versioning()
        .bucket("source")
        .versioning_configuration(versioned);
    enable.send().await.expect("versions");
    let put = scene
        .client
        .put_object()
        .bucket("source")
        .key(KEY)
        .body(scene.body.clone().into())
        .tagging("t=1");
    let version = put
        .send()
        .await
        .expect("an object")
        .version_id()
        .expect("a version")
        .to_owned();
    for listed in [None, Some(version.clone())] {
        for copier in scene.both_ways().await {
            scene.proxy.clear_log();
            let mut row = Row {
                bucket: "source".to_owned(),
                key: KEY.to_owned(),
                version_id: listed.clone(),
                ..Row::default()
            };
            let copied = copier
                .copy(&mut row, &mut Facts::default())
                .await
                .expect("a destination");
            let Copied::To(key) = copied else {
                panic!("{copied:?}")
            };
            assert_eq!(row.version_id.as_ref(), Some(&version), "it is recorded");
            let mut copies = 0;
            for record in scene.proxy.log() {
                let seen = record.request;
                let copied_from = seen
                    .headers
                    .get("x-amz-copy-source")
                    .map(|it| it.to_str().expect("text"));
                if seen.bucket() == "source" || copied_from.is_some() {
                    let asked = format!("{} {}", seen.query, copied_from.unwrap_or_default());
                    assert_eq!(
                        asked.contains("versionId="),
                        listed.is_some(),
                        "{:?} {asked}",
                        seen.operation
                    );
                    copies += u32::from(copied_from.is_some());
                }
            }
            assert!(copies > 0);
            scene.delete(&key).await;
        }
    }
}

mod description;
