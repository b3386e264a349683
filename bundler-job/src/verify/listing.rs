//! The names of a run: what LIST shows of its manifests, catalogs and receipts, and how the three sets differ.

use std::collections::BTreeMap;

use s3bundler_contract::layout::DEAD_LETTERS_SUFFIX;
use s3bundler_contract::{GroupName, Receipt, RunName, RunSummary};

use super::Finding;
use crate::args::Destination;
use crate::s3::{Listed, S3, S3Error};

/// Missing groups that are named one by one.
const MOST_MISSING: u64 = 1000;

/// What there is of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Names {
    /// The ETag of its manifest, where that lies under the run.
    pub(super) manifest: Option<String>,
    /// Whether there are dead letters beside it.
    pub(super) dead_letters: bool,
    /// The size of its catalog.
    pub(super) catalog: Option<u64>,
    /// Its receipts.
    pub(super) receipts: Vec<Receipt>,
}

/// Everything of a run, by group.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) groups: BTreeMap<GroupName, Names>,
    pub(super) findings: Vec<Finding>,
}

impl Listing {
    /// Lists a run: one request per 1,000 objects of each kind, the three kinds side by side.
    pub(super) async fn read(s3: &S3, destination: &Destination, run: &RunName) -> Result<Self, S3Error> {
        let layout = &destination.layout;
        let list = async |prefix: String, place: fn(&mut Self, &Destination, &RunName, &Listed)| {
            let mut listing = Self::default();
            let each = |page: Vec<Listed>| {
                for object in &page {
                    place(&mut listing, destination, run, object);
                }
                true
            };
            s3.list(&destination.bucket, &prefix, each).await.map(|()| listing)
        };
        let (groups, catalogs, receipts) = tokio::try_join!(
            list(layout.groups(run), Self::place_group),
            list(layout.catalogs(run), Self::place_catalog),
            list(layout.receipts(run), Self::place_receipt),
        )?;
        let mut whole = groups;
        for (group, names) in catalogs.groups {
            whole.of(group).catalog = names.catalog;
        }
        for (group, names) in receipts.groups {
            whole.of(group).receipts = names.receipts;
        }
        whole.findings.extend(catalogs.findings);
        whole.findings.extend(receipts.findings);
        Ok(whole)
    }

    fn of(&mut self, group: GroupName) -> &mut Names {
        self.groups.entry(group).or_default()
    }

    fn place_group(&mut self, destination: &Destination, run: &RunName, object: &Listed) {
        let key = object.key.as_str();
        let (manifest, dead) = key.strip_suffix(DEAD_LETTERS_SUFFIX).map_or((key, false), |manifest| (manifest, true));
        match destination.layout.parse_group_manifest(manifest) {
            Some((of, group)) if of == *run => {
                let names = self.of(group);
                if dead {
                    names.dead_letters = true;
                } else {
                    names.manifest = Some(object.etag.clone());
                }
            }
            _ => {
                self.findings.push(Finding::StrayManifest { manifest: destination.address(&object.key) });
            }
        }
    }

    fn place_catalog(&mut self, destination: &Destination, run: &RunName, object: &Listed) {
        let file = object.key.strip_prefix(&destination.layout.catalogs(run)).unwrap_or_default();
        match file.strip_suffix(".parquet").and_then(|name| name.parse().ok()) {
            Some(group) => self.of(group).catalog = Some(object.size),
            None => self.findings.push(Finding::StrayCatalog { catalog: destination.address(&object.key) }),
        }
    }

    fn place_receipt(&mut self, destination: &Destination, run: &RunName, object: &Listed) {
        let file = object.key.strip_prefix(&destination.layout.receipts(run)).unwrap_or_default();
        match Receipt::parse(file) {
            Ok(receipt) => self.of(receipt.group.clone()).receipts.push(receipt),
            Err(error) => {
                let receipt = destination.address(&object.key);
                self.findings.push(Finding::StrayReceipt { receipt, problem: format!("is no receipt: {error}") });
            }
        }
    }
}

/// What a group is to its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// One of the grouper's: its rows are rows of the inventory.
    Numbered,
    /// Made of dead letters or of a manifest from elsewhere: its rows are no further rows of the inventory.
    Added,
}

/// A group to look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) group: GroupName,
    pub(super) role: Role,
    pub(super) names: Names,
}

/// What follows from the names.
#[derive(Debug)]
pub(super) struct Plan {
    /// Groups whose catalogs are to be looked into.
    pub(super) tasks: Vec<Task>,
    /// What the names alone show.
    pub(super) findings: Vec<Finding>,
    /// Whether every numbered group has a catalog.
    pub(super) whole: bool,
}

/// Compares the names of a run. Pure.
pub(super) fn plan(listing: Listing, summary: Option<&RunSummary>, destination: &Destination, run: &RunName) -> Plan {
    let Listing { groups, mut findings } = listing;
    let layout = &destination.layout;
    let manifest = |group: &GroupName| destination.address(layout.group_manifest(run, group));
    let catalog = |group: &GroupName| destination.address(layout.catalog(run, group));
    let counted = summary.map(|summary| summary.groups);
    let mut missing = 0;
    for group in (0..counted.unwrap_or(0)).map(|number| GroupName::numbered(run, number)) {
        if !groups.contains_key(&group) {
            missing += 1;
            if missing > MOST_MISSING {
                break;
            }
            findings.push(Finding::NoManifest { manifest: manifest(&group) });
            findings.push(Finding::NoCatalog { catalog: catalog(&group), manifest: manifest(&group) });
        }
    }
    let mut whole = missing == 0;
    if missing > MOST_MISSING {
        let there = groups.keys().filter(|group| number_of(group, run, counted).is_some()).count() as u64;
        let count = counted.unwrap_or(0).saturating_sub(there + MOST_MISSING);
        findings.push(Finding::MoreGroupsMissing { count });
    }
    let mut tasks = Vec::new();
    for (group, names) in groups {
        let numbered = group.number_in(run).is_some();
        if numbered && number_of(&group, run, counted).is_none() {
            findings.push(Finding::StrayManifest { manifest: manifest(&group) });
        } else if numbered && names.manifest.is_none() {
            findings.push(Finding::NoManifest { manifest: manifest(&group) });
        }
        if names.catalog.is_some() {
            let role = if numbered { Role::Numbered } else { Role::Added };
            tasks.push(Task { group, role, names });
            continue;
        }
        whole &= !numbered;
        for receipt in &names.receipts {
            let problem = "is the receipt of a group without a catalog".to_owned();
            findings.push(Finding::StrayReceipt { receipt: destination.address(receipt.key(layout, run)), problem });
        }
        if names.manifest.is_some() || numbered {
            findings.push(Finding::NoCatalog { catalog: catalog(&group), manifest: manifest(&group) });
        }
    }
    Plan { tasks, findings, whole }
}

/// The group's number, where the summary counts it, or where there is none to count it.
fn number_of(group: &GroupName, run: &RunName, counted: Option<u64>) -> Option<u64> {
    group.number_in(run).filter(|number| counted.is_none_or(|counted| *number < counted))
}

#[cfg(test)]
mod tests {
    use s3bundler_contract::{KeyLayout, Layout};

    use super::*;

    fn destination() -> Destination {
        Destination { bucket: "dst".to_owned(), layout: Layout::new("p", KeyLayout::Hashed).expect("a prefix") }
    }

    fn run() -> RunName {
        "run".parse().expect("a name")
    }

    fn listing(keys: &[&str]) -> Listing {
        let mut listing = Listing::default();
        for key in keys {
            let object = Listed { key: format!("p/{key}"), size: 1, etag: "e".to_owned() };
            let place = match key.split('/').next() {
                Some("groups") => Listing::place_group,
                Some("catalog") => Listing::place_catalog,
                _ => Listing::place_receipt,
            };
            place(&mut listing, &destination(), &run(), &object);
        }
        listing
    }

    fn planned(keys: &[&str], groups: Option<u64>) -> (Vec<String>, Vec<String>) {
        let summary = groups.map(|groups| RunSummary { groups, ..RunSummary::empty(run()) });
        let Plan { tasks, findings, .. } = plan(listing(keys), summary.as_ref(), &destination(), &run());
        let told = |finding: &Finding| {
            let json = serde_json::to_value(finding).expect("plain fields");
            let object = ["manifest", "catalog", "receipt"].iter().find_map(|it| json.get(it)?.as_str());
            let file = object.unwrap_or_default().rsplit('/').next().unwrap_or_default();
            format!("{} {file}", json["finding"].as_str().unwrap_or_default())
        };
        let tasks = tasks.iter().map(|task| format!("{} {:?}", task.group, task.role)).collect();
        (tasks, findings.iter().map(told).collect())
    }

    const WHOLE: [&str; 3] =
        ["groups/run/run.000000.index", "catalog/run=run/run.000000.parquet", "receipts/run/run.000000~a1~c0~f0~b1"];

    #[test]
    fn a_whole_run_has_nothing_to_find() {
        let keys = [&WHOLE[..], &["groups/run/run.000000.index.dlq"]].concat();
        assert_eq!(planned(&keys, Some(1)), (vec!["run.000000 Numbered".to_owned()], vec![]));
        assert_eq!(planned(&keys, None).1, Vec::<String>::new(), "an unfinished grouping counts nothing yet");
        assert!(listing(&keys).groups[&GroupName::numbered(&run(), 0)].dead_letters);
    }

    #[test]
    fn names_too_few_and_too_many_are_told() {
        for (added, groups, findings) in [
            (&[][..], 2, &["noManifest run.000001.index", "noCatalog run.000001.index"][..]),
            (&["groups/run/run.000001.index"], 2, &["noCatalog run.000001.index"]),
            (&["catalog/run=run/run.000001.parquet"], 2, &["noManifest run.000001.index"]),
            (
                &["receipts/run/run.000001~a1~c0~f0~b1", "groups/run/run.000001.index"],
                2,
                &["strayReceipt run.000001~a1~c0~f0~b1", "noCatalog run.000001.index"],
            ),
            (&["groups/run/run.000001.index"], 1, &["strayManifest run.000001.index", "noCatalog run.000001.index"]),
            (&["groups/run/x"], 1, &["strayManifest x"]),
            (&["catalog/run=run/x.csv"], 1, &["strayCatalog x.csv"]),
            (&["receipts/run/x"], 1, &["strayReceipt x"]),
            (&["groups/run/run.retry1.000000.index"], 1, &["noCatalog run.retry1.000000.index"]),
        ] {
            let keys = [&WHOLE[..], added].concat();
            assert_eq!(planned(&keys, Some(groups)).1, findings, "{added:?}");
        }
    }

    #[test]
    fn retries_and_foreign_groups_are_no_rows_of_the_inventory() {
        let keys = [
            &WHOLE[..],
            &[
                "groups/run/run.retry1.000000.index",
                "catalog/run=run/run.retry1.000000.parquet",
                "catalog/run=run/x.index.01234567.parquet",
            ],
        ]
        .concat();
        let (tasks, findings) = planned(&keys, Some(1));
        assert_eq!(tasks, ["run.000000 Numbered", "run.retry1.000000 Added", "x.index.01234567 Added"]);
        assert_eq!(findings, Vec::<String>::new());
    }

    #[test]
    fn a_summary_that_lies_does_not_fill_the_memory() {
        let (tasks, findings) = planned(&WHOLE, Some(u64::MAX));
        assert_eq!((tasks.len(), findings.len()), (1, 2001));
    }
}
