//! HTTPS: a certificate for the simulator's names, signed by an authority created at the start.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::servers::Certificate;

/// A certificate and its authority, deleted when dropped.
#[derive(Debug)]
pub(super) struct Tls {
    certificate: Certificate,
    _folder: TempDir,
}

impl Tls {
    /// Creates a certificate for an address, loopback, and these hosts with their subdomains.
    pub(super) fn generate(address: IpAddr, hosts: &[String]) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut names = vec![
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
            "localhost".to_owned(),
            address.to_string(),
        ];
        names.extend(hosts.iter().flat_map(|it| [it.clone(), format!("*.{it}")]));
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let certificate = Certificate::generate(folder.path(), &names).map_err(io::Error::other)?;
        Ok(Self {
            certificate,
            _folder: folder,
        })
    }

    /// PEM file of the authority that clients must trust.
    pub(super) fn authority(&self) -> PathBuf {
        self.certificate.authority.clone()
    }

    /// Accepts connections with the certificate.
    pub(super) fn acceptor(&self) -> io::Result<TlsAcceptor> {
        let chain = CertificateDer::pem_file_iter(&self.certificate.certificate)
            .and_then(Iterator::collect)
            .map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_file(&self.certificate.key).map_err(io::Error::other)?;
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
                .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
