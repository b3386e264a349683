use std::convert::Infallible;
use std::future::{Ready, ready};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use prometheus_client::encoding::text::encode;

use super::*;

fn page(registry: &Registry) -> String {
    let mut page = String::new();
    encode(&mut page, registry).expect("a page");
    page
}

#[test]
fn calls_are_named_as_in_rbac() {
    for (method, uri, verb, resource) in [
        (
            Method::GET,
            "https://k/apis/archive.s3bundler.dev/v1alpha1/archiveruns?limit=500",
            "list",
            "archiveruns",
        ),
        (
            Method::GET,
            "https://k/apis/archive.s3bundler.dev/v1alpha1/namespaces/a/archiveruns?watch=true&x=y",
            "watch",
            "archiveruns",
        ),
        (
            Method::PATCH,
            "https://k/apis/archive.s3bundler.dev/v1alpha1/namespaces/a/archiveruns/logs/status",
            "patch",
            "archiveruns/status",
        ),
        (
            Method::PATCH,
            "https://k/apis/apps/v1/namespaces/a/deployments/logs-worker/scale",
            "patch",
            "deployments/scale",
        ),
        (
            Method::GET,
            "https://k/k8s/clusters/c-1/api/v1/namespaces/a/pods?labelSelector=b",
            "list",
            "pods",
        ),
        (
            Method::GET,
            "https://k/api/v1/namespaces/team-a",
            "get",
            "namespaces",
        ),
        (
            Method::PUT,
            "https://k/apis/coordination.k8s.io/v1/namespaces/s/leases/o",
            "update",
            "leases",
        ),
        (
            Method::POST,
            "https://k/apis/events.k8s.io/v1/namespaces/a/events",
            "create",
            "events",
        ),
        (
            Method::DELETE,
            "https://k/apis/batch/v1/namespaces/a/jobs/logs",
            "delete",
            "jobs",
        ),
        (Method::GET, "https://k/version", "list", "other"),
    ] {
        let call = Call::of(&method, &uri.parse().expect("a URI"));
        assert_eq!(
            (call.verb, call.resource.as_str()),
            (verb, resource),
            "{method} {uri}"
        );
    }
}

/// Answers every request with a status.
struct Always(u16);

impl Service<Request<()>> for Always {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let answer = Response::builder().status(self.0).body(());
        ready(Ok(answer.expect("an answer")))
    }
}

#[tokio::test]
async fn a_call_counts_with_its_outcome_and_its_time() {
    let mut registry = Registry::default();
    let requests = KubernetesRequests::registered(&mut registry);
    for status in [200, 403] {
        let request = Request::get("https://k/api/v1/namespaces/a/pods").body(());
        let answer = requests
            .layer(Always(status))
            .call(request.expect("a request"));
        assert_eq!(answer.await.expect("an answer").status(), status);
    }
    let page = page(&registry);
    for line in [
        r#"kubernetes_requests_total{verb="list",resource="pods",outcome="ok"} 1"#,
        r#"kubernetes_requests_total{verb="list",resource="pods",outcome="denied"} 1"#,
        r#"kubernetes_request_duration_seconds_count{verb="list",resource="pods"} 2"#,
    ] {
        assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
    }
}

/// An S3 that answers every request like this, or not at all.
#[derive(Debug, Clone)]
struct Answering(Option<(u16, &'static str)>);

impl HttpConnector for Answering {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(match self.0 {
            Some((status, body)) => Ok(HttpResponse::new(
                status.try_into().expect("a status"),
                SdkBody::from(body),
            )),
            None => Err(ConnectorError::io("connection refused".into())),
        })
    }
}

#[tokio::test]
async fn every_attempt_at_aws_counts() {
    let mut registry = Registry::default();
    let requests = AwsRequests::registered(&mut registry);
    let listed = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    for answer in [
        Some((200, listed)),
        Some((
            403,
            "<Error><Code>AccessDenied</Code><Message>no</Message></Error>",
        )),
        Some((
            503,
            "<Error><Code>SlowDown</Code><Message>no</Message></Error>",
        )),
        None,
    ] {
        let http = http_client_fn(move |_, _| SharedHttpConnector::new(Answering(answer)));
        let config = aws_sdk_s3::Config::builder()
            .behavior_version_latest()
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(Credentials::new("a", "b", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .http_client(http)
            .interceptor(requests.meter("s3"));
        let _ = Client::from_conf(config.build())
            .list_objects_v2()
            .bucket("b")
            .send()
            .await;
    }
    let page = page(&registry);
    for outcome in ["ok", "denied", "throttled", "no_answer"] {
        let line = format!(
            r#"aws_requests_total{{service="s3",operation="ListObjectsV2",outcome="{outcome}"}} 1"#
        );
        assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
    }
    let count = r#"aws_request_duration_seconds_count{service="s3",operation="ListObjectsV2"} 4"#;
    assert!(page.lines().any(|shown| shown == count), "{count}\n{page}");
}
