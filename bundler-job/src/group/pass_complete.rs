//! Whether the stages that a retry pass takes rows from are whole, by the names of their groups,
//! and which rows it takes: a pure decision.

use std::collections::{BTreeMap, BTreeSet};

use s3bundler_contract::layout::GroupName;
use s3bundler_contract::{Accounts, ExitCode, HasExitCode, Reason, RunName, RunSummary, Stage};

use super::receipts::Archived;

/// A group whose dead letters hold rows to retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) group: GroupName,
    /// All its failed rows, by its receipt.
    pub(super) failed: u64,
    /// Those that the pass takes, by reason; no zeros.
    pub(super) to_retry: BTreeMap<Reason, u64>,
}

/// Why the next pass cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unplanned {
    /// Groups of the pass before are not archived.
    #[error(
        "{missing} of the {groups} groups of {stage} have no receipt, the first is {first}. Wait \
         until they are archived; if no worker has them, the command that made them sends them \
         again"
    )]
    Missing {
        /// Of which groups.
        stage: Stage,
        /// Groups without a receipt.
        missing: u64,
        /// Groups by the summary.
        groups: u64,
        /// The first without.
        first: GroupName,
    },
    /// A group has two receipts: one of them is wrong, and nobody can say which without its
    /// catalog.
    #[error(
        "group {0} has several receipts; `s3bundler verify` says which its catalog contradicts"
    )]
    SeveralReceipts(GroupName),
    /// A receipt of a group that the summary does not count.
    #[error(
        "group {0} has a receipt, but the summary of its pass does not count it; `s3bundler \
         verify` says more"
    )]
    Uncounted(GroupName),
}

impl HasExitCode for Unplanned {
    // Time heals a missing receipt, so a Job may try again; of receipts too many a person has to
    // think.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Missing { .. } => ExitCode::Download,
            Self::SeveralReceipts(_) | Self::Uncounted(_) => ExitCode::Unreadable,
        }
    }
}

/// The pass to which a stage leaves its failed rows is the one after this. A redo was planned after
/// this pass.
pub(super) const fn position(summary: &RunSummary) -> u32 {
    summary.pass
}

/// The first pass of which retry pass `pass` takes the rows that failed for `reason`: the last one
/// before it that took that reason as well, or the run's own groups.
fn takes_from(accounts: &Accounts, pass: u32, reason: Reason) -> u32 {
    let earlier = accounts
        .summaries()
        .filter(|summary| summary.redo == 0 && summary.pass < pass);
    earlier
        .filter(|summary| summary.retried_reasons().contains(&reason))
        .map(position)
        .max()
        .unwrap_or(0)
}

/// The reasons for which retry pass `pass` takes rows of the groups of this summary, of `reasons`.
pub(crate) fn reasons_of(
    accounts: &Accounts,
    summary: &RunSummary,
    pass: u32,
    reasons: &[Reason],
) -> BTreeSet<Reason> {
    if position(summary) >= pass {
        return BTreeSet::new();
    }
    reasons
        .iter()
        .copied()
        .filter(|reason| takes_from(accounts, pass, *reason) <= position(summary))
        .collect()
}

/// The groups whose rows retry pass `pass` takes, in their order, once the names of the groups with
/// receipts are those that the summaries count. A group that a redo replaced needs no receipt, and
/// leaves nothing. Receipts of foreign groups do not count.
pub(super) fn sources(
    accounts: &Accounts,
    archived: &BTreeMap<GroupName, Archived>,
    pass: u32,
    reasons: &[Reason],
) -> Result<Vec<Source>, Unplanned> {
    let mut sources = Vec::new();
    let mut summaries: Vec<_> = accounts.summaries().collect();
    summaries.sort_by_key(|summary| (position(summary), summary.stage()));
    for summary in summaries {
        let taken = reasons_of(accounts, summary, pass, reasons);
        let is_before = summary.redo == 0 && summary.pass.checked_add(1) == Some(pass);
        if taken.is_empty() && !is_before {
            continue;
        }
        let of_stage = whole(accounts, summary, archived)?;
        sources.extend(
            of_stage
                .into_iter()
                .filter_map(|(group, Archived { figures, .. })| {
                    let counts = taken
                        .iter()
                        .map(|reason| (*reason, figures.failed_for(*reason)));
                    let to_retry: BTreeMap<_, _> = counts.filter(|(_, count)| *count > 0).collect();
                    (!to_retry.is_empty()).then(|| Source {
                        group: group.clone(),
                        failed: figures.failed_objects(),
                        to_retry,
                    })
                }),
        );
    }
    Ok(sources)
}

/// The groups of a stage that count, in the order of their numbers; all of them have one receipt.
fn whole<'a>(
    accounts: &Accounts,
    summary: &RunSummary,
    archived: &'a BTreeMap<GroupName, Archived>,
) -> Result<Vec<(&'a GroupName, &'a Archived)>, Unplanned> {
    let (run, stage): (&RunName, _) = (&summary.run, summary.stage());
    let of_stage = archived.iter().filter_map(|(group, archived)| {
        let (of, number) = group.stage_in(run)?;
        let foreign = number >= summary.groups && group.may_be_foreign();
        (of == stage && !foreign).then_some((number, (group, archived)))
    });
    let of_stage: BTreeMap<u64, _> = of_stage.collect();
    if let Some((_, (group, _))) = of_stage.range(summary.groups..).next() {
        return Err(Unplanned::Uncounted((*group).clone()));
    }
    let counts = |(_, (group, _)): &(u64, (&GroupName, &Archived))| !accounts.is_replaced(group);
    let counted: BTreeMap<u64, _> = of_stage.into_iter().filter(counts).collect();
    let replaced: BTreeSet<u64> = accounts
        .replaced()
        .iter()
        .filter_map(|group| {
            group
                .stage_in(run)
                .filter(|(of, number)| *of == stage && *number < summary.groups)
        })
        .map(|(_, number)| number)
        .collect();
    let there = (counted.len() + replaced.len()) as u64;
    if there != summary.groups {
        let known: BTreeSet<u64> = counted.keys().chain(&replaced).copied().collect();
        let first = (0..)
            .zip(&known)
            .find(|(expected, number)| expected != *number);
        let first = first.map_or(there, |(expected, _)| expected);
        return Err(Unplanned::Missing {
            stage,
            missing: summary.groups - there,
            groups: summary.groups,
            first: GroupName::of_stage(run, stage, first),
        });
    }
    match counted.values().find(|(_, archived)| archived.twice) {
        Some((group, _)) => Err(Unplanned::SeveralReceipts((*group).clone())),
        None => Ok(counted.into_values().collect()),
    }
}

#[cfg(test)]
mod tests;
