//! What verifying a run showed: figures and findings, for people and for machines.

use std::collections::BTreeMap;
use std::fmt;

use s3bundler_common::text::printable;
use s3bundler_contract::figures::sum;
use s3bundler_contract::{Figures, GroupName, LeftOut, Reason, RunName, S3Address, Verification};
use serde::Serialize;

use super::Finding;

/// Findings that the text shows; the JSON has all.
const SHOWN: usize = 100;

/// What verifying a run showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub run: RunName,
    /// Where it is.
    pub destination: S3Address,
    /// Whether every archive was read.
    pub full: bool,
    /// What the grouper counted; absent where it has not finished, and in a run of foreign
    /// manifests.
    pub inventory: Option<Inventory>,
    /// Groups looked at.
    pub groups: u64,
    /// What the catalogs of the run's groups add up to.
    #[serde(serialize_with = "with_rows")]
    pub objects: Figures,
    /// What those of the groups of its retry passes add up to: rows that are counted in `objects`
    /// already.
    #[serde(serialize_with = "with_rows")]
    pub retried: Figures,
    /// What those of the groups of redos add up to: rows that are in `objects` or `retried` no
    /// more.
    #[serde(serialize_with = "with_rows")]
    pub redone: Figures,
    /// Groups whose place redos take. Nothing of them is looked for.
    pub replaced: Vec<GroupName>,
    /// What no pass could archive, by reason: all failed rows, less those of retry groups that have
    /// a receipt.
    pub failed_in_the_end: BTreeMap<Reason, u64>,
    /// What those of groups of manifests from elsewhere add up to.
    #[serde(serialize_with = "with_rows")]
    pub foreign: Figures,
    /// Objects that were only compared by size, because the store keeps no checksum of them.
    pub unproven_checksums: u64,
    /// Objects that were archived or copied without tags, because tags could not be read.
    pub missing_tags: u64,
    /// Members of archives whose bytes were read and are right.
    pub members_read: u64,
    /// Groups whose index, dead letters or receipt were written again.
    pub repaired: Vec<GroupName>,
    /// Archives, indexes and open uploads of attempts that lost, removed.
    pub removed: Vec<S3Address>,
    /// What is wrong, in order.
    #[serde(serialize_with = "with_messages")]
    pub findings: Vec<Finding>,
}

impl Report {
    /// The short form, for the program that started this one.
    pub fn verification(&self) -> Verification {
        let catalogs = [&self.objects, &self.retried, &self.redone, &self.foreign];
        let objects = catalogs.map(|it| it.archived.saturating_add(it.copied));
        let leftovers = self.findings.iter().filter(|it| it.is_leftover());
        let wrong = self.findings.iter().filter(|it| !it.is_leftover());
        let first = wrong.clone().chain(leftovers.clone()).take(SHOWN);
        Verification {
            full: self.full,
            groups: self.groups,
            objects: sum(&objects),
            unproven: self.unproven_checksums,
            findings: wrong.count() as u64,
            leftovers: leftovers.count() as u64,
            // Keys may hold newlines and what a terminal would obey.
            first: first
                .map(|it| printable(&it.to_string()).into_owned())
                .collect(),
        }
    }
}

/// What the grouper counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// Rows of the inventory.
    pub rows: u64,
    /// Rows in no group, by reason.
    pub left_out: BTreeMap<LeftOut, u64>,
}

/// Figures as a report shows them: with the sum of their rows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WithRows<'a> {
    rows: u64,
    #[serde(flatten)]
    figures: &'a Figures,
}

fn with_rows<S: serde::Serializer>(figures: &Figures, serializer: S) -> Result<S::Ok, S::Error> {
    WithRows {
        rows: figures.rows(),
        figures,
    }
    .serialize(serializer)
}

#[derive(Serialize)]
struct WithMessage<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    message: String,
}

fn with_messages<S: serde::Serializer>(
    findings: &[Finding],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(findings.iter().map(|finding| WithMessage {
        finding,
        message: finding.to_string(),
    }))
}

fn by_reason<R: fmt::Display>(counts: &BTreeMap<R, u64>) -> String {
    let counts: Vec<_> = counts
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    if counts.is_empty() {
        String::new()
    } else {
        format!(" ({})", counts.join(", "))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            run,
            destination,
            groups,
            objects,
            retried,
            redone,
            foreign,
            ..
        } = self;
        writeln!(
            f,
            "run {run} in {destination}: {groups} groups, {} rows",
            objects.rows()
        )?;
        writeln!(
            f,
            "  archived   {} objects, {} bytes",
            objects.archived, objects.archived_bytes
        )?;
        writeln!(
            f,
            "  copied     {} objects, {} bytes",
            objects.copied, objects.copied_bytes
        )?;
        let failed = objects.failed_objects();
        writeln!(
            f,
            "  failed     {failed} objects, {} bytes{}",
            objects.failed_bytes,
            by_reason(&objects.failed)
        )?;
        match &self.inventory {
            Some(Inventory { rows, left_out }) => {
                let count = sum(left_out.values());
                writeln!(
                    f,
                    "  left out   {count} of the inventory's {rows} rows{}",
                    by_reason(left_out)
                )?;
            }
            None => writeln!(f, "  no summary of a grouping to compare with")?,
        }
        if retried.rows() > 0 {
            let (rows, archived, copied) = (retried.rows(), retried.archived, retried.copied);
            writeln!(
                f,
                "  retried    {rows} rows, {archived} now archived, {copied} copied"
            )?;
            let failed = sum(self.failed_in_the_end.values());
            writeln!(
                f,
                "  in the end {failed} objects failed{}",
                by_reason(&self.failed_in_the_end)
            )?;
        }
        if redone.rows() > 0 || !self.replaced.is_empty() {
            let (rows, archived, copied, groups) = (
                redone.rows(),
                redone.archived,
                redone.copied,
                self.replaced.len(),
            );
            writeln!(
                f,
                "  redone     {rows} rows in place of {groups} groups, {archived} archived, \
                 {copied} copied"
            )?;
        }
        if foreign.rows() > 0 {
            let (rows, archived, copied) = (foreign.rows(), foreign.archived, foreign.copied);
            writeln!(
                f,
                "  foreign    {rows} rows of other manifests, {archived} archived, {copied} copied"
            )?;
        }
        if self.full {
            writeln!(
                f,
                "  read       {} members, byte for byte",
                self.members_read
            )?;
        }
        if self.unproven_checksums > 0 {
            writeln!(
                f,
                "  unproven   {} objects without proof of all that they hold",
                self.unproven_checksums
            )?;
        }
        if self.missing_tags > 0 {
            writeln!(
                f,
                "  tags       {} objects may have tags that could not be read",
                self.missing_tags
            )?;
        }
        if !self.repaired.is_empty() {
            writeln!(f, "  repaired   {} groups", self.repaired.len())?;
        }
        if !self.removed.is_empty() {
            writeln!(
                f,
                "  removed    {} objects and uploads of attempts that lost",
                self.removed.len()
            )?;
        }
        if self.findings.is_empty() {
            return writeln!(f, "nothing found");
        }
        writeln!(f, "{} found:", self.findings.len())?;
        for finding in self.findings.iter().take(SHOWN) {
            // Keys may hold newlines and what a terminal would obey.
            writeln!(f, "  {}", printable(&finding.to_string()))?;
        }
        match self.findings.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more; --output json has all"),
        }
    }
}
