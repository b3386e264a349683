//! Certificates for servers with TLS: an authority made on the spot, and a certificate that it
//! signed.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::ServerError;

/// The PEM files of a server with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority that clients must trust; the certificate itself where it is self-signed.
    pub authority: PathBuf,
}

impl Certificate {
    /// Writes `ca.pem`, `cert.pem` and `key.pem` into a folder: a certificate for these host names
    /// and addresses.
    pub fn generate(folder: &Path, names: &[&str]) -> Result<Self, ServerError> {
        let failed = |error: rcgen::Error| ServerError::Certificate(error.to_string());
        let authority_key = KeyPair::generate().map_err(failed)?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        authority
            .distinguished_name
            .push(DnType::CommonName, "s3bundler testbed");
        let authority_certificate = authority.self_signed(&authority_key).map_err(failed)?;
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().map_err(failed)?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names)
            .and_then(|params| params.signed_by(&key, &issuer))
            .map_err(failed)?;

        let files = Self {
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
            authority: folder.join("ca.pem"),
        };
        for (path, text) in [
            (&files.certificate, certificate.pem()),
            (&files.key, key.serialize_pem()),
            (&files.authority, authority_certificate.pem()),
        ] {
            fs::write(path, text).map_err(|error| {
                ServerError::Certificate(format!("{}: {error}", path.display()))
            })?;
        }
        Ok(files)
    }
}
