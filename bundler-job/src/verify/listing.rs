//! The names of a run: what LIST shows of its manifests, catalogs and receipts, and how the three sets differ.

use std::collections::{BTreeMap, BTreeSet};

use s3bundler_contract::layout::DEAD_LETTERS_SUFFIX;
use s3bundler_contract::{GroupName, Receipt, RunName, RunSummary};

use super::Finding;
use super::orphan::{self, Trace, Traces};
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
    /// Retry passes that have a summary.
    pub(super) summaries: BTreeSet<u32>,
    /// What attempts at its groups left under `archives/`.
    pub(super) traces: Traces,
    pub(super) findings: Vec<Finding>,
}

impl Listing {
    /// Lists a run: one request per 1,000 objects of each kind, the kinds side by side.
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
        let (groups, catalogs, receipts, summaries, traces) = tokio::try_join!(
            list(layout.groups(run), Self::place_group),
            list(layout.catalogs(run), Self::place_catalog),
            list(layout.receipts(run), Self::place_receipt),
            list(layout.retry_summaries(run), Self::place_summary),
            orphan::traces(s3, destination, run),
        )?;
        let mut whole = groups;
        whole.summaries = summaries.summaries;
        whole.traces = traces;
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
        let Destination { layout, .. } = destination;
        // Of the run's groups, and of existing manifests that were archived under its name.
        if let Some(group) = layout.parse_dead_letters(&object.key, run) {
            self.of(group).dead_letters = true;
            return;
        }
        // Earlier releases wrote the dead letters of dead letters that were fed back beside those.
        if object.key.strip_suffix(DEAD_LETTERS_SUFFIX).is_some_and(|key| layout.parse_dead_letters(key, run).is_some())
        {
            return;
        }
        match layout.parse_group_manifest(&object.key) {
            Some((of, group)) if of == *run => self.of(group).manifest = Some(object.etag.clone()),
            _ => self.findings.push(Finding::StrayManifest { manifest: destination.address(&object.key) }),
        }
    }

    fn place_summary(&mut self, destination: &Destination, run: &RunName, object: &Listed) {
        // Whatever else is there is no part of this run.
        self.summaries.extend(destination.layout.parse_retry_summary(&object.key, run));
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
    /// One of the grouper's. Rows of pass 0 are rows of the inventory; those of a later pass have failed in the one before.
    Pass(u32),
    /// Made of a manifest from elsewhere: its rows are no further rows of the inventory.
    Added,
}

/// A group to look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) group: GroupName,
    pub(super) role: Role,
    pub(super) names: Names,
    pub(super) traces: Vec<Trace>,
}

/// What follows from the names.
#[derive(Debug)]
pub(super) struct Plan {
    /// Groups whose catalogs are to be looked into.
    pub(super) tasks: Vec<Task>,
    /// What the names alone show.
    pub(super) findings: Vec<Finding>,
    /// Passes with a group that has no catalog.
    pub(super) torn: BTreeSet<u32>,
}

/// The passes of which there is something, but no summary: a pass that has groups, and the one that a later pass must
/// have been made of. Pure.
pub(super) fn unfinished(listing: &Listing, run: &RunName) -> BTreeSet<u32> {
    // What may be foreign is no proof of a pass: a pass that large has groups of lower numbers, too.
    let own = listing.groups.keys().filter(|group| !group.may_be_foreign());
    let grouped = own.filter_map(|group| group.pass_in(run)).map(|(pass, _)| pass);
    let seen: BTreeSet<u32> = grouped.chain(listing.summaries.iter().copied()).collect();
    let before = seen.iter().filter_map(|pass| pass.checked_sub(1));
    let passes: BTreeSet<u32> = seen.iter().copied().chain(before).filter(|pass| *pass > 0).collect();
    passes.difference(&listing.summaries).copied().collect()
}

/// Compares the names of a run with the summaries of its passes. Pure.
pub(super) fn plan(
    listing: Listing,
    summaries: &BTreeMap<u32, RunSummary>,
    destination: &Destination,
    run: &RunName,
) -> Plan {
    let Listing { groups, mut findings, mut traces, .. } = listing;
    let layout = &destination.layout;
    let manifest = |group: &GroupName| destination.address(layout.group_manifest(run, group));
    let catalog = |group: &GroupName| destination.address(layout.catalog(run, group));
    let mut torn = BTreeSet::new();
    for (pass, summary) in summaries {
        let mut missing = 0;
        for group in (0..summary.groups).map(|number| GroupName::retry(run, *pass, number)) {
            if !groups.contains_key(&group) {
                missing += 1;
                if missing > MOST_MISSING {
                    break;
                }
                findings.push(Finding::NoManifest { manifest: manifest(&group) });
                findings.push(Finding::NoCatalog { catalog: catalog(&group), manifest: manifest(&group) });
            }
        }
        if missing > 0 {
            torn.insert(*pass);
        }
        if missing > MOST_MISSING {
            let counted = |group: &&GroupName| {
                group.pass_in(run).is_some_and(|(of, number)| of == *pass && number < summary.groups)
            };
            let there = groups.keys().filter(counted).count() as u64;
            findings.push(Finding::MoreGroupsMissing { count: summary.groups.saturating_sub(there + MOST_MISSING) });
        }
    }
    let mut tasks = Vec::new();
    for (group, names) in groups {
        let uncounted =
            |(pass, number): (u32, u64)| summaries.get(&pass).is_some_and(|summary| number >= summary.groups);
        let place = group.pass_in(run).filter(|place| !(uncounted(*place) && group.may_be_foreign()));
        if place.is_some_and(uncounted) {
            findings.push(Finding::StrayManifest { manifest: manifest(&group) });
        } else if place.is_some() && names.manifest.is_none() {
            findings.push(Finding::NoManifest { manifest: manifest(&group) });
        }
        if names.catalog.is_some() {
            let role = place.map_or(Role::Added, |(pass, _)| Role::Pass(pass));
            let traces = traces.remove(&group).unwrap_or_default();
            tasks.push(Task { group, role, names, traces });
            continue;
        }
        torn.extend(place.map(|(pass, _)| pass));
        for receipt in &names.receipts {
            let problem = "is the receipt of a group without a catalog".to_owned();
            findings.push(Finding::StrayReceipt { receipt: destination.address(receipt.key(layout, run)), problem });
        }
        if names.dead_letters && names.manifest.is_none() && place.is_none() {
            let object = destination.address(layout.dead_letters(run, &group));
            findings.push(Finding::StrayDeadLetters { object });
        }
        if names.manifest.is_some() || place.is_some() {
            findings.push(Finding::NoCatalog { catalog: catalog(&group), manifest: manifest(&group) });
        }
    }
    for (group, traces) in traces {
        findings.extend(traces.into_iter().map(|trace| trace.uncommitted(destination, catalog(&group))));
    }
    Plan { tasks, findings, torn }
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
            let object = Listed { key: format!("p/{key}"), size: 1, etag: "e".to_owned(), modified: None };
            let place = match key.split('/').next() {
                Some("groups") => Listing::place_group,
                Some("catalog") => Listing::place_catalog,
                Some("runs") => Listing::place_summary,
                _ => Listing::place_receipt,
            };
            place(&mut listing, &destination(), &run(), &object);
        }
        listing
    }

    fn planned(keys: &[&str], groups: Option<u64>) -> (Vec<String>, Vec<String>) {
        let summaries: Vec<_> = groups.map(|groups| (0, groups)).into_iter().collect();
        let (tasks, findings, _) = planned_passes(keys, &summaries);
        (tasks, findings)
    }

    fn planned_passes(keys: &[&str], groups: &[(u32, u64)]) -> (Vec<String>, Vec<String>, Vec<u32>) {
        let summary =
            |(pass, groups): &(u32, u64)| (*pass, RunSummary { groups: *groups, ..RunSummary::of_pass(run(), *pass) });
        let summaries = groups.iter().map(summary).collect();
        let Plan { tasks, findings, torn } = plan(listing(keys), &summaries, &destination(), &run());
        let told = |finding: &Finding| {
            let json = serde_json::to_value(finding).expect("plain fields");
            let object = ["manifest", "catalog", "receipt"].iter().find_map(|it| json.get(it)?.as_str());
            let file = object.unwrap_or_default().rsplit('/').next().unwrap_or_default();
            format!("{} {file}", json["finding"].as_str().unwrap_or_default())
        };
        let tasks = tasks.iter().map(|task| format!("{} {:?}", task.group, task.role)).collect();
        (tasks, findings.iter().map(told).collect(), torn.into_iter().collect())
    }

    const WHOLE: [&str; 3] =
        ["groups/run/run.000000.index", "catalog/run=run/run.000000.parquet", "receipts/run/run.000000~a1~c0~f0~b1"];

    #[test]
    fn a_whole_run_has_nothing_to_find() {
        let keys = [&WHOLE[..], &["groups/run/run.000000.index.dlq"]].concat();
        assert_eq!(planned(&keys, Some(1)), (vec!["run.000000 Pass(0)".to_owned()], vec![]));
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
        assert_eq!(tasks, ["run.000000 Pass(0)", "run.retry1.000000 Pass(1)", "x.index.01234567 Added"]);
        assert_eq!(findings, Vec::<String>::new());
    }

    /// A whole retry pass of one group.
    const RETRIED: [&str; 3] = [
        "groups/run/run.retry1.000000.index",
        "catalog/run=run/run.retry1.000000.parquet",
        "receipts/run/run.retry1.000000~a1~c0~f0~b1",
    ];

    #[test]
    fn every_pass_has_the_groups_of_its_own_summary() {
        let keys = [&WHOLE[..], &RETRIED].concat();
        assert_eq!(planned_passes(&keys, &[(0, 1), (1, 1)]).1, Vec::<String>::new());
        let (_, findings, torn) = planned_passes(&keys, &[(0, 2), (1, 1)]);
        assert_eq!(findings, ["noManifest run.000001.index", "noCatalog run.000001.index"]);
        assert_eq!(torn, [0], "a retry group does not stand in for one of the run's own");
        let (_, findings, torn) = planned_passes(&keys, &[(0, 1), (1, 2)]);
        assert_eq!(findings, ["noManifest run.retry1.000001.index", "noCatalog run.retry1.000001.index"]);
        assert_eq!(torn, [1]);
        assert_eq!(planned_passes(&keys, &[(0, 1), (1, 0)]).1, ["strayManifest run.retry1.000000.index"]);
        assert_eq!(
            planned_passes(&keys[..5], &[(0, 1), (1, 1)]).1,
            Vec::<String>::new(),
            "receipts are the groups' own"
        );
        assert_eq!(planned_passes(&keys[..4], &[(0, 1), (1, 1)]).1, ["noCatalog run.retry1.000000.index"]);
    }

    #[test]
    fn a_pass_without_a_summary_is_unfinished_and_so_is_one_that_was_left_out() {
        let of = |added: &[&str]| {
            let keys = [&WHOLE[..], added].concat();
            unfinished(&listing(&keys), &run()).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), [0; 0], "pass 0 has a finding of its own");
        assert_eq!(of(&RETRIED), [1]);
        assert_eq!(of(&["runs/run.retry1.done.json", RETRIED[0]]), [0; 0]);
        assert_eq!(of(&["runs/run.retry2.done.json"]), [1]);
        assert_eq!(of(&["groups/run/run.retry4294967295.000000.index"]), [u32::MAX - 1, u32::MAX]);
        assert_eq!(of(&["runs/run.retry1.json", "runs/run.retry01.done.json"]), [0; 0]);
    }

    #[test]
    fn a_summary_that_lies_does_not_fill_the_memory() {
        let (tasks, findings) = planned(&WHOLE, Some(u64::MAX));
        assert_eq!((tasks.len(), findings.len()), (1, 2001));
    }
}
