//! The demo without a cluster: one process groups and bundles.

use std::path::Path;

use super::{
    DemoError, RUN, another_time, archive, destination, look_at_archives, plan, s3bundler, say,
    source, verify,
};
use crate::cli::Program;
use crate::client;
use crate::servers::Moto;

/// Runs the demo on the command line; gives the server that still holds everything.
pub async fn locally(program: &Path, files: &Path) -> Result<Moto, DemoError> {
    say("Starting a local S3 (moto)");
    let server = Moto::start().await?;
    let client = client::s3(server.access());
    let (sources, manifest) = source::lay_out(&client, files).await?;
    let program = Program::new(program).access(server.access());
    let destination = destination();
    let arguments = [
        "run",
        "--inventory",
        &manifest,
        "--destination",
        &destination,
        "--name",
        RUN,
    ];
    let limits = ["--max-objects", "1000", "--max-object-size", "8MiB"];
    plan(program.clone(), &manifest, &limits).await?;
    s3bundler(program.clone(), &[&arguments[..], &limits].concat()).await?;
    verify(program).await?;
    archive::look_inside(&client, &sources).await?;
    Ok(server)
}

/// What to look at on the server: now, if it is kept, and otherwise the next time.
pub fn where_to_look_locally(server: &Moto, s3bundler: &Path, is_kept: bool) -> String {
    let looks = look_at_archives(s3bundler);
    if !is_kept {
        return format!("{}\n{looks}", another_time("make demo-local", "the server"));
    }
    let exports = server
        .access()
        .environment()
        .into_iter()
        .map(|(name, value)| format!("    export {name}={value}\n"));
    format!(
        "The server is up until Ctrl-C. In another shell:\n{}{looks}",
        exports.collect::<String>()
    )
}
