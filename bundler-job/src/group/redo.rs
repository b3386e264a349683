//! Chosen groups once more, because what is archived of them is damaged or wrong.
//!
//! ```text
//! claim ──► summaries, receipts ──► choose: may they ──► manifests of the groups, ──► cut ──► publish ──► summary
//! group     of the whole run        be replaced?         less rows that a later              as any      runs/<run>
//! limits                                                 retry pass took                     groups      .redo<n>.done.json
//! ```
//!
//! The groups of a redo are counted in place of those that they replace, by everything that counts.
//! Nothing of the replaced groups is read but their manifests, and their dead letters if a retry
//! pass took rows of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use s3bundler_contract::{
    Accounts, ExitCode, GroupName, HasExitCode, Reason, Receipt, Replaced, RunName, RunSummary,
    S3Address, Stage,
};

use super::pass_complete::{position, reasons_of};
use super::publish::{Earlier, publish};
use super::receipts::Archived;
use super::redone::{self, Chosen, Redone};
use super::stages::{self, Begun, begun, last_planned};
use super::{GroupError, GroupMade, Grouped, Pass, claim, receipts, resume, summary};
use crate::catalog::Committed;
use crate::destination::Destination;
use crate::inventory::Scratch;
use crate::queue::Queue;
use crate::s3::S3;

/// Which groups to archive again, and where.
#[derive(Debug, Clone)]
pub struct RedoRequest {
    pub run: RunName,
    /// Where it is.
    pub destination: Destination,
    /// The redo, from 1.
    pub redo: u32,
    /// The groups whose place its groups take.
    pub groups: BTreeSet<GroupName>,
    /// Storage class of the group manifests, as S3 spells it.
    pub manifest_storage_class: String,
    /// Where manifests and dead letters are kept until they are read.
    pub scratch: Scratch,
}

/// Why chosen groups cannot be archived again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedoProblem {
    /// Not a group that a grouper of the run made and counted.
    #[error(
        "{0} is not a group of the run: no summary counts it. Groups are named as in `s3bundler \
         verify`, for example logs.000007"
    )]
    Unknown(GroupName),
    /// A group of an existing manifest: its rows are not rows of the run's inventory.
    #[error(
        "{group} is a group of an existing manifest, and no redo takes its place. Archive its \
         manifest again under the name of another run: `s3bundler bundle --manifest {} --name \
         OTHER --destination {destination}`",
        .manifest.as_ref().map_or_else(|| "s3://BUCKET/MANIFEST".to_owned(), S3Address::to_string)
    )]
    Existing {
        group: GroupName,
        /// Its manifest, if its catalog tells.
        manifest: Option<S3Address>,
        /// The destination.
        destination: S3Address,
    },
    /// Another redo replaced it already.
    #[error("group {group} is replaced by redo {by} already; choose groups of that redo instead")]
    Replaced {
        group: GroupName,
        /// The redo.
        by: u32,
    },
    /// It was planned with other groups.
    #[error("it is planned already, with the groups {0}; use the next number for others")]
    OtherGroups(String),
    /// The redo before it was not planned.
    #[error("redo {0} is not planned yet; redos are numbered from 1, one after the other")]
    Gap(u32),
    /// A retry pass is being planned, which may take rows of the groups.
    #[error(
        "retry pass {0} is not planned to its end; repeat `s3bundler group --retry-pass {0}` first"
    )]
    PassUnfinished(u32),
}

impl HasExitCode for RedoProblem {
    // Only an unfinished pass is finished by time.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::PassUnfinished(_) => ExitCode::Download,
            Self::Unknown(_)
            | Self::Existing { .. }
            | Self::Replaced { .. }
            | Self::OtherGroups(_)
            | Self::Gap(_) => ExitCode::Usage,
        }
    }
}

/// Makes groups of the rows of chosen groups, less those that a retry pass took, sends one message
/// a group to the queue if there is one, and writes the summary of the redo. `on_group` sees every
/// group once its manifest is in S3.
pub async fn redo<Q: Queue>(
    s3: &S3,
    request: &RedoRequest,
    queue: Option<&Q>,
    mut on_group: impl FnMut(&GroupMade) + Send,
) -> Result<Grouped, GroupError> {
    let RedoRequest {
        run,
        destination,
        redo,
        groups,
        manifest_storage_class,
        scratch,
    } = request;
    let pass = Pass {
        run,
        stage: Stage::Redo(*redo),
        destination,
        manifest_storage_class,
    };
    // Before the claim: a run of existing manifests has none.
    if let Some(existing) = groups
        .iter()
        .find(|group| group.stage_in(run).is_none() && group.may_be_foreign())
    {
        return Err(refuse_existing(s3, request, existing).await);
    }
    let claim = claim::get(s3, destination, run).await?;
    let accounts = stages::accounts(s3, destination, run).await?;
    let problem = |cause| GroupError::Redo {
        run: run.clone(),
        redo: *redo,
        cause,
    };
    let archived = receipts::list(s3, destination, run).await?;
    if let Some(summary) = accounts.get(pass.stage) {
        let replaced: BTreeSet<_> = summary.replaces.iter().map(|it| it.group.clone()).collect();
        if replaced != *groups {
            let names: Vec<_> = replaced.iter().map(GroupName::as_str).collect();
            return Err(problem(RedoProblem::OtherGroups(names.join(","))));
        }
        return resume::resume(
            s3,
            pass,
            summary.clone(),
            &accounts,
            &archived,
            queue,
            &mut on_group,
        )
        .await;
    }
    let chosen = match choose(&accounts, run, *redo, groups, &archived) {
        // The hash in its name looks like the number of a group that the run has not got.
        Err(RedoProblem::Unknown(group)) if group.may_be_foreign() => {
            return Err(refuse_existing(s3, request, &group).await);
        }
        chosen => chosen.map_err(problem)?,
    };
    let (last_pass, _) = last_planned(&accounts);
    let next = last_pass.saturating_add(1);
    if begun(s3, destination, run, &accounts, Stage::Pass(next)).await? == Begun::Partly {
        return Err(problem(RedoProblem::PassUnfinished(next)));
    }
    tracing::info!(%run, stage = %pass.stage, groups = chosen.len(), "planning a redo");
    let resumed = !resume::manifests(s3, pass).await?.is_empty();
    let receipts: BTreeMap<GroupName, String> = chosen
        .iter()
        .map(|it| (it.group.clone(), receipt_of(run, &it.group, &archived)))
        .collect();
    let earlier = if resumed {
        Earlier::Archived(archived)
    } else {
        Earlier::Nothing
    };
    let read = Arc::new(Mutex::new(Vec::new()));
    let mut rows = Redone::start(
        s3,
        scratch,
        redone::wanted(s3, pass, chosen).await?,
        Arc::clone(&read),
    );
    let mut published = publish(
        s3,
        pass,
        claim.group,
        earlier,
        move || rows.next_batch(),
        queue,
        &mut on_group,
    )
    .await?;
    let read = std::mem::take(&mut *read.lock().unwrap_or_else(PoisonError::into_inner));
    published.summary.pass = last_pass;
    published.summary.replaces = read
        .into_iter()
        .map(|replaced: Replaced| {
            let receipt = receipts.get(&replaced.group).cloned().unwrap_or_default();
            Replaced {
                receipt,
                ..replaced
            }
        })
        .collect();
    summary::write(s3, pass, &published.summary).await?;
    Ok(Grouped {
        summary: published.summary,
        sent: published.sent,
        already_archived: published.already_archived,
        resumed,
    })
}

/// Why a group of an existing manifest is not archived again, and what to do instead.
async fn refuse_existing(s3: &S3, request: &RedoRequest, group: &GroupName) -> GroupError {
    let RedoRequest {
        run,
        destination,
        redo,
        scratch,
        ..
    } = request;
    // Boxed: the futures of its callers stay small.
    let committed = Box::pin(Committed::read(
        s3,
        destination,
        run,
        group,
        scratch.directory(),
    ))
    .await;
    let manifest = committed
        .ok()
        .flatten()
        .map(|committed| committed.record().manifest());
    let destination = destination.address(destination.layout.root().trim_end_matches('/'));
    let cause = RedoProblem::Existing {
        group: group.clone(),
        manifest,
        destination,
    };
    GroupError::Redo {
        run: run.clone(),
        redo: *redo,
        cause,
    }
}

/// The name of a group's receipt; empty if it has none, or several.
fn receipt_of(
    run: &RunName,
    group: &GroupName,
    archived: &BTreeMap<GroupName, Archived>,
) -> String {
    let one = archived.get(group).filter(|archived| !archived.twice);
    one.map(|archived| Receipt::new(run, group.clone(), archived.figures.clone()).name())
        .unwrap_or_default()
}

/// Whether these groups can be replaced, and for which reasons retry passes took rows of them.
/// Pure.
fn choose(
    accounts: &Accounts,
    run: &RunName,
    redo: u32,
    groups: &BTreeSet<GroupName>,
    archived: &BTreeMap<GroupName, Archived>,
) -> Result<Vec<Chosen>, RedoProblem> {
    let (_, last_redo) = last_planned(accounts);
    if redo != last_redo.saturating_add(1) {
        return Err(RedoProblem::Gap(redo.saturating_sub(1)));
    }
    let replaced_by = |group: &GroupName| {
        accounts
            .summaries()
            .find(|summary| summary.replaces.iter().any(|it| it.group == *group))
            .map(|it| it.redo)
    };
    let mut chosen = Vec::new();
    for group in groups {
        let of = group.stage_in(run).and_then(|(stage, number)| {
            accounts
                .get(stage)
                .filter(|summary| number < summary.groups)
                .map(|summary| (stage, number, summary))
        });
        let Some((stage, number, summary)) = of else {
            return Err(RedoProblem::Unknown(group.clone()));
        };
        if let Some(by) = replaced_by(group) {
            return Err(RedoProblem::Replaced {
                group: group.clone(),
                by,
            });
        }
        let one = archived.get(group).filter(|archived| !archived.twice);
        let reasons = taken_from(accounts, summary);
        let expected = one.map(|archived| {
            let counts = reasons
                .iter()
                .map(|reason| (*reason, archived.figures.failed_for(*reason)));
            counts.filter(|(_, count)| *count > 0).collect()
        });
        chosen.push((
            (position(summary), stage, number),
            Chosen {
                group: group.clone(),
                reasons,
                expected,
            },
        ));
    }
    chosen.sort_by_key(|(place, _)| *place);
    Ok(chosen.into_iter().map(|(_, chosen)| chosen).collect())
}

/// The reasons for which retry passes took rows of the groups of this summary.
fn taken_from(accounts: &Accounts, summary: &RunSummary) -> BTreeSet<Reason> {
    let taken = accounts
        .summaries()
        .filter(|pass| pass.redo == 0 && pass.pass > position(summary));
    taken
        .flat_map(|pass| reasons_of(accounts, summary, pass.pass, pass.retried_reasons()))
        .collect()
}

#[cfg(test)]
mod tests;
