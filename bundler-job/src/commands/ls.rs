//! `s3bundler ls`: the runs of a destination, the groups of a run, or one group.

use s3bundler_common::failure::Failure;
use s3bundler_common::shutdown::Shutdown;
use s3bundler_common::text::printable;
use s3bundler_contract::{ExitCode, Figures, HasExitCode as _, KeyLayout};

use super::output;
use crate::args::{GlobalArgs, LsArgs};
use crate::runs::{
    GroupDetail, GroupsReport, RunsError, RunsReport, list_groups, list_runs, show_group,
};
use crate::s3::{S3, load_config};
use crate::table::Table;

/// Lists what there is.
pub async fn ls(args: LsArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let options = global.s3_options(Some(&args.destination.destination))?;
    let destination = args.destination.resolve(KeyLayout::Hashed)?;
    let shutdown = Shutdown::listen().map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    let s3 = S3::new(load_config(&options).await?, &options);
    let listing = async {
        let written = match (&args.run, &args.group) {
            (None, _) => {
                let report = list_runs(&s3, &destination).await?;
                output::write(&report, || runs(&report), global.output)
            }
            (Some(run), None) => {
                let report = list_groups(&s3, &destination, run).await?;
                output::write(&report, || groups(&report), global.output)
            }
            (Some(run), Some(group)) => {
                let detail = show_group(&s3, &destination, run, &group.of(run)).await?;
                output::write(&detail, || group_text(&detail), global.output)
            }
        };
        Ok::<_, RunsError>(written)
    };
    let written = tokio::select! {
        listed = Box::pin(listing) => {
            listed.map_err(|error| Failure::new(error.exit_code(), error))?
        }
        () = shutdown.token().cancelled() => {
            let exit = shutdown.by().unwrap_or(ExitCode::Terminated);
            return Err(Failure::new(exit, "ended by a signal, with nothing listed"));
        }
    };
    written.map_err(|error| Failure::new(ExitCode::Local, format!("standard output: {error}")))
}

fn runs(report: &RunsReport) -> String {
    let mut table = Table::new(
        [
            "run", "began", "state", "groups", "missing", "archived", "copied", "failed", "bytes",
        ],
        3,
    );
    for run in &report.runs {
        let mut figures = run.objects.clone();
        figures.add(&run.manifests);
        let [archived, copied, failed, bytes] = cells(&figures);
        let began = run.began.clone().unwrap_or_else(|| "-".to_owned());
        table.row([
            run.run.to_string(),
            began,
            run.state.as_str().to_owned(),
            run.groups.to_string(),
            run.missing_groups.to_string(),
            archived,
            copied,
            failed,
            bytes,
        ]);
    }
    let count = match report.runs.len() {
        1 => "1 run".to_owned(),
        count => format!("{count} runs"),
    };
    let destination = report.destination.to_string();
    let destination = printable(&destination);
    let totals = total(&report.totals);
    format!("{}{count} in {destination}: {totals}\n", table.text())
}

fn groups(report: &GroupsReport) -> String {
    let mut table = Table::new(
        [
            "group", "state", "archived", "copied", "failed", "bytes", "reasons",
        ],
        2,
    );
    for group in &report.groups {
        let figures = group.objects.clone().unwrap_or_default();
        let [archived, copied, failed, bytes] = cells(&figures);
        table.row([
            group.group.to_string(),
            group.state.as_str().to_owned(),
            archived,
            copied,
            failed,
            bytes,
            reasons(&figures),
        ]);
    }
    let count = match report.groups.len() {
        1 => "1 group".to_owned(),
        count => format!("{count} groups"),
    };
    let (run, totals) = (&report.run, total(&report.totals));
    format!("{}{count} of {run}: {totals}\n", table.text())
}

fn group_text(detail: &GroupDetail) -> String {
    let mut table = Table::new(["group", detail.entry.group.as_str()], 2);
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            table.row([name.to_owned(), printable(&value).into_owned()]);
        }
    };
    row("run", Some(detail.run.to_string()));
    row("state", Some(detail.entry.state.as_str().to_owned()));
    if let Some(figures) = &detail.entry.objects {
        row("objects", Some(total(figures)));
        row(
            "failed for",
            Some(reasons(figures)).filter(|it| !it.is_empty()),
        );
    }
    row("catalog", detail.catalog.as_ref().map(ToString::to_string));
    row(
        "manifest",
        detail.manifest.as_ref().map(ToString::to_string),
    );
    row("attempt", detail.attempt.clone());
    row("archive", detail.archive.as_ref().map(ToString::to_string));
    row(
        "archive bytes",
        detail.archive_size.map(|it| it.to_string()),
    );
    row("storage class", detail.storage_class.clone());
    row("program", detail.program.clone());
    table.text()
}

fn cells(figures: &Figures) -> [String; 4] {
    [
        figures.archived,
        figures.copied,
        figures.failed_objects(),
        figures.bytes(),
    ]
    .map(|it| it.to_string())
}

fn reasons(figures: &Figures) -> String {
    let reasons = figures.failed.iter();
    let reasons: Vec<_> = reasons
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    reasons.join(", ")
}

fn total(figures: &Figures) -> String {
    let [archived, copied, failed, bytes] = cells(figures);
    format!("{archived} archived, {copied} copied, {failed} failed, {bytes} bytes")
}
