//! The groups of a run.

use std::collections::BTreeMap;

use s3bundler_contract::{Accounts, Figures, GroupName, Receipt, RunName, S3Address};
use serde::Serialize;

use super::RunsError;
use crate::catalog::{CatalogError, FileKind, Outline, Parts, first_read};
use crate::destination::Destination;
use crate::find::listing::place_of;
use crate::group::accounts;
use crate::s3::{Listed, S3, S3Error};

/// How far a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum GroupState {
    /// It has a manifest, and no catalog yet.
    Waiting,
    /// It has a catalog, and no receipt yet.
    Committed,
    /// It has a receipt.
    Archived,
    /// Groups of a redo have its place.
    Replaced,
    /// It has a receipt and no catalog, or several receipts; `verify` tells more.
    Damaged,
}

impl GroupState {
    /// As a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Committed => "committed",
            Self::Archived => "archived",
            Self::Replaced => "replaced",
            Self::Damaged => "damaged",
        }
    }
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupEntry {
    pub group: GroupName,
    pub state: GroupState,
    /// By its receipt.
    pub objects: Option<Figures>,
}

/// The groups of a run: those that were made last come first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupsReport {
    pub run: RunName,
    pub groups: Vec<GroupEntry>,
    /// Of the groups that have a receipt and are not replaced.
    pub totals: Figures,
}

/// A group, and what the end of its catalog says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupDetail {
    #[serde(flatten)]
    pub entry: GroupEntry,
    pub run: RunName,
    /// Where its catalog is, if it has one. The rest is of the catalog.
    pub catalog: Option<S3Address>,
    pub manifest: Option<S3Address>,
    /// The attempt that won.
    pub attempt: Option<String>,
    /// Where its archive is; nothing where no object is in one.
    pub archive: Option<S3Address>,
    /// Bytes of the archive.
    pub archive_size: Option<u64>,
    pub storage_class: Option<String>,
    /// The program and version that wrote it.
    pub program: Option<String>,
}

/// What LIST shows of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    manifest: bool,
    /// Its size and ETag.
    catalog: Option<(u64, String)>,
    receipts: Vec<Receipt>,
}

impl Names {
    /// Pure.
    fn entry(&self, group: &GroupName, accounts: &Accounts) -> GroupEntry {
        let state = match (&self.catalog, self.receipts.len()) {
            _ if accounts.is_replaced(group) => GroupState::Replaced,
            (None, 0) => GroupState::Waiting,
            (Some(_), 0) => GroupState::Committed,
            (Some(_), 1) => GroupState::Archived,
            (None | Some(_), _) => GroupState::Damaged,
        };
        GroupEntry {
            group: group.clone(),
            state,
            objects: self.receipts.first().map(|it| it.figures.clone()),
        }
    }
}

type Groups = BTreeMap<GroupName, Names>;

/// Lists the groups of a run.
pub async fn list_groups(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
) -> Result<GroupsReport, RunsError> {
    let accounts = accounts(s3, destination, run).await?;
    let groups = Box::pin(read(s3, destination, run, None)).await?;
    if groups.is_empty() {
        let claim = destination.address(destination.layout.claim(run));
        if s3.head(&claim).await?.is_none() {
            return Err(RunsError::NoSuchRun {
                run: run.clone(),
                destination: destination.address(destination.layout.root()),
            });
        }
    }
    let mut entries: Vec<_> = groups
        .iter()
        .map(|(group, names)| names.entry(group, &accounts))
        .collect();
    entries.sort_by_cached_key(|entry| place_of(&entry.group, run));
    let mut totals = Figures::default();
    let counted = entries.iter().filter(|it| it.state != GroupState::Replaced);
    for figures in counted.filter_map(|it| it.objects.as_ref()) {
        totals.add(figures);
    }
    Ok(GroupsReport {
        run: run.clone(),
        groups: entries,
        totals,
    })
}

/// Shows a group of a run.
pub async fn show_group(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
    group: &GroupName,
) -> Result<GroupDetail, RunsError> {
    let accounts = accounts(s3, destination, run).await?;
    let mut groups = Box::pin(read(s3, destination, run, Some(group))).await?;
    let Some(names) = groups.remove(group) else {
        return Err(RunsError::NoSuchGroup {
            run: run.clone(),
            group: group.clone(),
        });
    };
    let mut detail = GroupDetail {
        entry: names.entry(group, &accounts),
        run: run.clone(),
        catalog: None,
        manifest: None,
        attempt: None,
        archive: None,
        archive_size: None,
        storage_class: None,
        program: None,
    };
    let Some((size, etag)) = names.catalog else {
        return Ok(detail);
    };
    let catalog = destination.address(destination.layout.catalog(run, group));
    let outline = outline(s3, &catalog, size, &etag).await?;
    let FileKind::Group(record) = outline.kind() else {
        let cause = CatalogError::Parquet("it is a file of compacted catalogs".to_owned());
        return Err(RunsError::Catalog { catalog, cause });
    };
    detail.catalog = Some(catalog);
    detail.manifest = Some(record.manifest());
    detail.attempt = Some(record.attempt.clone());
    detail.storage_class = Some(record.storage_class.clone());
    detail.program = Some(record.program.clone());
    if let Some(archive) = &record.archive {
        detail.archive = Some(destination.address(&archive.key));
        detail.archive_size = Some(archive.size);
    }
    Ok(detail)
}

/// What the end of a catalog says.
async fn outline(
    s3: &S3,
    catalog: &S3Address,
    size: u64,
    etag: &str,
) -> Result<Outline, RunsError> {
    let failed = |cause| RunsError::Catalog {
        catalog: catalog.clone(),
        cause,
    };
    let mut parts = Parts::none(size);
    let mut range = Some(first_read(size, false));
    while let Some(wanted) = range {
        let at = wanted.start;
        parts.add(at, s3.range(catalog, etag, size, wanted).await?);
        range = Outline::missing(&parts).map_err(failed)?;
    }
    Outline::open(&parts).map_err(failed)
}

/// What LIST shows of the groups of a run, or of one.
async fn read(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
    only: Option<&GroupName>,
) -> Result<Groups, S3Error> {
    let layout = &destination.layout;
    let name = only.map_or_else(String::new, ToString::to_string);
    let of_manifest = |groups: &mut Groups, object: Listed| {
        if let Some((of, group)) = layout.parse_group_manifest(&object.key)
            && of == *run
        {
            groups.entry(group).or_default().manifest = true;
        }
    };
    let of_catalog = |groups: &mut Groups, object: Listed| {
        if let Some((_, group)) = layout.parse_catalog(&object.key) {
            groups.entry(group).or_default().catalog = Some((object.size, object.etag));
        }
    };
    let receipts_at = layout.receipts(run);
    let of_receipt = |groups: &mut Groups, object: Listed| {
        let name = object.key.strip_prefix(&receipts_at).unwrap_or_default();
        // `verify` reports one that cannot be read.
        if let Ok(receipt) = Receipt::parse(name) {
            let names = groups.entry(receipt.group.clone()).or_default();
            names.receipts.push(receipt);
        }
    };
    let bucket = &destination.bucket;
    let named = |prefix: &str| format!("{prefix}{name}");
    let (mut groups, catalogs, receipts) = tokio::try_join!(
        list_into(s3, bucket, named(&layout.groups(run)), of_manifest),
        list_into(s3, bucket, named(&layout.catalogs(run)), of_catalog),
        list_into(s3, bucket, named(&receipts_at), of_receipt),
    )?;
    for (group, names) in catalogs {
        groups.entry(group).or_default().catalog = names.catalog;
    }
    for (group, names) in receipts {
        groups.entry(group).or_default().receipts = names.receipts;
    }
    if let Some(only) = only {
        groups.retain(|group, _| group == only);
    }
    Ok(groups)
}

/// What LIST shows under a prefix.
async fn list_into(
    s3: &S3,
    bucket: &str,
    prefix: String,
    place: impl Fn(&mut Groups, Listed),
) -> Result<Groups, S3Error> {
    let mut groups = Groups::new();
    let each = |page: Vec<Listed>| {
        for object in page {
            place(&mut groups, object);
        }
        true
    };
    s3.list(bucket, &prefix, each).await?;
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_group_follows_from_what_there_is_of_it() {
        let run: RunName = "r".parse().expect("a run's name");
        let group = GroupName::numbered(&run, 0);
        let receipt = Receipt::empty(group.clone());
        let catalog = Some((1, "e".to_owned()));
        for (catalog, receipts, state) in [
            (None, 0, GroupState::Waiting),
            (catalog.clone(), 0, GroupState::Committed),
            (catalog.clone(), 1, GroupState::Archived),
            (catalog, 2, GroupState::Damaged),
            (None, 1, GroupState::Damaged),
        ] {
            let names = Names {
                manifest: true,
                catalog,
                receipts: vec![receipt.clone(); receipts],
            };
            assert_eq!(names.entry(&group, &Accounts::default()).state, state);
        }
    }
}
