//! How the operator reads records and receipts, on a real server behind a proxy that plays stricter
//! stores.

use std::sync::atomic::{AtomicU64, Ordering};

use s3bundler_contract::{
    Acknowledgement, ArchiveOptions, GroupOptions, InventoryRef, KeyLayout, Layout, ResourceUid,
    RunClaim, RunName, RunSummary, SelectOptions, Stage,
};
use s3bundler_operator::aws::AwsErrorKind;
use s3bundler_operator::receipts::{Count, MOST_UNEXPECTED};
use s3bundler_operator::records::{Records, RecordsError};
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::VersityGw;

use crate::common::aws;

const BUCKET: &str = "archive";

/// A server with a run, and a proxy before it.
struct Scene {
    _server: VersityGw,
    s3: aws_sdk_s3::Client,
    proxy: Proxy,
    records: Records,
    layout: Layout,
    run: RunName,
}

impl Scene {
    async fn start() -> Self {
        let server = VersityGw::start().await.unwrap();
        let s3 = client::s3(server.access());
        client::create_bucket(&s3, BUCKET).await.unwrap();
        let proxy = Proxy::start(server.access()).unwrap();
        let aws = aws(proxy.access());
        Self {
            _server: server,
            s3,
            records: Records::new(&aws, aws.region(), None),
            proxy,
            layout: Layout::new("p", KeyLayout::Hashed).unwrap(),
            run: "logs".parse().unwrap(),
        }
    }

    async fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        client::put_object(&self.s3, BUCKET, key, bytes.into())
            .await
            .unwrap();
    }

    fn claim(&self) -> RunClaim {
        let inventory = InventoryRef {
            manifest: "s3://inv/a/manifest.json".parse().unwrap(),
            etag: "e".to_owned(),
            creation_timestamp: None,
        };
        RunClaim::new(
            self.run.clone(),
            inventory,
            SelectOptions::default(),
            GroupOptions::default(),
            ArchiveOptions::default(),
            "the test".to_owned(),
        )
    }

    async fn acknowledgement(
        &self,
        uid: &ResourceUid,
    ) -> Result<Option<Acknowledgement>, RecordsError> {
        self.records
            .acknowledgement(BUCKET, &self.layout, &self.run, uid)
            .await
    }

    async fn count(&self) -> Result<(), RecordsError> {
        let mut count = Count::new(self.run.clone());
        self.records
            .count(BUCKET, &self.layout, &self.run, &mut count, 2)
            .await
            .map(|_| ())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_acknowledgement_of_one_resource_is_not_that_of_another() {
    let scene = Scene::start().await;
    let [own, other] = ["0a1b-2c3d", "4e5f-6789"].map(|uid| uid.parse::<ResourceUid>().unwrap());
    assert_eq!(scene.acknowledgement(&own).await.unwrap(), None);
    let written = Acknowledgement::of(&scene.claim(), own.clone());
    let key = scene.layout.acknowledgement(&scene.run, &own);
    scene.put(&key, written.to_json()).await;
    assert_eq!(
        scene.acknowledgement(&own).await.unwrap(),
        Some(written.clone())
    );
    assert_eq!(scene.acknowledgement(&other).await.unwrap(), None);
    for (bytes, words) in [
        (written.to_json(), "the resource with UID 0a1b-2c3d"),
        (b"{}".to_vec(), "it is not the record it should be"),
        (vec![b' '; 100_000], "more than 65536 bytes"),
    ] {
        let key = scene.layout.acknowledgement(&scene.run, &other);
        scene.put(&key, bytes).await;
        let error = scene.acknowledgement(&other).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_read_with_its_owner() {
    let scene = Scene::start().await;
    let claim = async || {
        scene
            .records
            .claim(BUCKET, &scene.layout, &scene.run)
            .await
            .unwrap()
    };
    assert_eq!(claim().await, None);
    let key = scene.layout.claim(&scene.run);
    scene.put(&key, scene.claim().to_json()).await;
    assert_eq!(claim().await, Some(scene.claim()));
}

/// S3 returns metadata as it was written, Latin-1 included.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_latin1_metadata_is_read() {
    let scene = Scene::start().await;
    let summary = RunSummary::empty(scene.run.clone());
    let key = scene.layout.summary(&scene.run);
    scene.put(&key, summary.to_json()).await;
    scene.proxy.rule(|seen| match seen.operation {
        Operation::GetObject => Fault::SetHeader {
            name: "x-amz-meta-name",
            value: b"JULI\xc1N",
        },
        _ => Fault::Forward,
    });
    let found = scene
        .records
        .summary(BUCKET, &scene.layout, &scene.run, Stage::OWN)
        .await;
    assert_eq!(found.unwrap(), Some(summary));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_not_whole_or_not_of_its_prefix_is_an_error() {
    const OBJECT: &str = "<Contents><Key>other/a</Key><Size>1</Size><ETag>\"e\"</ETag></Contents>";
    let scene = Scene::start().await;
    scene.count().await.unwrap();
    for (inside, end, words) in [
        (
            "<IsTruncated>true</IsTruncated>",
            "</ListBucketResult>",
            "no NextContinuationToken to go on with",
        ),
        (
            OBJECT,
            "</ListBucketResult>",
            "keys that do not begin with the prefix",
        ),
        ("<IsTruncated>false</IsTruncated>", "", "not that of AWS"),
        (
            "<Contentx><Key>a</Key></Contents>",
            "</ListBucketResult>",
            "not that of AWS",
        ),
    ] {
        let body = format!("<?xml version=\"1.0\"?><ListBucketResult>{inside}{end}");
        scene.proxy.rule(move |seen| match seen.operation {
            Operation::ListObjectsV2 => Fault::Respond {
                status: 200,
                headers: vec![("content-type".to_owned(), "application/xml".to_owned())],
                body: body.clone().into(),
            },
            _ => Fault::Forward,
        });
        let Err(RecordsError::Aws(error)) = scene.count().await else {
            panic!("{inside}: it was counted")
        };
        assert!(
            error.kind == AwsErrorKind::Transient && error.detail.contains(words),
            "{inside}: {error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_that_is_full_of_other_objects_is_not_listed_to_its_end() {
    const PAGE: u64 = 1000;
    let scene = Scene::start().await;
    let prefix = scene.layout.receipts(&scene.run);
    let pages = AtomicU64::new(0);
    scene.proxy.rule(move |seen| match seen.operation {
        Operation::ListObjectsV2 => {
            let page = pages.fetch_add(1, Ordering::Relaxed);
            let objects: Vec<_> = (0..PAGE)
                .map(|n| format!("<Contents><Key>{prefix}{page:06}-{n:03}</Key></Contents>"))
                .collect();
            let objects = objects.concat();
            let body = format!(
                "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>true</IsTruncated>\
                 <NextContinuationToken>{page}</NextContinuationToken>{objects}</ListBucketResult>"
            );
            Fault::Respond {
                status: 200,
                headers: vec![("content-type".to_owned(), "application/xml".to_owned())],
                body: body.into(),
            }
        }
        _ => Fault::Forward,
    });
    let mut count = Count::new(scene.run.clone());
    let lists = u32::MAX;
    let counted = scene
        .records
        .count(BUCKET, &scene.layout, &scene.run, &mut count, lists)
        .await;
    let error = counted.unwrap_err();
    assert!(matches!(error, RecordsError::Flooded(_)), "{error:?}");
    assert_eq!(
        scene.proxy.count(Operation::ListObjectsV2),
        MOST_UNEXPECTED / PAGE + 1
    );
    assert_eq!(
        error.to_string(),
        "s3://archive/p/receipts/logs/ has more than 10000 objects that are not receipts of this run: \
         move them to another prefix"
    );
}
