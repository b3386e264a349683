//! Group by group, what a run adds up to: each pass for itself, and each retry pass against the one before.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use s3bundler_contract::{RowDigest, RunSummary};

use super::group::{self, Checked, RowSum, Scope};
use super::listing::{Role, Task};
use super::rows::{self, GroupDigest};
use super::{Finding, Report, VerifyError};

/// What the catalogs of a pass add up to.
#[derive(Default)]
struct PassSum {
    rows: u64,
    digest: RowDigest,
    groups: Vec<GroupDigest>,
    /// What it leaves to the next pass.
    to_retry: RowSum,
}

/// A report in the making, and the sums that it has to agree with.
pub(super) struct Tally {
    report: Report,
    /// Passes with a group that has no catalog that can be read. That is the finding then, and sums say nothing more.
    torn: BTreeSet<u32>,
    passes: BTreeMap<u32, PassSum>,
    /// Rows of retry groups that have a receipt.
    retried: u64,
}

impl Tally {
    /// Begins with what the names alone have shown.
    pub(super) fn new(report: Report, torn: BTreeSet<u32>) -> Self {
        Self { report, torn, passes: BTreeMap::new(), retried: 0 }
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
            (Role::Pass(pass), Some(totals)) => {
                let figures = if pass == 0 { &mut report.objects } else { &mut report.retried };
                figures.add(&totals);
                // Only its receipt says that what became of rows that had failed before counts now.
                if pass == 0 || checked.receipt {
                    report.add_failed(&totals);
                }
                if pass > 0 && checked.receipt {
                    self.retried = self.retried.saturating_add(totals.rows());
                }
                let sum = self.passes.entry(pass).or_default();
                sum.rows = sum.rows.saturating_add(totals.rows());
                sum.digest.merge(totals.digest);
                sum.to_retry.rows += checked.to_retry.rows;
                sum.to_retry.digest.merge(checked.to_retry.digest);
                let group = checked.group.clone();
                sum.groups.push(GroupDigest { group, rows: totals.rows(), digest: totals.digest });
            }
            (Role::Pass(pass), None) => {
                self.torn.insert(pass);
            }
            (Role::Added, Some(totals)) => report.foreign.add(&totals),
            (Role::Added, None) => {}
        }
        report.unproven_checksums += checked.unproven;
        report.members_read += checked.members;
        report.removed.extend(checked.removed);
        report.repaired.extend(checked.repaired.then(|| checked.group.clone()));
        report.findings.extend(checked.findings.into_listed(&checked.group));
    }

    /// Compares the sums of every pass with what its grouper counted.
    pub(super) async fn compare(
        &mut self,
        scope: Scope<'_>,
        summaries: &BTreeMap<u32, RunSummary>,
    ) -> Result<(), VerifyError> {
        let nothing = PassSum::default();
        let destination = &scope.request.destination;
        for (pass, summary) in summaries {
            let summary_at = destination.address(destination.layout.pass_summary(&scope.request.run, *pass));
            let findings = &mut self.report.findings;
            let left_out = summary.left_out_rows();
            if summary.objects.checked_add(left_out) != Some(summary.rows) {
                let (summary, rows, objects) = (summary_at.clone(), summary.rows, summary.objects);
                findings.push(Finding::SummarySums { summary, rows, objects, left_out });
            }
            if let Some(before) = pass.checked_sub(1)
                && summaries.contains_key(&before)
                && !self.torn.contains(&before)
            {
                let left = self.passes.get(&before).unwrap_or(&nothing).to_retry;
                if left != (RowSum { rows: summary.objects, digest: summary.digest }) {
                    let (failed, retried) = (left.rows, summary.objects);
                    findings.push(Finding::RetryRows { summary: summary_at, failed, retried });
                }
            }
            let sum = self.passes.get(pass).unwrap_or(&nothing);
            if self.torn.contains(pass) || (sum.rows == summary.objects && sum.digest == summary.digest) {
                continue;
            }
            let pass = *pass;
            findings.push(if sum.rows == summary.objects {
                let (grouped, cataloged) = (summary.digest.to_string(), sum.digest.to_string());
                Finding::RowDigest { pass, grouped, cataloged }
            } else {
                Finding::RowCount { pass, grouped: summary.objects, cataloged: sum.rows }
            });
            // Only now is it worth reading every manifest: to say which group it is.
            findings.extend(rows::differing(scope, &sum.groups).await?);
        }
        Ok(())
    }

    /// The report, in order.
    pub(super) fn into_report(mut self) -> Report {
        self.report.take_retried(self.retried);
        self.report.findings.sort();
        self.report.repaired.sort();
        self.report.removed.sort();
        self.report
    }
}
