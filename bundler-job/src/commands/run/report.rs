//! What `run` prints at its end, for people and for machines.

use std::collections::BTreeMap;
use std::time::Instant;

use s3bundler_common::failure::Failure;
use s3bundler_contract::figures::sum;
use s3bundler_contract::{ExitCode, LeftOut, RunSummary};
use serde::Serialize;

use crate::args::OutputFormat;
use crate::commands::figures::{Listed, by_reason, figures_lines, line};
use crate::commands::output;
use crate::destination::Destination;
use crate::group::GroupRequest;
use crate::run_totals::RunTotals;

/// What `run` says at its end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    run: &'a str,
    inventory: String,
    destination: String,
    groups: u64,
    /// Groups that an earlier invocation had archived.
    groups_before: u64,
    rows: u64,
    /// Bytes of the rows in groups, by the inventory.
    listed_bytes: u64,
    left_out: &'a BTreeMap<LeftOut, u64>,
    #[serde(flatten)]
    totals: &'a RunTotals,
    seconds: f64,
}

pub(super) fn report(
    request: &GroupRequest,
    summary: &RunSummary,
    totals: &RunTotals,
    groups_before: u64,
    started: Instant,
    verdict: Option<&Failure>,
    format: OutputFormat,
) {
    let Destination { bucket, layout } = &request.destination;
    let report = Report {
        run: request.run.as_str(),
        inventory: request.origin.to_string(),
        destination: format!("s3://{bucket}/{}", layout.root()),
        groups: summary.groups,
        groups_before,
        rows: summary.rows,
        listed_bytes: summary.bytes,
        left_out: &summary.left_out,
        totals,
        seconds: started.elapsed().as_secs_f64(),
    };
    output::print(&report, || text(&report, verdict), format);
}

fn text(report: &Report<'_>, verdict: Option<&Failure>) -> String {
    let Report {
        run,
        groups,
        groups_before,
        rows,
        left_out,
        destination,
        ..
    } = report;
    let is_whole = verdict.is_none_or(|verdict| verdict.exit == ExitCode::TooManyFailed);
    let mut lines = vec![if !is_whole {
        format!("run {run} is NOT complete: {groups} groups, {groups_before} of them from before")
    } else if groups_before == groups {
        format!("run {run} was complete: {groups} groups, nothing to do")
    } else {
        format!("run {run} is complete: {groups} groups, {groups_before} of them from before")
    }];
    lines.push(line("inventory", &format!("{rows} rows")));
    let listed = Listed {
        bytes: report.listed_bytes,
        by: "the inventory lists",
    };
    lines.extend(figures_lines(&report.totals.figures, &listed));
    lines.push(line(
        "left out",
        &format!("{} rows{}", sum(left_out.values()), by_reason(left_out)),
    ));
    lines.push(line("took", &format!("{:.1} s", report.seconds)));
    lines.push(format!(
        "verify it with: s3bundler verify --destination {} --name {run}",
        destination.trim_end_matches('/')
    ));
    lines.join("\n") + "\n"
}
