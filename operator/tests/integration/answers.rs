//! Answers to HEAD have no body: S3's own are final, and pages of a proxy are tried again.

use s3bundler_contract::S3Address;
use s3bundler_operator::records::{InventoryState, Records};
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::{Access, Moto, VersityGw};

use crate::common::aws;

const BUCKET: &str = "inventories";
const MANIFEST: &str = "daily/2026-11-22T01-00Z/manifest.json";

/// A proxy before a server with an inventory that has no checksum yet.
async fn unfinished(server: &Access) -> Proxy {
    let s3 = client::s3(server);
    client::create_bucket(&s3, BUCKET).await.unwrap();
    client::put_objects(&s3, BUCKET, [(MANIFEST, "{}")])
        .await
        .unwrap();
    Proxy::start(server).unwrap()
}

async fn state(proxy: &Proxy) -> InventoryState {
    let aws = aws(proxy.access());
    Records::new(&aws, aws.region(), None)
        .inventory(&S3Address::new(BUCKET, MANIFEST))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_something_missing_is_one_request() {
    let (versitygw, moto) = (
        VersityGw::start().await.unwrap(),
        Moto::start().await.unwrap(),
    );
    for server in [versitygw.access(), moto.access()] {
        let proxy = unfinished(server).await;
        assert_eq!(state(&proxy).await, InventoryState::Unfinished);
        assert_eq!(proxy.count(Operation::HeadObject), 1);

        let aws = aws(proxy.access());
        let missing = aws
            .clients(aws.region())
            .s3
            .head_bucket()
            .bucket("missing")
            .send()
            .await
            .unwrap_err();
        assert_eq!(missing.raw_response().unwrap().status().as_u16(), 404);
        assert_eq!(proxy.count(Operation::HeadBucket), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_answers_a_head_is_tried_again() {
    let server = VersityGw::start().await.unwrap();
    let proxy = unfinished(server.access()).await;
    let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    let page = Fault::Respond {
        status: 403,
        headers,
        body: "".into(),
    };
    proxy.fault_nth(Operation::HeadObject, 1, page);
    assert_eq!(state(&proxy).await, InventoryState::Unfinished);
    assert_eq!(proxy.count(Operation::HeadObject), 2);
}
