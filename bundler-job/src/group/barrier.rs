//! Whether a pass is whole, by the names of its groups, and what it leaves to the next one: a pure decision.

use std::collections::BTreeMap;

use s3bundler_contract::layout::GroupName;
use s3bundler_contract::{ExitCode, RunSummary};

use super::receipts::Archived;

/// A group whose dead letters hold rows to retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) group: GroupName,
    /// All its failed rows, by its receipt.
    pub(super) failed: u64,
    /// Those that are worth another try.
    pub(super) to_retry: u64,
}

/// Why the next pass cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unplanned {
    /// Groups of the pass before are not archived.
    #[error(
        "{missing} of the {groups} groups of the pass before have no receipt, the first is {first}. Wait until they are \
         archived; if no worker has them, the command that made them sends them again"
    )]
    Missing {
        /// Groups without a receipt.
        missing: u64,
        /// Groups by the summary.
        groups: u64,
        /// The first without.
        first: GroupName,
    },
    /// A group has two receipts: one of them is wrong, and nobody can say which without its catalog.
    #[error("group {0} has several receipts; `s3bundler verify` says which its catalog contradicts")]
    SeveralReceipts(GroupName),
    /// A receipt of a group that the summary does not count.
    #[error("group {0} has a receipt, but the summary of its pass does not count it; `s3bundler verify` says more")]
    Uncounted(GroupName),
}

impl Unplanned {
    /// Time heals a missing receipt, so a Job may try again; of receipts too many a person has to think.
    pub(super) const fn exit(&self) -> ExitCode {
        match self {
            Self::Missing { .. } => ExitCode::Download,
            Self::SeveralReceipts(_) | Self::Uncounted(_) => ExitCode::Unreadable,
        }
    }
}

/// The groups of the pass of `summary` that have rows to retry, in their order, once the names of its groups with receipts
/// are those that it counts. Receipts of other passes and of foreign groups do not count.
pub(super) fn sources(
    summary: &RunSummary,
    archived: &BTreeMap<GroupName, Archived>,
) -> Result<Vec<Source>, Unplanned> {
    let of_pass = archived.iter().filter_map(|(group, archived)| {
        let (pass, number) = group.pass_in(&summary.run)?;
        let foreign = number >= summary.groups && group.may_be_foreign();
        (pass == summary.pass && !foreign).then_some((number, (group, archived)))
    });
    let of_pass: BTreeMap<u64, _> = of_pass.collect();
    if let Some((_, (group, _))) = of_pass.range(summary.groups..).next() {
        return Err(Unplanned::Uncounted((*group).clone()));
    }
    let there = of_pass.len() as u64;
    if there != summary.groups {
        let first = (0..).zip(of_pass.keys()).find(|(expected, number)| expected != *number);
        let first = first.map_or(there, |(expected, _)| expected);
        return Err(Unplanned::Missing {
            missing: summary.groups - there,
            groups: summary.groups,
            first: GroupName::retry(&summary.run, summary.pass, first),
        });
    }
    if let Some((group, _)) = of_pass.values().find(|(_, archived)| archived.twice) {
        return Err(Unplanned::SeveralReceipts((*group).clone()));
    }
    let sources = of_pass.into_values().filter(|(_, archived)| archived.to_retry > 0);
    Ok(sources
        .map(|(group, Archived { failed, to_retry, .. })| Source {
            group: group.clone(),
            failed: *failed,
            to_retry: *to_retry,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use s3bundler_contract::Receipt;

    use super::*;

    fn planned(pass: u32, groups: u64, receipts: &[&str]) -> Result<Vec<String>, Unplanned> {
        let summary = RunSummary { groups, ..RunSummary::of_pass("r".parse().expect("a name"), pass) };
        let mut archived: BTreeMap<GroupName, Archived> = BTreeMap::new();
        for name in receipts {
            let receipt = Receipt::parse(name).expect("a receipt");
            let group = receipt.group.clone();
            archived.entry(group).and_modify(|it| it.twice = true).or_insert_with(|| receipt.into());
        }
        let sources = sources(&summary, &archived)?;
        Ok(sources.iter().map(|it| format!("{} {}/{}", it.group, it.to_retry, it.failed)).collect())
    }

    fn missing(missing: u64, groups: u64, first: &str) -> Result<Vec<String>, Unplanned> {
        Err(Unplanned::Missing { missing, groups, first: first.parse().expect("a name") })
    }

    #[test]
    fn groups_with_rows_to_retry_come_in_the_order_of_their_numbers() {
        let receipts = [
            "r.000002~a1~c0~f3~b1~Retry2~NoSuchKey1",
            "r.000000~a1~c0~f1~b1~Retry1",
            "r.000001~a1~c0~f1~b1~NoSuchKey1",
            "r.retry1.000000~a0~c0~f9~b1~Retry9",
            "x.01234567~a0~c0~f9~b1~Retry9",
        ];
        assert_eq!(planned(0, 3, &receipts), Ok(vec!["r.000000 1/1".to_owned(), "r.000002 2/3".to_owned()]));
        assert_eq!(planned(1, 1, &receipts), Ok(vec!["r.retry1.000000 9/9".to_owned()]));
        assert_eq!(planned(2, 0, &receipts), Ok(vec![]));
    }

    #[test]
    fn a_pass_is_whole_by_name_and_not_by_count() {
        let (first, second) = ("r.000000~a1~c0~f0~b1", "r.000001~a1~c0~f0~b1");
        let (retried, foreign) = ("r.retry1.000001~a1~c0~f0~b1", "r.01234567~a1~c0~f0~b1");
        assert_eq!(planned(0, 2, &[first, second, "r.a1234567~a1~c0~f0~b1"]), Ok(vec![]), "a foreign manifest r.index");
        assert_eq!(planned(0, 2, &[first, retried]), missing(1, 2, "r.000001"));
        assert_eq!(planned(0, 2, &[second, foreign]), missing(1, 2, "r.000000"));
        assert_eq!(planned(0, u64::MAX, &[first, second]), missing(u64::MAX - 2, u64::MAX, "r.000002"));
        assert_eq!(planned(1, 2, &[first, second, retried]), missing(1, 2, "r.retry1.000000"));
        assert_eq!(planned(0, 1, &[first, second]), Err(Unplanned::Uncounted("r.000001".parse().expect("a name"))));
        let twice = planned(0, 2, &[first, second, "r.000001~a2~c0~f0~b1"]);
        assert_eq!(twice, Err(Unplanned::SeveralReceipts("r.000001".parse().expect("a name"))));
    }
}
