//! Moto's server: S3, SQS, STS and IAM in one process, slow (some 200 requests a second, a new
//! connection each) but with the widest meaning: bucket notifications, redrive, policies, Glacier
//! states, conditional writes.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

use super::server::{Plan, Ready, Server};
use super::{Access, Certificate, ServerError};
use crate::install::Recipe;
use crate::namespaces::Namespaces;

/// Moto's server, with an IAM nearer to the real one.
const PROGRAM: &str = include_str!("../../servers/moto/server.py");
/// Any keys do until policies are enforced.
const ACCESS_KEY: &str = "testing";

/// How to start a [`Moto`].
#[derive(Debug, Clone, Default)]
pub struct MotoOptions {
    /// Number of requests answered without asking who makes them, after which IAM is enforced
    /// (`INITIAL_NO_AUTH_ACTION_COUNT`). Never enforced unless given; see also
    /// [`Moto::enforce_iam`].
    pub requests_before_iam: Option<u32>,
    /// Minimum size in bytes of every part except the last. Default: 5 MiB, as in S3.
    pub smallest_part: Option<u32>,
    /// Serve https with this certificate.
    pub certificate: Option<Certificate>,
    /// The address to listen on, loopback unless given.
    pub bind: Option<IpAddr>,
    /// The port to listen on, a free one unless given.
    pub port: Option<u16>,
    /// The node of a cluster that it runs in, at an address of that node and at a given port.
    pub inside: Option<Namespaces>,
}

/// A running moto server.
#[derive(Debug)]
pub struct Moto {
    server: Server,
}

impl Moto {
    /// Starts one that trusts everybody, over plain http.
    pub async fn start() -> Result<Self, ServerError> {
        Self::start_with(MotoOptions::default()).await
    }

    /// Starts one as asked.
    pub async fn start_with(options: MotoOptions) -> Result<Self, ServerError> {
        let ready = if options.certificate.is_some() {
            Ready::Accepts
        } else {
            Ready::Answers("/moto-api/config")
        };
        let mut plan = Plan::on_loopback(Recipe::Moto, ready);
        plan.bind = options.bind.unwrap_or(plan.bind);
        plan.port = options.port;
        plan.folder = options.inside.as_ref().map(|node| node.folder.clone());
        let scheme = if options.certificate.is_some() {
            "https"
        } else {
            "http"
        };
        let server = Server::start(
            plan,
            |site| {
                let program = site.folder.join("server.py");
                fs::write(&program, PROGRAM)?;
                let python = site.program.join("bin/python");
                let mut command = match &options.inside {
                    Some(node) => node.command(&python),
                    None => Command::new(python),
                };
                command
                    .env_clear()
                    .env("PYTHONDONTWRITEBYTECODE", "1")
                    .env("PYTHONUTF8", "1")
                    .env("TMPDIR", site.folder)
                    .current_dir(site.folder)
                    .arg(program)
                    .args([
                        "--host",
                        &site.bind.to_string(),
                        "--port",
                        &site.port.to_string(),
                    ]);
                if let Some(count) = options.requests_before_iam {
                    command.env("INITIAL_NO_AUTH_ACTION_COUNT", count.to_string());
                }
                if let Some(bytes) = options.smallest_part {
                    command.env("S3_UPLOAD_PART_MIN_SIZE", bytes.to_string());
                }
                if let Some(certificate) = &options.certificate {
                    command
                        .arg("--ssl-cert")
                        .arg(&certificate.certificate)
                        .arg("--ssl-key")
                        .arg(&certificate.key);
                }
                Ok(command)
            },
            |host| Access {
                certificate_authority: options
                    .certificate
                    .as_ref()
                    .map(|certificate| certificate.authority.clone()),
                ..Access::new(format!("{scheme}://{host}"), ACCESS_KEY, ACCESS_KEY)
            },
        )
        .await?;
        Ok(Self { server })
    }

    /// Its address, `http://host:port` or `https://host:port`.
    pub fn endpoint(&self) -> String {
        self.server.access.endpoint.clone()
    }

    /// Its address and keys.
    pub fn access(&self) -> &Access {
        &self.server.access
    }

    /// Where its IAM writes what it decides.
    pub(super) fn decisions_file(&self) -> PathBuf {
        self.server.process.log().with_file_name("decisions.jsonl")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.server.process.pid()
    }
}
