//! Group by group, what a run adds up to.

use futures_util::{StreamExt, TryStreamExt, stream};
use s3bundler_contract::{RowDigest, RunSummary, S3Address};

use super::group::{self, Checked, Scope};
use super::listing::{Role, Task};
use super::rows::{self, GroupDigest};
use super::{Finding, Report, VerifyError};

/// A report in the making, and the sums that it has to agree with.
pub(super) struct Tally {
    report: Report,
    /// Whether every numbered group has a catalog that can be read. Otherwise that is the finding, and sums say nothing
    /// more.
    whole: bool,
    digest: RowDigest,
    groups: Vec<GroupDigest>,
}

impl Tally {
    /// Begins with what the names alone have shown.
    pub(super) fn new(report: Report, whole: bool) -> Self {
        Self { report, whole, digest: RowDigest::default(), groups: Vec::new() }
    }

    /// Looks into groups, several at a time.
    pub(super) async fn check(&mut self, scope: Scope<'_>, tasks: Vec<Task>) -> Result<(), VerifyError> {
        // Boxed, since several are held at a time.
        let checks = stream::iter(tasks).map(|task| Box::pin(group::check(scope, task)));
        let mut checks = checks.buffer_unordered(scope.request.groups.max(1));
        while let Some(checked) = checks.try_next().await? {
            self.take(checked);
        }
        Ok(())
    }

    fn take(&mut self, checked: Checked) {
        let Self { report, .. } = self;
        match (checked.role, checked.totals) {
            (Role::Numbered, Some(totals)) => {
                report.objects.add(&totals);
                self.digest.merge(totals.digest);
                let group = checked.group.clone();
                self.groups.push(GroupDigest { group, rows: totals.rows(), digest: totals.digest });
            }
            (Role::Numbered, None) => self.whole = false,
            (Role::Added, Some(totals)) => report.retried.add(&totals),
            (Role::Added, None) => {}
        }
        report.unproven_checksums += checked.unproven;
        report.members_read += checked.members;
        report.repaired.extend(checked.repaired.then(|| checked.group.clone()));
        report.findings.extend(checked.findings.into_listed(&checked.group));
    }

    /// Compares the sums with what the grouper counted.
    pub(super) async fn compare(
        &mut self,
        scope: Scope<'_>,
        summary: &RunSummary,
        summary_at: S3Address,
    ) -> Result<(), VerifyError> {
        let findings = &mut self.report.findings;
        let left_out = summary.left_out_rows();
        if summary.objects.checked_add(left_out) != Some(summary.rows) {
            let (rows, objects) = (summary.rows, summary.objects);
            findings.push(Finding::SummarySums { summary: summary_at, rows, objects, left_out });
        }
        let rows = self.report.objects.rows;
        if !self.whole || (rows == summary.objects && self.digest == summary.digest) {
            return Ok(());
        }
        findings.push(if rows == summary.objects {
            let (grouped, cataloged) = (summary.digest.to_string(), self.digest.to_string());
            Finding::RowDigest { grouped, cataloged }
        } else {
            Finding::RowCount { grouped: summary.objects, cataloged: rows }
        });
        // Only now is it worth reading every manifest: to say which group it is.
        findings.extend(rows::differing(scope, &self.groups).await?);
        Ok(())
    }

    /// The report, in order.
    pub(super) fn into_report(mut self) -> Report {
        self.report.findings.sort();
        self.report.repaired.sort();
        self.report
    }
}
