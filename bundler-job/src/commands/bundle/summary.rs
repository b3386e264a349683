//! What the groups of a `bundle` add up to, and what it prints at its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use s3bundler_common::failure::Failure;
use s3bundler_contract::ExitCode;
use serde::Serialize;

use super::Archived;
use crate::args::OutputFormat;
use crate::bundle::GroupReport;
use crate::commands::failures::Failures;
use crate::commands::figures::{Listed, figures_lines, line};
use crate::commands::output;
use crate::worker_status::WorkerStatus;

/// What the groups of this process add up to, shared by their tasks.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    counted: Arc<Mutex<Counted>>,
    pub(super) activity: WorkerStatus,
}

#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) summary: Summary,
    pub(super) failures: Failures,
}

impl Figures {
    pub(super) fn lock(&self) -> MutexGuard<'_, Counted> {
        // Nothing panics while it holds the lock.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// An error if groups failed and none was archived, by this process or before.
    pub(super) fn nothing_but_failures(&mut self) -> Result<(), Failure> {
        let Summary {
            groups_archived,
            groups_archived_before,
            groups_failed,
            ..
        } = self.summary;
        if groups_failed == 0 || groups_archived + groups_archived_before > 0 {
            return Ok(());
        }
        let unexpected = format!("all tries at a group failed ({groups_failed}), see the log");
        let failures = std::mem::take(&mut self.failures);
        failures.into_result(&format!(
            "no group was archived: all {groups_failed} tries failed"
        ))?;
        // A panic leaves no failure behind.
        Err(Failure::new(ExitCode::Unexpected, unexpected))
    }

    pub(super) fn add(&mut self, result: &Archived, was_cancelled: bool) {
        match result {
            Ok(GroupReport {
                committed_here: false,
                ..
            }) => self.summary.groups_archived_before += 1,
            Ok(report) => self.summary.add(report),
            // Not failed: given back.
            Err(_) if was_cancelled => self.summary.groups_stopped += 1,
            Err(failure) => {
                self.summary.groups_failed += 1;
                self.failures.add(&failure.cause);
            }
        }
    }
}

/// What `bundle` says at its end: what this process did, not how far a run is.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    /// Groups that this process archived.
    pub(super) groups_archived: u64,
    /// Groups that it found archived.
    groups_archived_before: u64,
    /// Tries that failed; the queue may have had others try again.
    pub(super) groups_failed: u64,
    /// Groups given back because the process was to end.
    groups_stopped: u64,
    /// Bytes of the rows of the groups that this process archived, by their manifests.
    listed_bytes: u64,
    /// What became of the objects of the groups that this process archived.
    #[serde(flatten)]
    figures: s3bundler_contract::Figures,
}

impl Summary {
    /// Whether this process has archived a group.
    pub(super) const fn has_archived(&self) -> bool {
        self.groups_archived > 0
    }

    fn add(&mut self, report: &GroupReport) {
        self.groups_archived += 1;
        self.listed_bytes = self.listed_bytes.saturating_add(report.listed_bytes);
        self.figures.add(&report.receipt.figures);
    }

    pub(super) fn print(&self, elapsed: Duration, format: OutputFormat) {
        output::print(self, || self.text(elapsed), format);
    }

    fn text(&self, elapsed: Duration) -> String {
        let groups = [
            (self.groups_archived_before, "archived before"),
            (self.groups_failed, "failed"),
            (self.groups_stopped, "given back"),
        ];
        let groups = groups
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"));
        let groups: Vec<_> = [format!("{} groups archived", self.groups_archived)]
            .into_iter()
            .chain(groups)
            .collect();
        let listed = Listed {
            bytes: self.listed_bytes,
            by: "the group manifests list",
        };
        let mut lines = vec![groups.join(", ")];
        lines.extend(figures_lines(&self.figures, &listed));
        lines.push(line("took", &format!("{:.1} s", elapsed.as_secs_f64())));
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
pub(super) mod tests {
    use s3bundler_contract::{GroupName, Reason, Receipt};

    use super::*;
    use crate::queue::{Disposition, GroupFailure};

    /// A group of so many objects of 1 KiB that are archived.
    pub(in super::super) fn report(archived: u64, committed_here: bool) -> GroupReport {
        let group: GroupName = "r.000000".parse().expect("a name");
        let figures = s3bundler_contract::Figures {
            archived,
            archived_bytes: 1024 * archived,
            failed: [(Reason::NoSuchKey, 1), (Reason::Retry, 2)].into(),
            ..s3bundler_contract::Figures::default()
        };
        let receipt = Receipt {
            figures,
            ..Receipt::empty(group)
        };
        GroupReport {
            receipt,
            committed_here,
            listed_bytes: 1024 * archived,
        }
    }

    #[test]
    fn a_worker_that_archived_no_group_and_failed_some_ends_with_their_exit_code() {
        let failed = |exit| {
            Err(GroupFailure::new(
                Disposition::GiveBack,
                Failure::new(exit, "x"),
            ))
        };
        let mut counted = Counted::default();
        assert!(counted.nothing_but_failures().is_ok(), "an empty queue");
        counted.add(&failed(ExitCode::Download), false);
        counted.add(&failed(ExitCode::Download), false);
        let error = counted.nothing_but_failures().expect_err("all failed");
        assert_eq!(error.exit, ExitCode::Download);
        assert!(error.to_string().contains("all 2 tries failed"), "{error}");
        for here in [true, false] {
            let mut counted = Counted::default();
            counted.add(&failed(ExitCode::Download), false);
            counted.add(&Ok(report(1, here)), false);
            assert!(counted.nothing_but_failures().is_ok(), "one is archived");
        }
    }

    #[test]
    fn the_summary_says_what_this_process_did() {
        let mut counted = Counted::default();
        counted.add(&Ok(report(10, true)), false);
        counted.add(&Ok(report(20, true)), true);
        counted.add(&Ok(report(99, false)), false);
        let failed = || {
            Err(GroupFailure::new(
                Disposition::GiveBack,
                Failure::new(ExitCode::Upload, "x"),
            ))
        };
        counted.add(&failed(), false);
        counted.add(&failed(), true);
        insta::assert_snapshot!(counted.summary.text(Duration::from_millis(1_250)), @"
        2 groups archived, 1 archived before, 1 failed, 1 given back
          archived     30 objects, 30.00 KiB
          copied       0 objects, 0 B
          failed       6 objects (Retry 4, NoSuchKey 2)
          took         1.2 s
        ");
        insta::assert_snapshot!(serde_json::to_string(&counted.summary).expect("JSON"), @r#"{"groupsArchived":2,"groupsArchivedBefore":1,"groupsFailed":1,"groupsStopped":1,"listedBytes":30720,"archived":30,"copied":0,"failed":{"Retry":4,"NoSuchKey":2},"archivedBytes":30720,"copiedBytes":0,"failedBytes":0}"#);
    }
}
