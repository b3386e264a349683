//! Versity gateway over a folder: a fast, real S3 server whose objects are files. Keys that are not
//! file paths (`a` beside `a/b`, `//`, `.` and `..`) are beyond it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::server::{Plan, Ready, Server};
use super::{Access, ServerError};
use crate::install::Recipe;

const ACCESS_KEY: &str = "testbed";
const SECRET_KEY: &str = "testbed-secret";

/// How to start a [`VersityGw`].
#[derive(Debug, Clone, Default)]
pub struct VersityGwOptions {
    /// The folder whose sub-folders are the buckets; a temporary one unless given. It must allow
    /// extended attributes.
    pub folder: Option<PathBuf>,
    /// Whether buckets can have versioning switched on.
    pub versioning: bool,
    /// The address to listen on, loopback unless given.
    pub bind: Option<std::net::IpAddr>,
    /// The port to listen on, a free one unless given.
    pub port: Option<u16>,
}

/// A running Versity gateway.
#[derive(Debug)]
pub struct VersityGw {
    server: Server,
}

impl VersityGw {
    /// Starts one over an empty temporary folder.
    pub async fn start() -> Result<Self, ServerError> {
        Self::start_with(VersityGwOptions::default()).await
    }

    /// Starts one as asked.
    pub async fn start_with(options: VersityGwOptions) -> Result<Self, ServerError> {
        let mut plan = Plan::on_loopback(Recipe::VersityGw, Ready::Answers("/-/ready"));
        plan.bind = options.bind.unwrap_or(plan.bind);
        plan.port = options.port;
        let server = Server::start(
            plan,
            |site| {
                let data = options
                    .folder
                    .clone()
                    .unwrap_or_else(|| site.folder.join("data"));
                fs::create_dir_all(&data)?;
                let mut command = Command::new(site.program.join("versitygw"));
                command
                    .env_clear()
                    .env("ROOT_ACCESS_KEY", ACCESS_KEY)
                    .env("ROOT_SECRET_KEY", SECRET_KEY)
                    .current_dir(site.folder)
                    .arg("--port")
                    .arg(std::net::SocketAddr::new(site.bind, site.port).to_string())
                    // Without it every answer closes its connection.
                    .arg("--keep-alive")
                    .args(["--quiet", "--health", "/-/ready", "posix"]);
                if options.versioning {
                    let versions = site.folder.join("versions");
                    fs::create_dir_all(&versions)?;
                    command.arg("--versioning-dir").arg(versions);
                }
                command.arg(data);
                Ok(command)
            },
            |host| Access::new(format!("http://{host}"), ACCESS_KEY, SECRET_KEY),
        )
        .await?;
        Ok(Self { server })
    }

    /// Its address, `http://host:port`.
    pub fn endpoint(&self) -> String {
        self.server.access.endpoint.clone()
    }

    /// Its address and root keys.
    pub fn access(&self) -> &Access {
        &self.server.access
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.server.process.pid()
    }
}
