//! Copies in parts, on a real server behind a proxy, with a limit that small objects pass.

use std::collections::HashMap;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use s3bundler_contract::{ByteSize, KeyLayout, Layout};
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::{Access, Moto};

use super::*;
use crate::s3::{PathStyle, RequestOptions, S3Options};

const MIB: usize = 1 << 20;
const KEY: &str = "logs/ä large+.bin";

struct Scene {
    _server: Moto,
    proxy: Proxy,
    client: aws_sdk_s3::Client,
    body: Vec<u8>,
}

impl Scene {
    async fn new() -> Self {
        let server = Moto::start().await.expect("moto");
        let client = client::s3(server.access());
        for bucket in ["source", "archive"] {
            client::create_bucket(&client, bucket).await.expect("a bucket");
        }
        // Over the limit of 51 MiB, which makes parts of 6 MiB.
        let body: Vec<u8> = (0..52 * MIB).map(|at| u8::try_from((at / 7 + at / MIB) % 256).expect("a byte")).collect();
        let put = client.put_object().bucket("source").key(KEY).body(body.clone().into());
        let put = put.content_type("x/y").content_language("fi").metadata("a", "b c").tagging("t=1%3D2+3").send().await;
        put.expect("an object");
        let proxy = Proxy::start(server.access()).expect("a proxy");
        Self { _server: server, proxy, client, body }
    }

    async fn copier(&self) -> Copier {
        self.copier_with(RequestOptions::default()).await
    }

    async fn copier_with(&self, requests: RequestOptions) -> Copier {
        let destination = Destination {
            bucket: "archive".to_owned(),
            layout: Layout::new("p", KeyLayout::Hashed).expect("a prefix"),
        };
        let options = ArchiveOptions { max_object_size: ByteSize::mib(1), ..ArchiveOptions::default() };
        Copier { max_copy: 51 << 20, ..Copier::new(s3_of(self.proxy.access(), requests).await, destination, options) }
    }

    async fn copy(&self, copier: &Copier) -> Result<Result<String, ObjectFailure>, FetchError> {
        let mut row = Row { bucket: "source".to_owned(), key: KEY.to_owned(), ..Row::default() };
        copier.copy(&mut row, &mut Facts::default()).await
    }

    async fn open_uploads(&self) -> usize {
        client::list_open_uploads(&self.client, "archive").await.expect("a list").len()
    }

    /// The copy has everything of its source, and no upload is open.
    async fn assert_copied(&self, key: &str) {
        let copy = self.client.get_object().bucket("archive").key(key).send().await.expect("the copy");
        assert_eq!((copy.content_type(), copy.content_language()), (Some("x/y"), Some("fi")));
        assert_eq!(copy.metadata(), Some(&HashMap::from([("a".to_owned(), "b c".to_owned())])));
        assert_eq!(copy.tag_count(), Some(1));
        let tags = self.client.get_object_tagging().bucket("archive").key(key).send().await.expect("its tags");
        assert_eq!((tags.tag_set()[0].key(), tags.tag_set()[0].value()), ("t", "1=2 3"));
        assert!(copy.body.collect().await.expect("its body").into_bytes() == self.body, "the bytes differ");
        assert_eq!(self.open_uploads().await, 0);
    }
}

async fn s3_of(access: &Access, requests: RequestOptions) -> S3 {
    let keys = Credentials::new(&access.access_key, &access.secret_key, None, None, "test");
    let config = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(&access.endpoint)
        .region(Region::new(access.region.clone()))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .load()
        .await;
    S3::new(config, &S3Options { path_style: PathStyle::Always, region: None, requests, first_byte_timeout: None })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_over_the_limit_is_copied_in_parts_with_all_that_belongs_to_it() {
    let scene = Scene::new().await;
    let copier = scene.copier().await;
    let key = scene.copy(&copier).await.expect("a destination").expect("a copy");
    assert!(scene.proxy.count(Operation::UploadPartCopy) > 2);
    scene.assert_copied(&key).await;
    // Again, after another worker was killed over the same object and one over another: nothing is copied twice, and
    // only the first one's upload is swept.
    for key in [key.clone(), format!("{key}.other")] {
        scene.client.create_multipart_upload().bucket("archive").key(key).send().await.expect("an upload");
    }
    scene.proxy.clear_log();
    assert_eq!(scene.copy(&scene.copier().await).await.expect("a destination"), Ok(key));
    assert_eq!(scene.proxy.count(Operation::UploadPartCopy), 0);
    assert_eq!(scene.open_uploads().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_gets_the_runs_tags_beside_the_sources_in_parts_and_whole() {
    let scene = Scene::new().await;
    let given: Vec<crate::s3::Tag> = (0..9).map(|n| format!("g{n}=new").parse().expect("a tag")).collect();
    let requests = RequestOptions { tags: Tags::new(given).expect("tags"), ..RequestOptions::default() };
    // Of two tags of the source one fits.
    let tagging = aws_sdk_s3::types::Tagging::builder().set_tag_set(Some(
        [("g0", "old"), ("s1", "a b"), ("s2", "c")]
            .map(|(key, value)| aws_sdk_s3::types::Tag::builder().key(key).value(value).build().expect("a tag"))
            .to_vec(),
    ));
    let put = scene.client.put_object_tagging().bucket("source").key(KEY);
    put.tagging(tagging.build().expect("tags")).send().await.expect("tags of the source");
    let parts = scene.copier_with(requests.clone()).await;
    let whole = Copier { max_copy: MAX_COPY, ..scene.copier_with(requests).await };
    for (copier, operation) in [(parts, Operation::CreateMultipartUpload), (whole, Operation::CopyObject)] {
        let key = scene.copy(&copier).await.expect("a destination").expect("a copy");
        assert_eq!(scene.proxy.count(operation), 1);
        let tags = scene.client.get_object_tagging().bucket("archive").key(&key).send().await.expect("its tags");
        let tags: HashMap<_, _> = tags.tag_set().iter().map(|tag| (tag.key(), tag.value())).collect();
        assert_eq!((tags.len(), tags["g0"], tags["s1"]), (10, "new", "a b"), "{operation:?}");
        let copy = scene.client.get_object().bucket("archive").key(&key).send().await.expect("the copy");
        assert_eq!((copy.content_type(), copy.content_language()), (Some("x/y"), Some("fi")));
        scene.client.delete_object().bucket("archive").key(&key).send().await.expect("no copy");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_last_answer_is_lost_is_there() {
    let scene = Scene::new().await;
    scene.proxy.fault_nth(Operation::CompleteMultipartUpload, 1, Fault::DropAfter);
    let key = scene.copy(&scene.copier().await).await.expect("a destination").expect("a copy");
    scene.assert_copied(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_fails_leaves_no_upload_and_says_whose_trouble_it_is() {
    let scene = Scene::new().await;
    let fail = |operation, status, code| scene.proxy.fault_every(operation, Fault::FailBefore { status, code });
    for (operation, status, code) in [
        (Operation::CreateMultipartUpload, 403, "AccessDenied"),
        (Operation::UploadPartCopy, 403, "AccessDenied"),
        (Operation::CompleteMultipartUpload, 403, "AccessDenied"),
        (Operation::CreateMultipartUpload, 404, "NoSuchBucket"),
    ] {
        fail(operation, status, code);
        let copied = scene.copy(&scene.copier().await).await;
        assert!(matches!(copied, Err(FetchError::Destination(_))), "{operation:?} {code}: {copied:?}");
        assert_eq!(scene.open_uploads().await, 0, "{operation:?} {code}");
    }
    for (operation, status, code, reason) in [
        (Operation::UploadPartCopy, 412, "PreconditionFailed", Reason::Changed),
        (Operation::UploadPartCopy, 404, "NoSuchKey", Reason::NoSuchKey),
        (Operation::CompleteMultipartUpload, 404, "NoSuchUpload", Reason::Retry),
    ] {
        fail(operation, status, code);
        assert_eq!(
            scene.copy(&scene.copier().await).await.expect("a destination"),
            Err(ObjectFailure::new(reason, code)),
            "{operation:?} {code}"
        );
        assert_eq!(scene.open_uploads().await, 0, "{operation:?} {code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_given_up_leaves_no_upload_and_opens_no_other() {
    let scene = Scene::new().await;
    scene.proxy.fault_every(Operation::UploadPartCopy, Fault::Hang);
    let copier = scene.copier().await;
    let copying = scene.copy(&copier);
    tokio::select! {
        copied = copying => panic!("it hangs: {copied:?}"),
        () = async { while scene.proxy.count(Operation::UploadPartCopy) == 0 { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(scene.open_uploads().await, 1);
    copier.abort().await;
    assert_eq!(scene.open_uploads().await, 0);
    assert_eq!(scene.copy(&copier).await.expect("a destination"), Err(ObjectFailure::new(Reason::Retry, "Transient")));
    assert_eq!(scene.open_uploads().await, 0);
}
