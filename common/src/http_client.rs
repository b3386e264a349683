//! The HTTP client under the AWS clients, and that for other servers, as the environment wants it: with the certificates of
//! `AWS_CA_BUNDLE` instead of the system's, and through the proxies of `HTTPS_PROXY` and
//! `HTTP_PROXY` (or `ALL_PROXY`) but to the hosts of `NO_PROXY`, as other AWS tools have it ("Use
//! an HTTP proxy", AWS CLI user guide). Names are read in lower case too.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use http::Uri;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use s3bundler_contract::{ExitCode, HasExitCode};

/// Variables that name a proxy.
const PROXIES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What in the environment cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// AWS_CA_BUNDLE names a file that cannot be read.
    #[error("cannot read the certificates of AWS_CA_BUNDLE at {path}: {cause}")]
    CaBundle {
        /// The file.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
    /// AWS_CA_BUNDLE names a file that is something else.
    #[error("AWS_CA_BUNDLE names {path}, which is no PEM file of certificates: {cause}")]
    NoCertificates {
        /// The file.
        path: String,
        /// Why not.
        cause: String,
    },
    /// A proxy that is none. There may be a password in it, so it is not shown.
    #[error("{0} is not the address of an HTTP proxy, such as http://proxy.example:3128")]
    Proxy(&'static str),
    /// The TLS library does not start.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

impl HasExitCode for HttpClientError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }
}

/// The client. It talks to nobody yet.
pub fn new() -> Result<SharedHttpClient, HttpClientError> {
    let context = tls()?;
    Ok(
        Builder::new().build_with_connector_fn(move |settings, components| {
            connect(&context, settings, components)
        }),
    )
}

/// A client for servers other than those of AWS, with the same certificates and proxies. It signs
/// nothing, retries nothing, follows no redirect and waits for ever.
pub fn connector() -> Result<SharedHttpConnector, HttpClientError> {
    Ok(SharedHttpConnector::new(connect(&tls()?, None, None)))
}

fn connect(
    context: &TlsContext,
    settings: Option<&HttpConnectorSettings>,
    components: Option<&RuntimeComponents>,
) -> Connector {
    let mut connector = Connector::builder()
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context.clone());
    connector.set_connector_settings(settings.cloned());
    connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
    connector.build()
}

/// Whom to trust, if the environment can be followed.
fn tls() -> Result<TlsContext, HttpClientError> {
    check_proxies()?;
    TlsContext::builder()
        .with_trust_store(trust_store()?)
        .build()
        .map_err(|error| HttpClientError::Tls(error.to_string()))
}

/// The client goes without a proxy where it does not understand its address, which is not what was
/// wanted.
fn check_proxies() -> Result<(), HttpClientError> {
    let set = |name: &&str| {
        std::env::var(*name).is_ok_and(|value| !value.is_empty() && !is_proxy(&value))
    };
    PROXIES
        .into_iter()
        .find(|name| set(name))
        .map_or(Ok(()), |name| Err(HttpClientError::Proxy(name)))
}

/// `host:port` is that of an http proxy.
fn is_proxy(value: &str) -> bool {
    let Ok(uri) = value.parse::<Uri>() else {
        return false;
    };
    uri.authority().is_some() && matches!(uri.scheme_str(), None | Some("http" | "https"))
}

fn trust_store() -> Result<TrustStore, HttpClientError> {
    let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) else {
        return Ok(TrustStore::default());
    };
    let shown = || path.to_string_lossy().into_owned();
    let pem = std::fs::read(&path).map_err(|cause| HttpClientError::CaBundle {
        path: shown(),
        cause,
    })?;
    check_certificates(&pem).map_err(|cause| HttpClientError::NoCertificates {
        path: shown(),
        cause,
    })?;
    Ok(TrustStore::empty().with_pem_certificate(pem))
}

/// The client panics over certificates that it cannot use, and trusts nobody where there are none.
fn check_certificates(pem: &[u8]) -> Result<(), String> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        Err("there is none in it".to_owned())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
