//! `s3bundler group`: an inventory to group manifests, and one message a group to a queue where
//! there is one. With `--retry-pass` the same with the rows that failed.

use std::collections::BTreeMap;

use s3bundler_common::failure::Failure;
use s3bundler_common::shutdown::Shutdown;
use s3bundler_contract::{ExitCode, LeftOut};
use serde::Serialize;

use super::figures::{by_reason, line};
use super::{origin, output, scratch};
use crate::args::{GlobalArgs, GroupArgs};
use crate::destination::Destination;
use crate::group::{self, GroupError, GroupRequest, Grouped, RedoRequest, RetryRequest};
use crate::queue::SqsQueue;
use crate::s3::{S3, load_config};
use crate::termination;

/// What the arguments ask for.
enum Request {
    Inventory(Box<GroupRequest>),
    Retry(RetryRequest),
    Redo(RedoRequest),
}

/// Groups an inventory, or what failed of a run.
pub async fn group(args: GroupArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let shutdown = Shutdown::listen().map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    let options = args
        .outage
        .s3_options(global.s3_options(Some(&args.destination.destination))?);
    let config = load_config(&options).await?;
    let queue = match &args.queue {
        Some(queue) => Some(SqsQueue::connect(&config, queue).await?),
        None => None,
    };
    let s3 = S3::new(config, &options);
    s3.outages().stop_with(shutdown.token());
    let grouping = async {
        let request = request(&args, &s3).await?;
        let grouped = match &request {
            Request::Inventory(request) => group::group(&s3, request, queue.as_ref(), |_| ())
                .await
                .map_err(|error| not_begun(&args, error))?,
            Request::Retry(request) => group::retry(&s3, request, queue.as_ref(), |_| ()).await?,
            Request::Redo(request) => group::redo(&s3, request, queue.as_ref(), |_| ()).await?,
        };
        Ok::<_, Failure>((request, grouped))
    };
    let (request, grouped) = tokio::select! {
        // First: what waits for a bucket fails then.
        biased;
        () = shutdown.token().cancelled() => return Err(super::ended_by(&shutdown)),
        grouped = grouping => grouped?,
    };
    let report = Report::of(&request, &grouped);
    output::print(&report, || report.text(queue.is_some()), global.output);
    Ok(())
}

async fn request(args: &GroupArgs, s3: &S3) -> Result<Request, Failure> {
    let archive = args.archive.options();
    let (run, destination) = (
        args.name.clone(),
        args.destination.resolve(archive.key_layout)?,
    );
    let manifest_storage_class = args.grouping.manifest_storage_class.clone();
    let scratch = scratch(args.scratch.clone(), args.scratch_size)?;
    if let Some(redo) = args.redo {
        let groups = args.groups.iter().cloned().collect();
        return Ok(Request::Redo(RedoRequest {
            run,
            destination,
            redo,
            groups,
            manifest_storage_class,
            scratch,
        }));
    }
    if let Some(pass) = args.retry_pass {
        let reasons = args.retry.reasons();
        return Ok(Request::Retry(RetryRequest {
            run,
            destination,
            pass,
            reasons,
            manifest_storage_class,
            scratch,
        }));
    }
    let origin = origin(&args.origin, s3, Some((&destination, &run))).await;
    // The parser has seen to it that one is named.
    let origin = origin
        .map_err(|error| not_begun(args, error))?
        .ok_or_else(|| {
            Failure::new(
                ExitCode::Usage,
                "one of --inventory, --inventory-latest, --manifests, --retry-pass and --redo is \
                 needed",
            )
        })?;
    Ok(Request::Inventory(Box::new(GroupRequest {
        origin,
        run,
        destination,
        select: args.grouping.select(),
        group: args.grouping.group(),
        archive,
        manifest_storage_class,
        owner: args.owner.clone(),
        acknowledge: args.acknowledge.clone(),
        scratch,
    })))
}

/// The failure of a grouping of the run's own groups. What the run waits for is told to the program
/// that started the container.
fn not_begun(args: &GroupArgs, error: GroupError) -> Failure {
    if let Some(end) = error.termination() {
        termination::write(&args.termination_log, &end.to_line());
    }
    error.into()
}

/// What `group` says at its end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    run: &'a str,
    /// Only where it was one that was grouped.
    #[serde(flatten)]
    inventory: Option<InventoryReport<'a>>,
    /// Only of a retry pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_pass: Option<u32>,
    /// Only of a redo.
    #[serde(skip_serializing_if = "Option::is_none")]
    redo: Option<u32>,
    destination: String,
    groups: u64,
    objects: u64,
    bytes: u64,
    /// Messages sent.
    sent: u64,
    /// Groups that have a receipt, and so got no message.
    already_archived: u64,
    /// Whether an earlier start had claimed the run, or begun the retry pass.
    resumed: bool,
}

/// What only an inventory has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct InventoryReport<'a> {
    inventory: String,
    rows: u64,
    left_out: &'a BTreeMap<LeftOut, u64>,
}

impl<'a> Report<'a> {
    fn of(request: &'a Request, grouped: &'a Grouped) -> Self {
        let Grouped {
            summary,
            sent,
            already_archived,
            resumed,
        } = grouped;
        let (inventory, Destination { bucket, layout }) = match request {
            Request::Inventory(request) => (Some(request.origin.to_string()), &request.destination),
            Request::Retry(request) => (None, &request.destination),
            Request::Redo(request) => (None, &request.destination),
        };
        let (rows, left_out) = (summary.rows, &summary.left_out);
        Self {
            run: summary.run.as_str(),
            inventory: inventory.map(|inventory| InventoryReport {
                inventory,
                rows,
                left_out,
            }),
            retry_pass: summary.stage().pass().filter(|pass| *pass > 0),
            redo: (summary.redo > 0).then_some(summary.redo),
            destination: format!("s3://{bucket}/{}", layout.root()),
            groups: summary.groups,
            objects: summary.objects,
            bytes: summary.bytes,
            sent: *sent,
            already_archived: *already_archived,
            resumed: *resumed,
        }
    }

    fn text(&self, queue: bool) -> String {
        let Self {
            run,
            groups,
            objects,
            bytes,
            sent,
            already_archived,
            resumed,
            ..
        } = self;
        let again = if *resumed { ", as before" } else { "" };
        let mut lines = match (self.retry_pass, self.redo) {
            (Some(pass), _) if *groups == 0 => {
                return format!("run {run} has nothing to retry in pass {pass}\n");
            }
            (Some(pass), _) => vec![format!(
                "retry pass {pass} of run {run} is grouped: {groups} groups{again}"
            )],
            (None, Some(redo)) => vec![format!(
                "redo {redo} of run {run} is grouped: {groups} groups{again}"
            )],
            (None, None) => vec![format!("run {run} is grouped: {groups} groups{again}")],
        };
        let mut add = |name: &str, value: String| lines.push(line(name, &value));
        if let Some(InventoryReport { rows, .. }) = &self.inventory {
            add("inventory", format!("{rows} rows"));
        }
        add(
            "in groups",
            format!("{objects} objects, {}", indicatif::BinaryBytes(*bytes)),
        );
        if let Some(InventoryReport { left_out, .. }) = &self.inventory {
            add(
                "left out",
                format!(
                    "{} rows{}",
                    left_out.values().sum::<u64>(),
                    by_reason(left_out)
                ),
            );
        }
        if *already_archived > 0 {
            add(
                "archived",
                format!("{already_archived} groups have a receipt"),
            );
        }
        add(
            "messages",
            if queue {
                format!("{sent} sent")
            } else {
                "none sent: no --queue was given".to_owned()
            },
        );
        lines.join("\n") + "\n"
    }
}
