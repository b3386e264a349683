//! The one object that the operator writes, on a real server behind a proxy.

use s3bundler_contract::{
    ArchiveOptions, GroupOptions, InventoryRef, KeyLayout, Layout, RunClaim, S3Address,
    SelectOptions,
};
use s3bundler_operator::crd::Encryption;
use s3bundler_operator::records::{ClaimState, Records};
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::VersityGw;

use crate::common::aws;

/// Buckets with a default retention refuse a PUT without one ("Using S3 Object Lock", S3 user
/// guide). Content-MD5 is known to every store, and no setting of the SDK turns it off.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_carries_content_md5() {
    let server = VersityGw::start().await.unwrap();
    client::create_bucket(&client::s3(server.access()), "archive")
        .await
        .unwrap();
    let proxy = Proxy::start(server.access()).unwrap();
    proxy.rule(|seen| {
        if seen.operation == Operation::PutObject && !seen.headers.contains_key("content-md5") {
            Fault::FailBefore {
                status: 400,
                code: "InvalidRequest",
            }
        } else {
            Fault::Forward
        }
    });
    let aws = aws(proxy.access());
    let inventory = InventoryRef {
        manifest: S3Address::new("inv", "a/manifest.json"),
        etag: "e".to_owned(),
        creation_timestamp: None,
    };
    let claim = RunClaim::new(
        "logs".parse().unwrap(),
        inventory,
        SelectOptions::default(),
        GroupOptions::default(),
        ArchiveOptions::default(),
        "the test".to_owned(),
    );
    let layout = Layout::new("p", KeyLayout::Hashed).unwrap();
    let records = Records::new(&aws, aws.region(), None);
    let claimed = records
        .claim("archive", &layout, &claim, &Encryption::default(), None)
        .await
        .unwrap();
    assert_eq!(claimed, ClaimState::Ours(claim.inventory.clone()));
    assert_eq!(proxy.count(Operation::PutObject), 1);
}
