//! proxy.py: an HTTP proxy that clients are told of, by `HTTPS_PROXY`, and that wants to know their
//! name.

use std::io;
use std::process::Command;

use super::server::{Plan, Ready, Server};
use super::{Access, ServerError};
use crate::install::Recipe;

const CREDENTIALS: &str = "company:secret";

/// A running proxy.
#[derive(Debug)]
pub struct ForwardProxy {
    server: Server,
}

impl ForwardProxy {
    /// Starts one that lets its user through to anywhere.
    pub async fn start() -> Result<Self, ServerError> {
        let server = Server::start(
            Plan::on_loopback(Recipe::ProxyPy, Ready::Accepts),
            |site| {
                let mut command = Command::new("python3");
                command
                    .env("PYTHONDONTWRITEBYTECODE", "1")
                    .env("PYTHONPATH", site.program)
                    .env("HOME", site.folder)
                    .current_dir(site.folder)
                    .args([
                        "-m",
                        "proxy",
                        "--hostname",
                        &site.bind.to_string(),
                        "--port",
                        &site.port.to_string(),
                    ])
                    .args([
                        "--num-acceptors",
                        "1",
                        "--num-workers",
                        "1",
                        "--basic-auth",
                        CREDENTIALS,
                    ]);
                Ok(command)
            },
            |host| Access::new(format!("http://{CREDENTIALS}@{host}"), "", ""),
        )
        .await?;
        Ok(Self { server })
    }

    /// For `HTTPS_PROXY`: its address with user and password.
    pub fn url(&self) -> &str {
        &self.server.access.endpoint
    }

    /// The hosts that it was asked for a tunnel to, as `host:port`, each time. It tells when a
    /// tunnel is closed.
    pub fn tunnels(&self) -> io::Result<Vec<String>> {
        let log = std::fs::read_to_string(self.server.process.log())?;
        let asked = log
            .lines()
            .filter_map(|line| line.split_once(" - CONNECT ")?.1.split(' ').next());
        Ok(asked.map(str::to_owned).collect())
    }
}
