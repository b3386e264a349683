//! The catalogs of a destination, by run: what LIST shows of them. And the order in which they are
//! searched, which is a pure decision.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::SystemTime;

use s3bundler_contract::{GroupName, RunName, Stage};

use crate::destination::Destination;
use crate::s3::{Listed, S3, S3Error};

/// A catalog, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedCatalog {
    pub(crate) group: GroupName,
    /// Bytes.
    pub(crate) size: u64,
    /// Without quotes.
    pub(crate) etag: String,
}

/// The catalogs of a run, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunCatalogs {
    pub(crate) run: RunName,
    /// When the first of them was written.
    pub(crate) began: Option<SystemTime>,
    pub(crate) catalogs: Vec<ListedCatalog>,
}

/// Lists the catalogs of a run, or of all runs, the newest first; returns the number of requests, too.
pub(crate) async fn list(
    s3: &S3,
    destination: &Destination,
    run: Option<&RunName>,
) -> Result<(Vec<RunCatalogs>, u64), S3Error> {
    let layout = &destination.layout;
    let prefix = run.map_or_else(|| layout.all_catalogs(), |run| layout.catalogs(run));
    let mut runs = BTreeMap::new();
    let mut requests = 0;
    let listing = s3.list(&destination.bucket, &prefix, |page| {
        requests += 1;
        for object in page {
            place(&mut runs, destination, object);
        }
        true
    });
    listing.await?;
    let mut runs: Vec<_> = runs.into_values().collect();
    newest_first(&mut runs);
    // A listing without objects was a request as well.
    Ok((runs, requests.max(1)))
}

fn place(runs: &mut BTreeMap<RunName, RunCatalogs>, destination: &Destination, object: Listed) {
    // `verify` reports what else is there.
    let Some((run, group)) = destination.layout.parse_catalog(&object.key) else {
        return;
    };
    let of_run = runs.entry(run.clone()).or_insert_with(|| RunCatalogs {
        run,
        began: None,
        catalogs: Vec::new(),
    });
    of_run.began = match (of_run.began, object.modified) {
        (Some(began), Some(modified)) => Some(began.min(modified)),
        (began, modified) => began.or(modified),
    };
    of_run.catalogs.push(ListedCatalog {
        group,
        size: object.size,
        etag: object.etag,
    });
}

/// Sorts runs: that whose first catalog was written last comes first. Of runs that began at the same
/// instant, that with the greater name.
fn newest_first(runs: &mut [RunCatalogs]) {
    runs.sort_by(|a, b| (b.began, &b.run).cmp(&(a.began, &a.run)));
}

/// The place of a group among those of its run, the smallest first: manifests from elsewhere, which
/// are dead letters that were tried again, redos and retry passes, the last first, then the run's own
/// groups.
pub(crate) fn place_of(group: &GroupName, run: &RunName) -> (u8, Reverse<u32>, GroupName) {
    let (kind, number) = match group.stage_in(run) {
        None => (0, 0),
        Some((Stage::Redo(redo), _)) => (1, redo),
        Some((Stage::Pass(pass), _)) => (2, pass),
    };
    (kind, Reverse(number), group.clone())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn run(name: &str) -> RunName {
        name.parse().expect("a run's name")
    }

    #[test]
    fn the_run_that_began_last_comes_first() {
        let at = |name: &str, seconds: Option<u64>| RunCatalogs {
            run: run(name),
            began: seconds.map(|it| SystemTime::UNIX_EPOCH + Duration::from_secs(it)),
            catalogs: Vec::new(),
        };
        let mut runs = vec![
            at("a", Some(1)),
            at("b", Some(3)),
            at("c", None),
            at("d", Some(3)),
        ];
        newest_first(&mut runs);
        let names: Vec<_> = runs.iter().map(|it| it.run.as_str()).collect();
        assert_eq!(names, ["d", "b", "a", "c"]);
    }

    #[test]
    fn later_groups_of_a_run_come_before_its_own() {
        let run = run("r");
        let mut groups: Vec<GroupName> = [
            "r.000001",
            "r.000000",
            "r.retry1.000000",
            "r.retry2.000000",
            "r.redo1.000000",
            "r.redo2.000000",
            "r.000000.index.dlq.01234567",
        ]
        .map(|name| name.parse().expect("a group's name"))
        .into();
        groups.sort_by_cached_key(|group| place_of(group, &run));
        let names: Vec<_> = groups.iter().map(GroupName::as_str).collect();
        assert_eq!(
            names,
            [
                "r.000000.index.dlq.01234567",
                "r.redo2.000000",
                "r.redo1.000000",
                "r.retry2.000000",
                "r.retry1.000000",
                "r.000000",
                "r.000001",
            ]
        );
    }
}
