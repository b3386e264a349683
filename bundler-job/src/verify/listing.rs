//! The names of a run: what LIST shows of its manifests, catalogs and receipts, and how the three
//! sets differ.

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
    pub(super) async fn read(
        s3: &S3,
        destination: &Destination,
        run: &RunName,
    ) -> Result<Self, S3Error> {
        let layout = &destination.layout;
        let list = async |prefix: String, place: fn(&mut Self, &Destination, &RunName, &Listed)| {
            let mut listing = Self::default();
            let each = |page: Vec<Listed>| {
                for object in &page {
                    place(&mut listing, destination, run, object);
                }
                true
            };
            s3.list(&destination.bucket, &prefix, each)
                .await
                .map(|()| listing)
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
        if object
            .key
            .strip_suffix(DEAD_LETTERS_SUFFIX)
            .is_some_and(|key| layout.parse_dead_letters(key, run).is_some())
        {
            return;
        }
        match layout.parse_group_manifest(&object.key) {
            Some((of, group)) if of == *run => self.of(group).manifest = Some(object.etag.clone()),
            _ => self.findings.push(Finding::StrayManifest {
                manifest: destination.address(&object.key),
            }),
        }
    }

    fn place_summary(&mut self, destination: &Destination, run: &RunName, object: &Listed) {
        // Whatever else is there is no part of this run.
        self.summaries
            .extend(destination.layout.parse_stage_summary(&object.key, run));
    }

    fn place_catalog(&mut self, destination: &Destination, run: &RunName, object: &Listed) {
        let file = object
            .key
            .strip_prefix(&destination.layout.catalogs(run))
            .unwrap_or_default();
        match file
            .strip_suffix(".parquet")
            .and_then(|name| name.parse().ok())
        {
            Some(group) => self.of(group).catalog = Some(object.size),
            None => self.findings.push(Finding::StrayCatalog {
                catalog: destination.address(&object.key),
            }),
        }
    }

    fn place_receipt(&mut self, destination: &Destination, run: &RunName, object: &Listed) {
        let file = object
            .key
            .strip_prefix(&destination.layout.receipts(run))
            .unwrap_or_default();
        match Receipt::parse(file) {
            Ok(receipt) => self.of(receipt.group.clone()).receipts.push(receipt),
            Err(error) => {
                let receipt = destination.address(&object.key);
                self.findings.push(Finding::StrayReceipt {
                    receipt,
                    problem: format!("is no receipt: {error}"),
                });
            }
        }
    }
}

/// What a group is to its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// One of the grouper's. Rows of pass 0 are rows of the inventory; those of a later pass have
    /// failed in one before; those of a redo are rows of the groups that it replaces.
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

/// The stages of which there is something, but no summary: one that has groups, and the one before
/// it. Pure.
pub(super) fn unfinished(listing: &Listing, run: &RunName) -> BTreeSet<Stage> {
    // What may be foreign is no proof of a stage: one that large has groups of lower numbers, too.
    let own = listing
        .groups
        .keys()
        .filter(|group| !group.may_be_foreign());
    let grouped = own
        .filter_map(|group| group.stage_in(run))
        .map(|(stage, _)| stage);
    let seen: BTreeSet<Stage> = grouped.chain(listing.summaries.iter().copied()).collect();
    let before = seen.iter().filter_map(|stage| match stage {
        Stage::Pass(pass) => pass.checked_sub(1).map(Stage::Pass),
        Stage::Redo(redo) => redo.checked_sub(1).map(Stage::Redo),
    });
    let stages = seen.iter().copied().chain(before);
    let stages: BTreeSet<Stage> = stages
        .filter(|stage| !matches!(*stage, Stage::OWN | Stage::Redo(0)))
        .collect();
    stages.difference(&listing.summaries).copied().collect()
}

/// Compares the names of a run with the summaries of its stages. Nothing is looked for of a group
/// that a redo replaced. Pure.
pub(super) fn plan(
    listing: Listing,
    accounts: &Accounts,
    destination: &Destination,
    run: &RunName,
) -> Plan {
    let Listing {
        groups,
        mut findings,
        mut traces,
        ..
    } = listing;
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
                findings.push(Finding::NoManifest {
                    manifest: manifest(&group),
                });
                findings.push(Finding::NoCatalog {
                    catalog: catalog(&group),
                    manifest: manifest(&group),
                });
            }
        }
        if missing > 0 {
            torn.insert(stage);
        }
        if missing > MOST_MISSING {
            let counted = |group: &&GroupName| {
                group
                    .stage_in(run)
                    .is_some_and(|(of, number)| of == stage && number < summary.groups)
            };
            let replaced = accounts
                .replaced()
                .iter()
                .filter(|group| !groups.contains_key(group))
                .filter(counted);
            let there = (groups.keys().filter(counted).count() + replaced.count()) as u64;
            findings.push(Finding::MoreGroupsMissing {
                count: summary.groups.saturating_sub(there + MOST_MISSING),
            });
        }
    }
    let mut tasks = Vec::new();
    for (group, names) in groups {
        if accounts.is_replaced(&group) {
            continue;
        }
        let is_counted = |(stage, number): (Stage, u64)| {
            accounts.get(stage).map(|summary| number < summary.groups)
        };
        let uncounted = |place| is_counted(place) == Some(false);
        // Without a summary the manifest tells: that of an existing manifest is elsewhere.
        let is_own = |place| is_counted(place).unwrap_or(names.manifest.is_some());
        let place = group
            .stage_in(run)
            .filter(|place| !group.may_be_foreign() || is_own(*place));
        if place.is_some_and(uncounted) {
            findings.push(Finding::StrayManifest {
                manifest: manifest(&group),
            });
        } else if place.is_some() && names.manifest.is_none() {
            findings.push(Finding::NoManifest {
                manifest: manifest(&group),
            });
        }
        if names.catalog.is_some() {
            let role = place.map_or(Role::Added, |(stage, _)| Role::Own(stage));
            let traces = traces.remove(&group).unwrap_or_default();
            tasks.push(Task {
                group,
                role,
                names,
                traces,
            });
            continue;
        }
        torn.extend(place.map(|(stage, _)| stage));
        for receipt in &names.receipts {
            let problem = "is the receipt of a group without a catalog".to_owned();
            findings.push(Finding::StrayReceipt {
                receipt: destination.address(receipt.key(layout, run)),
                problem,
            });
        }
        if names.dead_letters && names.manifest.is_none() && place.is_none() {
            let object = destination.address(layout.dead_letters(run, &group));
            findings.push(Finding::StrayDeadLetters { object });
        }
        if names.manifest.is_some() || place.is_some() {
            findings.push(Finding::NoCatalog {
                catalog: catalog(&group),
                manifest: manifest(&group),
            });
        }
    }
    for (group, traces) in traces {
        findings.extend(
            traces
                .into_iter()
                .map(|trace| trace.uncommitted(destination, catalog(&group))),
        );
    }
    Plan {
        tasks,
        findings,
        torn,
    }
}

#[cfg(test)]
mod tests;
