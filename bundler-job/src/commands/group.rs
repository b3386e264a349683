//! `s3bundler group`: an inventory to group manifests, and one message a group to a queue where there is one.

use std::collections::BTreeMap;

use s3bundler_contract::{ExitCode, LeftOut};
use serde::Serialize;

use crate::args::{GlobalArgs, GroupArgs, OutputFormat};
use crate::failure::Failure;
use crate::group::{self, GroupRequest, Grouped};
use crate::queue::SqsQueue;
use crate::s3::{S3, load_config};
use crate::signals::Shutdown;

/// Groups an inventory.
pub async fn group(args: GroupArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let shutdown = Shutdown::listen().map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    let request = request(&args)?;
    let options = global.s3_options();
    let config = load_config(&options).await?;
    let queue = match &args.queue {
        Some(queue) => Some(SqsQueue::connect(&config, queue).await?),
        None => None,
    };
    let s3 = S3::new(config, &options);
    let grouped = tokio::select! {
        grouped = group::group(&s3, &request, queue.as_ref(), |_| ()) => {
            grouped.map_err(|error| Failure::new(error.exit(), error))?
        }
        () = shutdown.token().cancelled() => {
            let exit = shutdown.by().unwrap_or(ExitCode::Terminated);
            return Err(Failure::new(exit, "ended by a signal; the same command goes on where this one stopped"));
        }
    };
    report(&request, &grouped, queue.is_some(), global.output);
    Ok(())
}

/// What the arguments ask for.
fn request(args: &GroupArgs) -> Result<GroupRequest, Failure> {
    let archive = args.archive.options();
    let grouping = &args.inventory.grouping;
    Ok(GroupRequest {
        inventory: args.inventory.inventory.clone(),
        run: args.inventory.name.clone(),
        destination: args.destination.resolve(archive.key_layout)?,
        select: grouping.select(),
        group: grouping.group(),
        archive,
        manifest_storage_class: grouping.manifest_storage_class.clone(),
        owner: "s3bundler group".to_owned(),
    })
}

/// What `group` says at its end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    run: &'a str,
    inventory: String,
    destination: String,
    groups: u64,
    objects: u64,
    bytes: u64,
    /// Rows of the inventory.
    rows: u64,
    left_out: &'a BTreeMap<LeftOut, u64>,
    /// Messages sent.
    sent: u64,
    /// Groups that have a receipt, and so got no message.
    already_archived: u64,
    /// Whether an earlier start had claimed the run.
    resumed: bool,
}

fn report(request: &GroupRequest, grouped: &Grouped, queue: bool, output: OutputFormat) {
    let summary = &grouped.summary;
    let report = Report {
        run: request.run.as_str(),
        inventory: request.inventory.to_string(),
        destination: request.destination.address(request.destination.layout.root()).to_string(),
        groups: summary.groups,
        objects: summary.objects,
        bytes: summary.bytes,
        rows: summary.rows,
        left_out: &summary.left_out,
        sent: grouped.sent,
        already_archived: grouped.already_archived,
        resumed: grouped.resumed,
    };
    match output {
        OutputFormat::Json => {
            println!("{}", serde_json::to_string_pretty(&report).expect("plain fields are JSON"));
        }
        OutputFormat::Text => print!("{}", text(&report, queue)),
    }
}

fn text(report: &Report<'_>, queue: bool) -> String {
    let Report { run, groups, objects, bytes, rows, left_out, sent, already_archived, resumed, .. } = report;
    let again = if *resumed { ", as before" } else { "" };
    let mut lines = vec![format!("run {run} is grouped: {groups} groups{again}")];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<12} {value}"));
    line("inventory", format!("{rows} rows"));
    line("in groups", format!("{objects} objects, {}", indicatif::BinaryBytes(*bytes)));
    line("left out", format!("{} rows{}", left_out.values().sum::<u64>(), by_reason(left_out)));
    if *already_archived > 0 {
        line("archived", format!("{already_archived} groups have a receipt"));
    }
    line("messages", if queue { format!("{sent} sent") } else { "none sent: no --queue was given".to_owned() });
    lines.join("\n") + "\n"
}

fn by_reason(counts: &BTreeMap<LeftOut, u64>) -> String {
    let counts: Vec<_> = counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) }
}
