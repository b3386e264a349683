//! Another pass over the rows that failed for chosen reasons: by default those that were throttled,
//! or whose server was at fault.
//!
//! ```text
//! claim ──► summaries of the run ──► receipts ──► barrier ──► dead letters ──► cut ──► publish ──► summary
//! group     its own, of passes       of the       whole, by   rows of the              as any      runs/<run>
//! limits    and of redos             whole run    name?       reasons                  groups      .retry<n>.done.json
//! ```
//!
//! Nothing here is claimed: what a pass is made of cannot change once the passes before are whole,
//! so every process plans the same groups, byte for byte (docs/decisions/retry-passes.md).

use std::collections::BTreeMap;

use s3bundler_contract::figures::add_all;
use s3bundler_contract::record::FORMAT_2;
use s3bundler_contract::{Reason, RunName, S3Address, Stage};

use super::dead_letters::{self, DeadLetters, DeadLettersProblem};
use super::pass_complete::{Source, sources};
use super::publish::{Earlier, publish};
use super::stages::{self, Begun, begun, last_planned};
use super::{GroupError, GroupMade, Grouped, Pass, claim, receipts, resume, spool, summary};
use crate::destination::Destination;
use crate::inventory::Scratch;
use crate::queue::Queue;
use crate::s3::S3;

/// Which pass to plan, and where.
#[derive(Debug, Clone)]
pub struct RetryRequest {
    pub run: RunName,
    /// Where it is.
    pub destination: Destination,
    /// The pass, from 1.
    pub pass: u32,
    /// Which rows it takes: those that failed for one of these reasons. In order, without doubles.
    pub reasons: Vec<Reason>,
    /// Storage class of the group manifests, as S3 spells it.
    pub manifest_storage_class: String,
    /// Where dead letters are kept until they are read.
    pub scratch: Scratch,
}

impl RetryRequest {
    fn pass(&self, number: u32) -> Pass<'_> {
        let Self {
            run,
            destination,
            manifest_storage_class,
            ..
        } = self;
        Pass {
            run,
            stage: Stage::Pass(number),
            destination,
            manifest_storage_class,
        }
    }
}

/// Makes groups of the rows that earlier passes dead-lettered for its reasons, sends one message a
/// group to the queue where there is one, and writes the summary of the pass, with no group where
/// there is nothing to retry. The pass before has to be whole. `on_group` sees every group once its
/// manifest is in S3.
pub async fn retry<Q: Queue>(
    s3: &S3,
    request: &RetryRequest,
    queue: Option<&Q>,
    mut on_group: impl FnMut(&GroupMade) + Send,
) -> Result<Grouped, GroupError> {
    let RetryRequest {
        run, destination, ..
    } = request;
    let pass = request.pass(request.pass);
    let before = request.pass.saturating_sub(1);
    let claim = claim::get(s3, destination, run).await?;
    let accounts = stages::accounts(s3, destination, run).await?;
    let archived = receipts::list(s3, destination, run).await?;
    if let Some(summary) = accounts.get(pass.stage) {
        tracing::info!(%run, stage = %pass.stage, groups = summary.groups, "the pass is planned \
            already");
        if summary.retried_reasons() != request.reasons {
            let (found, asked) = (words(summary.retried_reasons()), words(&request.reasons));
            tracing::warn!(%run, stage = %pass.stage, found, asked, "the pass was planned with \
                other reasons, which stay");
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
    if accounts.get(Stage::Pass(before)).is_none() {
        let summary = request.pass(before).summary();
        return Err(GroupError::Ungrouped {
            run: run.clone(),
            before,
            summary,
        });
    }
    // Its groups may take the place of those that this pass is made of.
    let redo = last_planned(&accounts).1.saturating_add(1);
    if begun(s3, destination, run, &accounts, Stage::Redo(redo)).await? == Begun::Partly {
        let summary = destination.address(destination.layout.stage_summary(run, Stage::Redo(redo)));
        return Err(GroupError::RedoUnfinished {
            run: run.clone(),
            redo,
            summary,
        });
    }
    let sources = sources(&accounts, &archived, request.pass, &request.reasons);
    let sources = sources.map_err(|cause| GroupError::Unplanned {
        run: run.clone(),
        before,
        cause,
    })?;
    // Before anything is written.
    let sizes = check_dead_letters(s3, pass, &sources).await?;
    tracing::info!(%run, stage = %pass.stage, sources = sources.len(), "planning a retry pass");
    let resumed = !resume::manifests(s3, pass).await?.is_empty();
    let earlier = if resumed {
        Earlier::Archived(archived)
    } else {
        Earlier::Nothing
    };
    let mut rows_by_reason = BTreeMap::new();
    add_all(
        &mut rows_by_reason,
        sources.iter().flat_map(|source| &source.to_retry),
    );
    let mut rows = DeadLetters::start(s3, pass, &request.scratch, sources.into_iter().zip(sizes));
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
    if request.reasons != [Reason::Retry] {
        let summary = &mut published.summary;
        (summary.format, summary.rows_by_reason) = (FORMAT_2, rows_by_reason);
        summary.reasons.clone_from(&request.reasons);
    }
    summary::write(s3, pass, &published.summary).await?;
    Ok(Grouped {
        summary: published.summary,
        sent: published.sent,
        already_archived: published.already_archived,
        resumed,
    })
}

fn words(reasons: &[Reason]) -> String {
    reasons
        .iter()
        .map(|reason| reason.as_str())
        .collect::<Vec<_>>()
        .join(",")
}

/// The bytes of the dead letters of these groups, if they are all there.
async fn check_dead_letters(
    s3: &S3,
    pass: Pass<'_>,
    sources: &[Source],
) -> Result<Vec<u64>, GroupError> {
    let addresses: Vec<S3Address> = sources
        .iter()
        .map(|source| dead_letters::address(pass, source))
        .collect();
    let sizes = spool::sizes(s3, pass, &addresses).await?;
    let sizes = sources
        .iter()
        .zip(addresses)
        .zip(sizes)
        .map(|((source, address), size)| {
            let (group, problem) = (source.group.clone(), DeadLettersProblem::Missing);
            size.ok_or(GroupError::DeadLetters {
                address,
                group,
                problem,
            })
        });
    sizes.collect()
}
