//! `s3bundler verify`: proves a run from S3 alone, prints the report, and ends in 8 where something
//! was found.

use s3bundler_common::failure::Failure;
use s3bundler_common::shutdown::Shutdown;
use s3bundler_contract::{ExitCode, KeyLayout};

use super::output;
use crate::args::{GlobalArgs, VerifyArgs};
use crate::progress::{Progress, ProgressStyle};
use crate::s3::{S3, load_config};
use crate::termination;
use crate::verify::{ORPHAN_AGE, VerifyRequest, verify as verify_run};

/// Runs it.
pub async fn verify(args: VerifyArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let options = global.s3_options(Some(&args.destination.destination))?;
    let request = VerifyRequest {
        // Catalogs name their archives: which layout the run has need not be known.
        destination: args.destination.resolve(KeyLayout::Hashed)?,
        run: args.name,
        full: args.full,
        repair: args.repair,
        orphan_age: ORPHAN_AGE,
        groups: usize::from(args.groups),
        scratch: args.scratch.unwrap_or_else(std::env::temp_dir),
        crc64nvme: !global.requests.no_crc64nvme,
    };
    let shutdown = Shutdown::listen().map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    let s3 = S3::new(load_config(&options).await?, &options);
    let progress = Progress::start(ProgressStyle::for_stderr());
    let verified = tokio::select! {
        verified = Box::pin(verify_run(&s3, &request, &progress)) => verified,
        () = shutdown.token().cancelled() => {
            let exit = shutdown.by().unwrap_or(ExitCode::Terminated);
            return Err(Failure::new(exit, "ended by a signal, with nothing proved"));
        }
    };
    progress.finish();
    let report = verified?;
    // The report is all that the command is for: where it cannot be written, nothing is proved.
    output::write(&report, || report.to_string(), global.output)
        .map_err(|error| Failure::new(ExitCode::Local, format!("standard output: {error}")))?;
    termination::write(&args.termination_log, &report.verification().to_line());
    match report.findings.len() {
        0 => Ok(()),
        1 => Err(Failure::new(
            ExitCode::Findings,
            format!("run {}: 1 finding", report.run),
        )),
        count => Err(Failure::new(
            ExitCode::Findings,
            format!("run {}: {count} findings", report.run),
        )),
    }
}
