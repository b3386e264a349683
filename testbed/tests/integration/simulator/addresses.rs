//! HTTPS and virtual-hosted addresses.

use std::net::{IpAddr, Ipv4Addr};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns};
use s3bundler_testbed::client;
use s3bundler_testbed::servers::Access;
use s3bundler_testbed::simulator::{HOST, Simulator, SimulatorOptions};

use super::{frozen_for_an_hour, transcript};

/// Resolves all names to this machine.
#[derive(Debug, Clone)]
struct Here;

impl ResolveDns for Here {
    fn resolve_dns<'a>(&'a self, _: &'a str) -> DnsFuture<'a> {
        DnsFuture::ready(Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]))
    }
}

fn http_client(access: &Access) -> SharedHttpClient {
    let mut store = TrustStore::empty();
    if let Some(file) = &access.certificate_authority {
        store = store.with_pem_certificate(std::fs::read(file).unwrap());
    }
    let context = TlsContext::builder().with_trust_store(store).build();
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context.unwrap())
        .build_with_resolver(Here)
}

/// A client that puts buckets into host names.
fn virtual_hosted(access: &Access) -> Client {
    let access = access.at(access.endpoint.replace("127.0.0.1", HOST));
    let config = client::s3(&access).config().to_builder();
    let config = config
        .force_path_style(false)
        .http_client(http_client(&access));
    Client::from_conf(config.build())
}

fn with_https() -> Simulator {
    let options = SimulatorOptions {
        https: Some((Ipv4Addr::LOCALHOST, 0).into()),
        ..frozen_for_an_hour()
    };
    Simulator::start(options).unwrap()
}

#[tokio::test]
async fn answers_are_the_same_over_https_and_at_virtual_hosts() {
    let [plain, secure, hosted, both] = std::array::from_fn(|_| with_https());
    let (wanted, secure, hosted, both) = tokio::join!(
        transcript(client::s3(plain.access())),
        transcript(client::s3(secure.https().unwrap())),
        transcript(virtual_hosted(hosted.access())),
        transcript(virtual_hosted(both.https().unwrap())),
    );
    assert!(wanted.len() > 200, "{}", wanted.len());
    assert_eq!(secure, wanted);
    assert_eq!(hosted, wanted);
    assert_eq!(both, wanted);
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_authority_is_refused() {
    let simulator = with_https();
    let mut access = simulator.https().unwrap().clone();
    assert!(access.endpoint.starts_with("https://127.0.0.1:"));
    let trusted = client::s3(&access);
    client::create_bucket(&trusted, "bucket").await.unwrap();
    access.certificate_authority = None;
    let listed = client::list_keys(&client::s3(&access), "bucket", "").await;
    assert!(listed.is_err(), "{listed:?}");
}

#[tokio::test]
async fn both_addresses_serve_the_same_buckets() {
    let simulator = with_https();
    let (plain, secure) = (
        client::s3(simulator.access()),
        virtual_hosted(simulator.https().unwrap()),
    );
    client::create_bucket(&plain, "bucket").await.unwrap();
    // The path of a control request, which is a key at the host of a bucket.
    let key = "_simulator/meter";
    client::put_object(&secure, "bucket", key, "body")
        .await
        .unwrap();
    let read = client::get_bytes(&plain, "bucket", key).await.unwrap();
    assert_eq!(read, "body");
}
