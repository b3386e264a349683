//! Adobe's S3Mock: slow, but it keeps keys exactly as they are (`a//b/../c`, newlines, quotes),
//! which servers over files cannot. Its conditional CompleteMultipartUpload is broken (it answers
//! 304 and loses the object): do not test that here.

use std::process::Command;

use super::server::{Plan, Ready, Server};
use super::{Access, ServerError};
use crate::install::Recipe;

/// A running S3Mock.
#[derive(Debug)]
pub struct S3Mock {
    server: Server,
}

impl S3Mock {
    /// Starts one without buckets.
    pub async fn start() -> Result<Self, ServerError> {
        let server = Server::start(
            Plan::on_loopback(Recipe::S3Mock, Ready::Answers("/")),
            |site| {
                let mut command = Command::new("java");
                command
                    .current_dir(site.folder)
                    .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
                    .arg(format!("-Djava.io.tmpdir={}", site.folder.display()))
                    .arg("-cp")
                    .arg(site.program.join("jars/*"))
                    .arg("com.adobe.testing.s3mock.S3MockApplication")
                    .arg(format!(
                        "--com.adobe.testing.s3mock.http-port={}",
                        site.port
                    ))
                    .arg(format!("--server.address={}", site.bind))
                    // Its https port, which nobody uses.
                    .arg("--server.port=0");
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
