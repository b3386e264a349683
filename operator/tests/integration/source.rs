//! How the operator reads inventories and existing manifests, on a real server behind a proxy that
//! plays stricter stores.

use s3bundler_contract::{KeyLayout, Layout, S3Address};
use s3bundler_operator::aws::AwsErrorKind;
use s3bundler_operator::receipts::Count;
use s3bundler_operator::records::{InventoryState, Records, RecordsError};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, Synthetic};
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::VersityGw;

use crate::common::aws;

const BUCKET: &str = "inventories";
const PAYER: &str = "x-amz-request-payer";

/// Reads all that the operator reads of a source, and tells whether everything was there.
async fn read(records: &Records, manifest: &S3Address) -> bool {
    let prefix = manifest.key.rsplitn(3, '/').last().unwrap();
    let inventory = records.inventory(manifest).await;
    let latest = records
        .latest_inventory(&S3Address::new(BUCKET, prefix))
        .await;
    let given = records.manifests(&S3Address::new(BUCKET, "seed/")).await;
    matches!(
        (inventory, latest, given),
        (Ok(InventoryState::Finished(named)), Ok(Some(latest)), Ok(Some(_))) if named == latest
    )
}

/// A server with a finished inventory and an existing manifest, and a proxy before it.
async fn source() -> (VersityGw, Proxy, S3Address) {
    let server = VersityGw::start().await.unwrap();
    let s3 = client::s3(server.access());
    client::create_bucket(&s3, BUCKET).await.unwrap();
    let manifest = Inventory::new("logs", BUCKET)
        .publish(&s3, Synthetic::rows(3))
        .await
        .unwrap()
        .manifest;
    client::put_object(&s3, BUCKET, "seed/key.0.index", "rows")
        .await
        .unwrap();
    let proxy = Proxy::start(server.access()).unwrap();
    (server, proxy, manifest.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requester_pays_for_inventories_and_existing_manifests() {
    let (_server, proxy, manifest) = source().await;
    // As a Requester Pays bucket ("Using Requester Pays buckets", S3 user guide).
    proxy.rule(|seen| match seen.headers.get(PAYER) {
        Some(payer) if payer == "requester" => Fault::Forward,
        _ => Fault::FailBefore {
            status: 403,
            code: "AccessDenied",
        },
    });
    let aws = aws(proxy.access());
    assert!(
        read(
            &Records::paid_by_requester(&aws, aws.region(), None),
            &manifest
        )
        .await
    );
    for operation in [
        Operation::GetObject,
        Operation::HeadObject,
        Operation::ListObjectsV2,
    ] {
        assert!(proxy.count(operation) > 0, "{operation:?}");
    }
    assert!(
        !read(&Records::new(&aws, aws.region(), None), &manifest).await,
        "no header that was not asked for"
    );
}

/// S3 returns metadata as it was written, Latin-1 included.
#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_with_latin1_metadata_is_read() {
    let (_server, proxy, manifest) = source().await;
    proxy.rule(|seen| match seen.operation {
        Operation::GetObject | Operation::HeadObject => Fault::SetHeader {
            name: "x-amz-meta-name",
            value: b"JULI\xc1N",
        },
        _ => Fault::Forward,
    });
    let aws = aws(proxy.access());
    assert!(read(&Records::new(&aws, aws.region(), None), &manifest).await);
}

/// Everything that the operator lists: an inventory's folders, existing manifests, receipts.
async fn list(records: &Records, manifest: &S3Address) -> [Result<(), RecordsError>; 3] {
    let prefix = manifest.key.rsplitn(3, '/').last().unwrap();
    let latest = records
        .latest_inventory(&S3Address::new(BUCKET, prefix))
        .await;
    let given = records.manifests(&S3Address::new(BUCKET, "seed/")).await;
    let run = "logs".parse().unwrap();
    let mut count = Count::new("logs".parse().unwrap());
    let counted = records
        .count(
            BUCKET,
            &Layout::new("p", KeyLayout::Hashed).unwrap(),
            &run,
            &mut count,
            2,
        )
        .await;
    [latest.map(|_| ()), given.map(|_| ()), counted.map(|_| ())]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_not_whole_or_not_of_its_prefix_is_an_error() {
    const OBJECT: &str = "<Contents><Key>other/a</Key><Size>1</Size><ETag>\"e\"</ETag></Contents>";
    const FOLDER: &str =
        "<CommonPrefixes><Prefix>other/2026-11-22T01-00Z/</Prefix></CommonPrefixes>";
    let (_server, proxy, manifest) = source().await;
    let aws = aws(proxy.access());
    let records = Records::new(&aws, aws.region(), None);
    assert!(list(&records, &manifest).await.iter().all(Result::is_ok));
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
        (
            FOLDER,
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
        proxy.rule(move |seen| match seen.operation {
            Operation::ListObjectsV2 => Fault::Respond {
                status: 200,
                headers: vec![("content-type".to_owned(), "application/xml".to_owned())],
                body: body.clone().into(),
            },
            _ => Fault::Forward,
        });
        for listed in list(&records, &manifest).await {
            let Err(RecordsError::Aws(error)) = listed else {
                panic!("{inside}: {listed:?}")
            };
            assert!(
                error.kind == AwsErrorKind::Transient && error.detail.contains(words),
                "{inside}: {error:?}"
            );
        }
    }
}
