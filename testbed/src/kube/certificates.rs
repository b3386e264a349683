//! The keys of a cluster: one authority, a certificate for each program that names its rights as
//! Kubernetes reads them (common name = user, organisation = group), and kubeconfig files that
//! carry them.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

use super::{KubeError, NODE_ADDRESS, SERVICE_ADDRESS, with_path};

/// The only node's name.
pub(super) const NODE: &str = "testbed";

/// Where the keys of a cluster are.
#[derive(Debug)]
pub(super) struct Certificates {
    folder: PathBuf,
    authority: Issuer<'static, KeyPair>,
    authority_pem: String,
}

impl Certificates {
    /// Makes every key and certificate, into an existing folder.
    pub(super) fn generate(folder: &Path) -> Result<Self, KubeError> {
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params
            .distinguished_name
            .push(DnType::CommonName, "s3bundler testbed");
        let authority_pem = params
            .self_signed(&key)
            .map_err(|error| failed(&error))?
            .pem();
        let made = Self {
            folder: folder.to_owned(),
            authority_pem,
            authority: Issuer::new(params, key),
        };
        made.write("ca.pem", &made.authority_pem)?;
        made.write("ca.key", &made.authority.key().serialize_pem())?;

        let addresses = [
            NODE_ADDRESS.to_string(),
            SERVICE_ADDRESS.to_string(),
            "127.0.0.1".to_owned(),
        ];
        let names = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "localhost",
        ]
        .map(str::to_owned);
        made.sign(
            "apiserver",
            "kube-apiserver",
            None,
            addresses.into_iter().chain(names).collect(),
        )?;
        // Signs the tokens of service accounts; a key without a certificate.
        let tokens = KeyPair::generate().map_err(|error| failed(&error))?;
        made.write("tokens.key", &tokens.serialize_pem())?;
        made.write("tokens.pub", &tokens.public_key_pem())?;
        // Superusers by the group that every cluster starts with ("RBAC: default roles and role
        // bindings").
        for (name, user, group) in [
            ("admin", "testbed-admin", Some("system:masters")),
            (
                "apiserver-to-kubelet",
                "kube-apiserver",
                Some("system:masters"),
            ),
            ("controllers", "system:kube-controller-manager", None),
            ("scheduler", "system:kube-scheduler", None),
            ("kubelet", "system:node:testbed", Some("system:nodes")),
            ("aggregator", "front-proxy-client", None),
        ] {
            made.sign(name, user, group, Vec::new())?;
        }
        for name in ["admin", "controllers", "scheduler", "kubelet"] {
            made.write_kubeconfig(name)?;
        }
        Ok(made)
    }

    /// A file of this folder, such as `ca.pem`, `apiserver.key` or `admin.kubeconfig`.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The same as an option's value.
    pub(super) fn option(&self, option: &str, name: &str) -> String {
        format!("--{option}={}", self.file(name).display())
    }

    /// Writes `<name>.pem` and `<name>.key`.
    fn sign(
        &self,
        name: &str,
        user: &str,
        group: Option<&str>,
        hosts: Vec<String>,
    ) -> Result<(), KubeError> {
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let usage = if hosts.is_empty() {
            ExtendedKeyUsagePurpose::ClientAuth
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        };
        let mut params = CertificateParams::new(hosts).map_err(|error| failed(&error))?;
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![usage];
        let certificate = params
            .signed_by(&key, &self.authority)
            .map_err(|error| failed(&error))?;
        self.write(&format!("{name}.pem"), &certificate.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())
    }

    /// Writes `<name>.kubeconfig`, which carries its keys in it. JSON is YAML.
    fn write_kubeconfig(&self, name: &str) -> Result<(), KubeError> {
        let carried = |file: String| {
            let path = self.file(&file);
            fs::read(&path)
                .map(|bytes| BASE64.encode(&bytes))
                .map_err(with_path(&path))
        };
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": NODE, "cluster": {
                "server": format!("https://{NODE_ADDRESS}"),
                "certificate-authority-data": BASE64.encode(self.authority_pem.as_bytes()),
            }}],
            "users": [{"name": name, "user": {
                "client-certificate-data": carried(format!("{name}.pem"))?,
                "client-key-data": carried(format!("{name}.key"))?,
            }}],
            "contexts": [{"name": NODE, "context": {"cluster": NODE, "user": name}}],
            "current-context": NODE,
        });
        self.write(&format!("{name}.kubeconfig"), &format!("{config:#}"))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), KubeError> {
        let path = self.file(name);
        fs::write(&path, text).map_err(with_path(&path))
    }
}

fn failed(error: &rcgen::Error) -> KubeError {
    KubeError::Certificates(error.to_string())
}
