//! The names of a run: what LIST shows of its manifests, catalogs and receipts, and how the three sets differ.

use std::collections::{BTreeMap, BTreeSet};

use s3bundler_contract::layout::DEAD_LETTERS_SUFFIX;
use s3bundler_contract::{Accounts, GroupName, Receipt, RunName, Stage};

use super::Finding;
use super::orphan::{self, Trace, Traces};
use crate::destination::Destination;
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
    /// Retry passes and redos that have a summary.
    pub(super) summaries: BTreeSet<Stage>,
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
            list(layout.stage_summaries(run), Self::place_summary),
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

    /// Whether there is a group that the run's own grouper made.
    pub(super) fn has_own(&self, run: &RunName) -> bool {
        let own = |(group, names): (&GroupName, &Names)| {
            group.stage_in(run).is_some() && (names.manifest.is_some() || !group.may_be_foreign())
        };
        self.groups.iter().any(own)
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
        self.summaries.extend(destination.layout.parse_stage_summary(&object.key, run));
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
    /// One of the grouper's. Rows of pass 0 are rows of the inventory; those of a later pass have failed in one before; those
    /// of a redo are rows of the groups that it replaces.
    Own(Stage),
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
    /// Stages with a group that has no catalog.
    pub(super) torn: BTreeSet<Stage>,
}

/// The stages of which there is something, but no summary: one that has groups, and the one before it. Pure.
pub(super) fn unfinished(listing: &Listing, run: &RunName) -> BTreeSet<Stage> {
    // What may be foreign is no proof of a stage: one that large has groups of lower numbers, too.
    let own = listing.groups.keys().filter(|group| !group.may_be_foreign());
    let grouped = own.filter_map(|group| group.stage_in(run)).map(|(stage, _)| stage);
    let seen: BTreeSet<Stage> = grouped.chain(listing.summaries.iter().copied()).collect();
    let before = seen.iter().filter_map(|stage| match stage {
        Stage::Pass(pass) => pass.checked_sub(1).map(Stage::Pass),
        Stage::Redo(redo) => redo.checked_sub(1).map(Stage::Redo),
    });
    let stages = seen.iter().copied().chain(before);
    let stages: BTreeSet<Stage> = stages.filter(|stage| !matches!(*stage, Stage::OWN | Stage::Redo(0))).collect();
    stages.difference(&listing.summaries).copied().collect()
}

/// Compares the names of a run with the summaries of its stages. Nothing is looked for of a group that a redo replaced. Pure.
pub(super) fn plan(listing: Listing, accounts: &Accounts, destination: &Destination, run: &RunName) -> Plan {
    let Listing { groups, mut findings, mut traces, .. } = listing;
    traces.retain(|group, _| !accounts.is_replaced(group));
    let layout = &destination.layout;
    let manifest = |group: &GroupName| destination.address(layout.group_manifest(run, group));
    let catalog = |group: &GroupName| destination.address(layout.catalog(run, group));
    let mut torn = BTreeSet::new();
    for summary in accounts.summaries() {
        let stage = summary.stage();
        let mut missing = 0;
        for group in (0..summary.groups).map(|number| GroupName::of_stage(run, stage, number)) {
            if !groups.contains_key(&group) && !accounts.is_replaced(&group) {
                missing += 1;
                if missing > MOST_MISSING {
                    break;
                }
                findings.push(Finding::NoManifest { manifest: manifest(&group) });
                findings.push(Finding::NoCatalog { catalog: catalog(&group), manifest: manifest(&group) });
            }
        }
        if missing > 0 {
            torn.insert(stage);
        }
        if missing > MOST_MISSING {
            let counted = |group: &&GroupName| {
                group.stage_in(run).is_some_and(|(of, number)| of == stage && number < summary.groups)
            };
            let replaced = accounts.replaced().iter().filter(|group| !groups.contains_key(group)).filter(counted);
            let there = (groups.keys().filter(counted).count() + replaced.count()) as u64;
            findings.push(Finding::MoreGroupsMissing { count: summary.groups.saturating_sub(there + MOST_MISSING) });
        }
    }
    let mut tasks = Vec::new();
    for (group, names) in groups {
        if accounts.is_replaced(&group) {
            continue;
        }
        let is_counted = |(stage, number): (Stage, u64)| accounts.get(stage).map(|summary| number < summary.groups);
        let uncounted = |place| is_counted(place) == Some(false);
        // Without a summary the manifest tells: that of an existing manifest is elsewhere.
        let is_own = |place| is_counted(place).unwrap_or(names.manifest.is_some());
        let place = group.stage_in(run).filter(|place| !group.may_be_foreign() || is_own(*place));
        if place.is_some_and(uncounted) {
            findings.push(Finding::StrayManifest { manifest: manifest(&group) });
        } else if place.is_some() && names.manifest.is_none() {
            findings.push(Finding::NoManifest { manifest: manifest(&group) });
        }
        if names.catalog.is_some() {
            let role = place.map_or(Role::Added, |(stage, _)| Role::Own(stage));
            let traces = traces.remove(&group).unwrap_or_default();
            tasks.push(Task { group, role, names, traces });
            continue;
        }
        torn.extend(place.map(|(stage, _)| stage));
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
    use s3bundler_contract::{KeyLayout, Layout, RunSummary};

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
        let summary = |(pass, groups): &(u32, u64)| RunSummary { groups: *groups, ..RunSummary::of_pass(run(), *pass) };
        planned_with(keys, &Accounts::of(groups.iter().map(summary)))
    }

    fn planned_with(keys: &[&str], accounts: &Accounts) -> (Vec<String>, Vec<String>, Vec<u32>) {
        let Plan { tasks, findings, torn } = plan(listing(keys), accounts, &destination(), &run());
        let told = |finding: &Finding| {
            let json = serde_json::to_value(finding).expect("plain fields");
            let object = ["manifest", "catalog", "receipt"].iter().find_map(|it| json.get(it)?.as_str());
            let file = object.unwrap_or_default().rsplit('/').next().unwrap_or_default();
            format!("{} {file}", json["finding"].as_str().unwrap_or_default())
        };
        let tasks = tasks.iter().map(|task| format!("{} {:?}", task.group, task.role)).collect();
        (tasks, findings.iter().map(told).collect(), torn.into_iter().filter_map(Stage::pass).collect())
    }

    const WHOLE: [&str; 3] =
        ["groups/run/run.000000.index", "catalog/run=run/run.000000.parquet", "receipts/run/run.000000~a1~c0~f0~b1"];

    #[test]
    fn a_whole_run_has_nothing_to_find() {
        let keys = [&WHOLE[..], &["groups/run/run.000000.index.dlq"]].concat();
        assert_eq!(planned(&keys, Some(1)), (vec!["run.000000 Own(Pass(0))".to_owned()], vec![]));
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
        assert_eq!(tasks, ["run.000000 Own(Pass(0))", "run.retry1.000000 Own(Pass(1))", "x.index.01234567 Added"]);
        assert_eq!(findings, Vec::<String>::new());
    }

    #[test]
    fn a_hash_that_looks_like_a_number_is_one_if_the_summary_or_a_manifest_says_so() {
        for name in ["run.a1234567", "run.retry1.a1234567", "run.redo1.a1234567"] {
            let catalog = format!("catalog/run=run/{name}.parquet");
            assert_eq!(planned(&[&catalog], None), (vec![format!("{name} Added")], vec![]), "{name}");
            assert!(!listing(&[&catalog]).has_own(&run()), "{name}");
            let manifest = format!("groups/run/{name}.index");
            let (tasks, findings) = planned(&[&catalog, &manifest], None);
            assert!(tasks[0].starts_with(&format!("{name} Own(")) && findings.is_empty(), "{tasks:?} {findings:?}");
            assert!(listing(&[&catalog, &manifest]).has_own(&run()), "{name}");
        }
        let beside = [&WHOLE[..], &["catalog/run=run/run.a1234567.parquet"]].concat();
        assert_eq!(planned(&beside, Some(1)).1, Vec::<String>::new());
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
    fn nothing_is_looked_for_of_a_group_that_a_redo_replaced() {
        let replaced = s3bundler_contract::Replaced {
            group: GroupName::numbered(&run(), 1),
            receipt: String::new(),
            rows: 1,
            digest: s3bundler_contract::RowDigest::default(),
            taken: BTreeMap::new(),
        };
        let redo = RunSummary { redo: 1, groups: 1, replaces: vec![replaced], ..RunSummary::empty(run()) };
        let accounts = Accounts::of([RunSummary { groups: 2, ..RunSummary::empty(run()) }, redo]);
        let redone = ["groups/run/run.redo1.000000.index", "catalog/run=run/run.redo1.000000.parquet"];
        let tasks = ["run.000000 Own(Pass(0))", "run.redo1.000000 Own(Redo(1))"];
        for left in [&[][..], &["catalog/run=run/run.000001.parquet"], &["receipts/run/run.000001~a1~c0~f0~b1"]] {
            let keys = [&WHOLE[..], &redone, left].concat();
            assert_eq!(planned_with(&keys, &accounts), (tasks.map(str::to_owned).to_vec(), vec![], vec![]));
        }
        let missing = planned_with(&WHOLE, &accounts).1;
        assert_eq!(missing, ["noManifest run.redo1.000000.index", "noCatalog run.redo1.000000.index"]);
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_pass_without_a_summary_is_unfinished_and_so_is_one_that_was_left_out() {
        let of = |added: &[&str]| {
            let keys = [&WHOLE[..], added].concat();
            unfinished(&listing(&keys), &run()).into_iter().map(|it| it.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), NONE, "pass 0 has a finding of its own");
        assert_eq!(of(&RETRIED), ["retry pass 1"]);
        assert_eq!(of(&["runs/run.retry1.done.json", RETRIED[0]]), NONE);
        assert_eq!(of(&["runs/run.retry2.done.json"]), ["retry pass 1"]);
        assert_eq!(
            of(&["groups/run/run.retry4294967295.000000.index"]),
            ["retry pass 4294967294", "retry pass 4294967295"]
        );
        assert_eq!(of(&["runs/run.retry1.json", "runs/run.retry01.done.json"]), NONE);
        assert_eq!(of(&["groups/run/run.redo1.000000.index"]), ["redo 1"]);
        assert_eq!(of(&["runs/run.redo2.done.json"]), ["redo 1"]);
        assert_eq!(of(&["runs/run.redo1.done.json", "groups/run/run.redo1.000000.index"]), NONE);
    }

    #[test]
    fn a_summary_that_lies_does_not_fill_the_memory() {
        let (tasks, findings) = planned(&WHOLE, Some(u64::MAX));
        assert_eq!((tasks.len(), findings.len()), (1, 2001));
    }
}
