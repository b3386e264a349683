//! What a client must know to reach a server: its address and the keys it accepts. A server gives
//! one, the fault proxy gives the same one with its own address, and both the SDK clients and the
//! command line are configured from it.

use std::fmt;
use std::path::PathBuf;

/// The region that every server of the testbed answers for.
pub const REGION: &str = "us-east-1";

/// An endpoint with credentials. Test credentials only, but the secret is still left out of the
/// debug text.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// For example `http://127.0.0.1:20123`, without a slash at the end.
    pub endpoint: String,
    /// The signing region.
    pub region: String,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Session token, where the keys are temporary.
    pub session_token: Option<String>,
    /// PEM file with the certificate authority to trust, where the endpoint is https.
    pub certificate_authority: Option<PathBuf>,
}

impl Access {
    /// Static keys for an endpoint in the testbed's region.
    pub fn new(
        endpoint: impl Into<String>,
        access_key: impl Into<String>,
        secret_key: impl Into<String>,
    ) -> Self {
        Self {
            endpoint: endpoint.into(),
            region: REGION.to_owned(),
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            session_token: None,
            certificate_authority: None,
        }
    }

    /// The same keys for another address, such as that of a proxy.
    #[must_use]
    pub fn at(&self, endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            ..self.clone()
        }
    }

    /// The environment variables that every AWS tool understands. `AWS_ENDPOINT_URL` serves S3 and
    /// SQS alike.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_ACCESS_KEY_ID", self.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_key.clone()),
        ];
        if let Some(token) = &self.session_token {
            variables.push(("AWS_SESSION_TOKEN", token.clone()));
        }
        if let Some(file) = &self.certificate_authority {
            variables.push(("AWS_CA_BUNDLE", file.display().to_string()));
        }
        variables
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("endpoint", &self.endpoint)
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}
