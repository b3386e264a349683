//! The groups whose place a redo took: their rows are not found any more.

use std::collections::{BTreeMap, BTreeSet};

use s3bundler_contract::{GroupName, RunName, RunSummary, Stage};

use super::SearchError;
use super::listing::ListedCatalog;
use crate::destination::Destination;
use crate::s3::{ErrorKind, S3};

/// No summary is larger: a redo of 10,000 groups has 2 MiB.
const SUMMARY_BYTES: u64 = 64 << 20;

/// The redos of a run, with the number of catalogs that each has. Pure.
pub(super) fn redos(run: &RunName, catalogs: &[ListedCatalog]) -> BTreeMap<u32, u64> {
    let mut redos = BTreeMap::new();
    for catalog in catalogs {
        if let Some((Stage::Redo(redo), _)) = catalog.group.stage_in(run) {
            *redos.entry(redo).or_default() += 1;
        }
    }
    redos
}

/// The groups whose place these groups of a redo took: none before all of them are archived. Pure.
fn replaced(summary: RunSummary, catalogs: u64) -> impl Iterator<Item = GroupName> {
    let is_whole = catalogs >= summary.groups;
    let replaced = summary.replaces.into_iter().map(|it| it.group);
    replaced.filter(move |_| is_whole)
}

/// The groups whose place redos took; `count` gets the number of requests.
pub(super) async fn read(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
    catalogs: &[ListedCatalog],
    mut count: impl FnMut(u64),
) -> Result<BTreeSet<GroupName>, SearchError> {
    let mut all = BTreeSet::new();
    for (redo, catalogs) in redos(run, catalogs) {
        let stage = Stage::Redo(redo);
        let address = destination.address(destination.layout.stage_summary(run, stage));
        count(1);
        let bytes = match s3.get_bytes(&address, None, SUMMARY_BYTES).await {
            Ok((bytes, _)) => bytes,
            // Its grouper has not finished.
            Err(error) if error.kind == ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let summary = RunSummary::parse_of(&bytes, run, stage)
            .map_err(|cause| SearchError::Record { address, cause })?;
        all.extend(replaced(summary, catalogs));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use s3bundler_contract::{Replaced, RowDigest};

    use super::*;

    #[test]
    fn a_redo_takes_the_place_of_groups_once_all_of_its_groups_are_archived() {
        let run: RunName = "r".parse().expect("a run's name");
        let group = GroupName::numbered(&run, 7);
        let mut summary = RunSummary::empty(run);
        summary.redo = 1;
        summary.groups = 2;
        summary.replaces = vec![Replaced {
            group: group.clone(),
            receipt: String::new(),
            rows: 1,
            digest: RowDigest::default(),
            taken: BTreeMap::new(),
        }];
        assert_eq!(replaced(summary.clone(), 1).count(), 0);
        assert_eq!(replaced(summary, 2).collect::<Vec<_>>(), [group]);
    }
}
