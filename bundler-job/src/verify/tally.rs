//! Group by group, what a run adds up to: each stage for itself, each retry pass against those that
//! it takes rows from, and each redo against the groups that it replaces.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use s3bundler_contract::figures::sum;
use s3bundler_contract::{Accounts, Counted, Replaced, RunSummary, Stage};

use super::group::{self, Checked, FailedRows, RowSum};
use super::listing::{Role, Task};
use super::rows::{self, GroupDigest};
use super::scope::Scope;
use super::{Finding, Report, VerifyError};
use crate::group::reasons_of;

/// What the catalogs of a stage add up to, those of replaced groups left out.
#[derive(Default)]
struct StageSum {
    rows: RowSum,
    groups: Vec<GroupDigest>,
    /// What it leaves to retry passes.
    failed: FailedRows,
}

/// A report in the making, and the sums that it has to agree with.
pub(super) struct Tally {
    report: Report,
    accounts: Accounts,
    /// Stages with a group that has no catalog that can be read. That is the finding then, and sums
    /// say nothing more.
    torn: BTreeSet<Stage>,
    stages: BTreeMap<Stage, StageSum>,
    /// What counts in the end: groups of retry passes only if they have a receipt.
    counted: BTreeMap<Stage, Counted>,
}

impl Tally {
    /// Begins with what the names alone have shown.
    pub(super) fn new(report: Report, torn: BTreeSet<Stage>, accounts: Accounts) -> Self {
        Self {
            report,
            accounts,
            torn,
            stages: BTreeMap::new(),
            counted: BTreeMap::new(),
        }
    }

    /// Looks into groups, several at a time.
    pub(super) async fn check(
        &mut self,
        scope: Scope<'_>,
        tasks: Vec<Task>,
    ) -> Result<(), VerifyError> {
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
            (Role::Own(stage), Some(totals)) => {
                let figures = match stage {
                    Stage::OWN => &mut report.objects,
                    Stage::Pass(_) => &mut report.retried,
                    Stage::Redo(_) => &mut report.redone,
                };
                figures.add(&totals.figures);
                // Only its receipt says that what became of rows that had failed before counts now.
                if stage == Stage::OWN || checked.receipt {
                    let number = checked
                        .group
                        .stage_in(&report.run)
                        .map_or(0, |(_, number)| number);
                    self.counted
                        .entry(stage)
                        .or_default()
                        .add(number, &totals.figures);
                }
                let sum = self.stages.entry(stage).or_default();
                sum.rows.add(RowSum {
                    rows: totals.rows(),
                    digest: totals.digest,
                });
                for (reason, rows) in checked.failed {
                    sum.failed.entry(reason).or_default().add(rows);
                }
                let group = checked.group.clone();
                sum.groups.push(GroupDigest {
                    group,
                    rows: totals.rows(),
                    digest: totals.digest,
                });
            }
            (Role::Own(stage), None) => {
                self.torn.insert(stage);
            }
            (Role::Added, Some(totals)) => report.foreign.add(&totals.figures),
            (Role::Added, None) => {}
        }
        report.unproven_checksums += checked.unproven;
        report.missing_tags += checked.missing_tags;
        report.members_read += checked.members;
        report.removed.extend(checked.removed);
        report
            .repaired
            .extend(checked.repaired.then(|| checked.group.clone()));
        report
            .findings
            .extend(checked.findings.into_listed(&checked.group));
    }

    /// Compares the sums of every stage with what its grouper counted.
    pub(super) async fn compare(&mut self, scope: Scope<'_>) -> Result<(), VerifyError> {
        let nothing = StageSum::default();
        let destination = &scope.request.destination;
        for summary in self.accounts.summaries() {
            let stage = summary.stage();
            let summary_at =
                destination.address(destination.layout.stage_summary(&scope.request.run, stage));
            let findings = &mut self.report.findings;
            let left_out = summary.left_out_rows();
            if summary.objects.checked_add(left_out) != Some(summary.rows) {
                let (summary, rows, objects) = (summary_at.clone(), summary.rows, summary.objects);
                findings.push(Finding::SummarySums {
                    summary,
                    rows,
                    objects,
                    left_out,
                });
            }
            if let Some((failed, retried)) =
                retried(&self.accounts, summary, &self.stages, &self.torn)
            {
                findings.push(Finding::RetryRows {
                    summary: summary_at.clone(),
                    failed,
                    retried,
                });
            }
            if let Some(replaced) = redone(summary) {
                findings.push(Finding::RedoRows {
                    summary: summary_at.clone(),
                    replaced,
                    redone: summary.objects,
                });
            }
            let sum = self.stages.get(&stage).unwrap_or(&nothing);
            let mut found = sum.rows;
            for replaced in replaced_of(&self.accounts, summary) {
                found.add(rows_of(replaced));
            }
            let wanted = RowSum {
                rows: summary.objects,
                digest: summary.digest,
            };
            if self.torn.contains(&stage) || found == wanted {
                continue;
            }
            let (pass, redo) = match stage {
                Stage::Pass(pass) => (pass, 0),
                Stage::Redo(redo) => (0, redo),
            };
            findings.push(if found.rows == wanted.rows {
                let (grouped, cataloged) = (wanted.digest.to_string(), found.digest.to_string());
                Finding::RowDigest {
                    pass,
                    redo,
                    grouped,
                    cataloged,
                }
            } else {
                Finding::RowCount {
                    pass,
                    redo,
                    grouped: wanted.rows,
                    cataloged: found.rows,
                }
            });
            // Only now is it worth reading every manifest: to say which group it is.
            findings.extend(rows::differing(scope, &sum.groups).await?);
        }
        Ok(())
    }

    /// The report, in order.
    pub(super) fn into_report(mut self) -> Report {
        self.report.failed_in_the_end = self.accounts.outcome(&self.counted).failed;
        self.report.findings.sort();
        self.report.repaired.sort();
        self.report.removed.sort();
        self.report
    }
}

/// The groups of the stage of this summary that redos replaced.
fn replaced_of<'a>(
    accounts: &'a Accounts,
    summary: &'a RunSummary,
) -> impl Iterator<Item = &'a Replaced> {
    let replaced = accounts.summaries().flat_map(|summary| &summary.replaces);
    replaced.filter(|it| {
        it.group
            .stage_in(&summary.run)
            .is_some_and(|(of, _)| of == summary.stage())
    })
}

/// The rows of a replaced group, as its manifest had them.
fn rows_of(replaced: &Replaced) -> RowSum {
    RowSum {
        rows: replaced.rows,
        digest: replaced.digest,
    }
}

/// Rows that a retry pass should have by the catalogs of the stages that it takes rows from, and
/// those that it has, if they are not the same ones; `None` if they are, or if not all of those
/// catalogs can be read. Pure.
fn retried(
    accounts: &Accounts,
    pass: &RunSummary,
    stages: &BTreeMap<Stage, StageSum>,
    torn: &BTreeSet<Stage>,
) -> Option<(u64, u64)> {
    let reasons = pass.retried_reasons();
    // The run's own groups, and redos.
    if reasons.is_empty()
        || pass
            .pass
            .checked_sub(1)
            .is_none_or(|before| accounts.get(Stage::Pass(before)).is_none())
    {
        return None;
    }
    let nothing = StageSum::default();
    let (mut left, mut by_reason, mut unread) = (RowSum::default(), BTreeMap::new(), 0_u64);
    for source in accounts.summaries() {
        let taken = reasons_of(accounts, source, pass.pass, reasons);
        if taken.is_empty() {
            continue;
        }
        if torn.contains(&source.stage()) {
            return None;
        }
        let of_stage = stages.get(&source.stage()).unwrap_or(&nothing);
        // Catalogs of groups that were replaced later are not read: a count is known of them, and
        // no digest.
        let replaced: Vec<_> = replaced_of(accounts, source).collect();
        for reason in taken {
            let rows = of_stage.failed.get(&reason).copied().unwrap_or_default();
            left.add(rows);
            let of_replaced = replaced.iter().filter_map(|it| it.taken.get(&reason));
            let of_replaced = sum(of_replaced);
            unread = unread.saturating_add(of_replaced);
            let count: &mut u64 = by_reason.entry(reason).or_default();
            *count = count.saturating_add(rows.rows).saturating_add(of_replaced);
        }
    }
    by_reason.retain(|_, count| *count > 0);
    let mut told = pass.retried_rows();
    told.retain(|_, count| *count > 0);
    let rows = left.rows.saturating_add(unread);
    let is_right =
        by_reason == told && rows == pass.objects && (unread > 0 || left.digest == pass.digest);
    (!is_right).then_some((rows, pass.objects))
}

/// Rows that a redo should have by the groups that it replaces, if it has others; `None` if it has
/// them. Pure.
fn redone(redo: &RunSummary) -> Option<u64> {
    if redo.redo == 0 {
        return None;
    }
    let (mut replaced, mut taken) = (RowSum::default(), 0_u64);
    for it in &redo.replaces {
        replaced.add(rows_of(it));
        taken = taken.saturating_add(sum(it.taken.values()));
    }
    let rows = replaced.rows.checked_sub(taken);
    let is_right = rows == Some(redo.objects) && (taken > 0 || replaced.digest == redo.digest);
    (!is_right).then(|| rows.unwrap_or(0))
}
