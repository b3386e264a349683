//! What `run` prints at its end, for people and for machines.

use std::collections::BTreeMap;
use std::time::Instant;

use s3bundler_contract::figures::sum;
use s3bundler_contract::{ExitCode, LeftOut, RunSummary};
use serde::Serialize;

use crate::args::{Destination, OutputFormat};
use crate::failure::Failure;
use crate::group::GroupRequest;
use crate::run_totals::RunTotals;
use crate::stdout;

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
    output: OutputFormat,
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
    match output {
        OutputFormat::Json => {
            let json = serde_json::to_string_pretty(&report).expect("plain fields are JSON");
            stdout::print(&format!("{json}\n"));
        }
        OutputFormat::Text => stdout::print(&text(&report, verdict)),
    }
}

fn text(report: &Report<'_>, verdict: Option<&Failure>) -> String {
    let figures = &report.totals.figures;
    let Report { run, groups, groups_before, rows, left_out, destination, .. } = report;
    let is_whole = verdict.is_none_or(|verdict| verdict.exit == ExitCode::TooManyFailed);
    let mut lines = vec![if !is_whole {
        format!("run {run} is NOT complete: {groups} groups, {groups_before} of them from before")
    } else if groups_before == groups {
        format!("run {run} was complete: {groups} groups, nothing to do")
    } else {
        format!("run {run} is complete: {groups} groups, {groups_before} of them from before")
    }];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<12} {value}"));
    line("inventory", format!("{rows} rows"));
    let found = figures.archived_bytes.saturating_add(figures.copied_bytes);
    if let Some(sizes) = beyond_the_listed(report.listed_bytes, found) {
        line("sizes", sizes);
    }
    line("archived", format!("{} objects, {}", figures.archived, human(figures.archived_bytes)));
    line("copied", format!("{} objects, {}", figures.copied, human(figures.copied_bytes)));
    line("failed", format!("{} objects{}", figures.failed_objects(), by_reason(&figures.failed)));
    line("left out", format!("{} rows{}", sum(left_out.values()), by_reason(left_out)));
    line("took", format!("{:.1} s", report.seconds));
    lines.push(format!(
        "verify it with: s3bundler verify --destination {} --name {run}",
        destination.trim_end_matches('/')
    ));
    lines.join("\n") + "\n"
}

/// What is to be said if there were more bytes than the inventory lists: groups are cut by the listed sizes.
fn beyond_the_listed(listed: u64, found: u64) -> Option<String> {
    match found.checked_sub(listed) {
        None | Some(0) => None,
        Some(_) if listed == 0 => Some("the inventory lists none, so --max-size could not be kept".to_owned()),
        Some(more) => Some(format!("{} more than the inventory lists, so --max-size may not be kept", human(more))),
    }
}

pub(super) fn by_reason<R: std::fmt::Display>(counts: &BTreeMap<R, u64>) -> String {
    let counts: Vec<_> = counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) }
}

fn human(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_bytes_than_the_inventory_lists_are_reported() {
        for (listed, found, expected) in [
            (0, 0, None),
            (10, 10, None),
            (10, 9, None),
            (0, 1, Some("the inventory lists none, so --max-size could not be kept")),
            (1, 1 + 1024, Some("1.00 KiB more than the inventory lists, so --max-size may not be kept")),
        ] {
            assert_eq!(beyond_the_listed(listed, found).as_deref(), expected, "{listed} {found}");
        }
    }
}
