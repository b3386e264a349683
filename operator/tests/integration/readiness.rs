//! An operator that cannot watch what it depends on is not ready, and says why.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use http::StatusCode;
use s3bundler_testbed::api_server::ApiServer;
use s3bundler_testbed::cli::Program;
use s3bundler_testbed::servers::Port;

/// The watches of a resource that is refused are tried again after half a minute at most.
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test]
async fn an_operator_without_its_definition_or_its_role_is_not_ready() {
    let kubernetes = ApiServer::start().unwrap();
    kubernetes.refuse("archiveruns", StatusCode::NOT_FOUND);
    let port = Port::free(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let address = format!("127.0.0.1:{}", port.number());
    let operator = Program::new(env!("CARGO_BIN_EXE_s3bundler-operator"))
        .env("KUBECONFIG", kubernetes.kubeconfig())
        .args(["--worker-image=worker:1", "--region=us-east-1"])
        .arg(format!("--listen={address}"))
        .spawn()
        .unwrap();
    let shows = async |expected: &[&str]| {
        let begun = Instant::now();
        loop {
            let page = s3bundler_common::http_pages::get(&address, "/readyz").await;
            let is_shown = match &page {
                Ok((status, body)) if expected.is_empty() => status.is_success() && body == "ok\n",
                Ok((status, body)) => {
                    *status == StatusCode::SERVICE_UNAVAILABLE
                        && expected.iter().all(|words| body.contains(words))
                }
                Err(_) => false,
            };
            if is_shown {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{expected:?}: {page:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    shows(&["watch of ArchiveRun: ", "CustomResourceDefinition"]).await;
    operator.wait_for_output("a watch failed").await.unwrap();
    assert!(operator.stderr().contains("WARN"), "{}", operator.stderr());
    kubernetes.allow("archiveruns");
    shows(&[]).await;
    drop(operator);
}
