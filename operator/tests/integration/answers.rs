//! Answers to the operator's requests: S3's own are final, and pages of a proxy are tried again.

use s3bundler_contract::{KeyLayout, Layout, RunSummary, Stage};
use s3bundler_operator::records::{Records, RecordsError};
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::{Access, Moto, VersityGw};

use crate::common::aws;

const BUCKET: &str = "archive";

/// A proxy before a server with a bucket.
async fn proxied(server: &Access) -> Proxy {
    client::create_bucket(&client::s3(server), BUCKET)
        .await
        .unwrap();
    Proxy::start(server).unwrap()
}

async fn summary(proxy: &Proxy) -> Result<Option<RunSummary>, RecordsError> {
    let (aws, run) = (aws(proxy.access()), "logs".parse().unwrap());
    let layout = Layout::new("p", KeyLayout::Hashed).unwrap();
    Records::new(&aws, aws.region(), None)
        .summary(BUCKET, &layout, &run, Stage::OWN)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_for_something_missing_is_one_request() {
    let (versitygw, moto) = (
        VersityGw::start().await.unwrap(),
        Moto::start().await.unwrap(),
    );
    for server in [versitygw.access(), moto.access()] {
        let proxy = proxied(server).await;
        assert_eq!(summary(&proxy).await.unwrap(), None);
        assert_eq!(proxy.count(Operation::GetObject), 1);

        // Answers to HEAD have no body that would say whose they are.
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
async fn a_page_that_answers_for_s3_is_tried_again() {
    let server = VersityGw::start().await.unwrap();
    let proxy = proxied(server.access()).await;
    for (status, body) in [(403, ""), (404, "<html>not here</html>")] {
        proxy.clear_log();
        let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
        let page = Fault::Respond {
            status,
            headers,
            body: body.into(),
        };
        proxy.fault_nth(Operation::GetObject, 1, page);
        assert_eq!(summary(&proxy).await.unwrap(), None);
        assert_eq!(proxy.count(Operation::GetObject), 2, "{status}");
    }
}
