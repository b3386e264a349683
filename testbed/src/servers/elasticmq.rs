//! ElasticMQ: a second SQS, with the limits of AWS enforced (`sqs-limits = strict`).

use std::fs;
use std::process::Command;

use super::server::{Plan, Ready, Server};
use super::{Access, ServerError};
use crate::install::Recipe;

/// A running ElasticMQ.
#[derive(Debug)]
pub struct ElasticMq {
    server: Server,
}

impl ElasticMq {
    /// Starts one without queues.
    pub async fn start() -> Result<Self, ServerError> {
        let server = Server::start(
            Plan::on_loopback(Recipe::ElasticMq, Ready::Answers("/health")),
            |site| {
                let configuration = site.folder.join("elasticmq.conf");
                fs::write(
                    &configuration,
                    format!(
                        "include classpath(\"application.conf\")\n\
                         node-address {{ protocol = http, host = \"{host}\", port = {port}, context-path = \"\" }}\n\
                         rest-sqs {{ enabled = true, bind-hostname = \"{host}\", bind-port = {port}, sqs-limits = strict }}\n\
                         rest-stats {{ enabled = false }}\n",
                        host = site.bind,
                        port = site.port
                    ),
                )?;
                let mut command = Command::new("java");
                command
                    .current_dir(site.folder)
                    // Small and quick to start: it holds a few thousand messages.
                    .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
                    .arg(format!("-Dconfig.file={}", configuration.display()))
                    .arg(format!("-Djava.io.tmpdir={}", site.folder.display()))
                    .arg("-cp")
                    .arg(site.program.join("jars/*"))
                    .arg("org.elasticmq.server.Main");
                Ok(command)
            },
            |host| Access::new(format!("http://{host}"), "testbed", "testbed-secret"),
        )
        .await?;
        Ok(Self { server })
    }

    /// Its address, `http://host:port`.
    pub fn endpoint(&self) -> String {
        self.server.access.endpoint.clone()
    }

    /// Its address and keys.
    pub fn access(&self) -> &Access {
        &self.server.access
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.server.process.pid()
    }
}
