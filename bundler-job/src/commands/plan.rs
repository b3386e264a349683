//! `s3bundler plan`: what a run will do and cost, before anything is written.

use jiff::Timestamp;
use s3bundler_common::failure::Failure;
use s3bundler_common::shutdown::Shutdown;
use s3bundler_contract::ExitCode;

use super::{origin, output};
use crate::args::{EncryptionType, GlobalArgs, PlanArgs};
use crate::budget::budget;
use crate::destination::Destination;
use crate::group::{DryOrigin, DryRequest};
use crate::plan::prices::PriceList;
use crate::plan::{PlanRequest, Report, Work, plan as plan_run};
use crate::s3::{S3, load_config};

/// Plans a run.
pub async fn plan(args: PlanArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let shutdown = Shutdown::listen().map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    // Before anything is read: a billion rows take half an hour.
    let prices = match &args.prices {
        Some(file) => PriceList::read(file),
        None => PriceList::built_in(),
    }?;
    let options = args
        .work
        .s3_options(global.s3_options(args.destination.as_ref())?);
    let destination = destination(&args)?;
    let s3 = S3::new(load_config(&options).await?, &options);
    s3.outages().stop_with(shutdown.token());
    let planning = async {
        let into = destination.as_ref().map(|it| (it, &args.name));
        let rows = match &args.listing {
            Some(listing) => Some(DryOrigin::Listing(listing.clone())),
            None => origin(&args.origin, &s3, into).await?.map(DryOrigin::Run),
        };
        // The parser has seen to it that there is one.
        let needed = "one of --inventory, --inventory-latest, --manifests and --listing is needed";
        let rows = rows.ok_or_else(|| Failure::new(ExitCode::Usage, needed))?;
        let request = request(&args, global, rows, destination.clone(), prices)?;
        let planned = plan_run(&s3, &request).await?;
        Ok::<_, Failure>((planned, request))
    };
    let (planned, request) = tokio::select! {
        // First: what waits for a bucket fails then.
        biased;
        () = shutdown.token().cancelled() => {
            let exit = shutdown.by().unwrap_or(ExitCode::Terminated);
            return Err(Failure::new(exit, "ended by a signal, with nothing planned"));
        }
        planned = planning => planned?,
    };
    let origin = match &request.rows.origin {
        DryOrigin::Run(origin) => origin.to_string(),
        DryOrigin::Listing(prefix) => prefix.to_string(),
    };
    let report = Report::of(&planned, &request, &origin);
    // The report is all that the command is for.
    output::write(&report, || report.text(), global.output)
        .map_err(|error| Failure::new(ExitCode::Local, format!("standard output: {error}")))
}

/// Where the run would write, if that is known.
fn destination(args: &PlanArgs) -> Result<Option<Destination>, Failure> {
    let key_layout = args.archive.options().key_layout;
    args.destination
        .as_ref()
        .map(|address| Destination::new(address, key_layout))
        .transpose()
        .map_err(|error| Failure::new(ExitCode::Usage, error))
}

fn request(
    args: &PlanArgs,
    global: &GlobalArgs,
    origin: DryOrigin,
    destination: Option<Destination>,
    prices: PriceList,
) -> Result<PlanRequest, Failure> {
    let archive = args.archive.options();
    let encryption = global.requests.encryption;
    Ok(PlanRequest {
        rows: DryRequest {
            origin,
            select: args.grouping.select(),
            group: args.grouping.group(),
            run: args.name.clone(),
            destination,
            scratch: super::scratch(args.work.scratch.clone(), None)?,
        },
        archive,
        manifest_storage_class: args.grouping.manifest_storage_class.clone(),
        work: args
            .workers
            .map_or(Work::Run, |workers| Work::Queue { workers }),
        memory: budget(args.work.memory),
        groups: args.work.groups.into(),
        scratch_size: args.work.scratch_size,
        max_requests_per_second: args
            .work
            .max_requests_per_second
            .and_then(std::num::NonZeroU32::new),
        rate: args.rate,
        tagged_share: args.tagged_share.map(|share| share.0),
        ratio: args.ratio.map(|ratio| ratio.0),
        sample: args.sample.into(),
        writes_with_kms: matches!(encryption, EncryptionType::SseKms | EncryptionType::DsseKms),
        prices,
        now: Timestamp::now(),
    })
}
