//! Another pass over the rows that failed and are worth it: throttled, or the server was at fault.
//!
//! ```text
//! claim ──► summary of the pass before ──► receipts ──► barrier ──► dead letters ──► cut ──► publish ──► summary
//! group     runs/<run>[.retry<n-1>]        of the       whole, by   rows with                as any      runs/<run>
//! limits    .done.json                     whole run    name?       reason Retry             groups      .retry<n>.done.json
//! ```
//!
//! Nothing here is claimed: what a pass is made of cannot change once the pass before is whole, so whoever plans it makes
//! the same groups, byte for byte.

use std::collections::BTreeMap;

use s3bundler_contract::layout::DEAD_LETTERS_SUFFIX;
use s3bundler_contract::{RunName, S3Address};

use super::barrier::{Source, sources};
use super::dead_letters::{self, DeadLetters, DeadLettersProblem};
use super::publish::{Earlier, publish};
use super::{GroupError, GroupMade, Grouped, Pass, claim, receipts, resume, summary};
use crate::args::Destination;
use crate::inventory::Scratch;
use crate::queue::Queue;
use crate::s3::S3;

/// Which pass to plan, and where.
#[derive(Debug, Clone)]
pub struct RetryRequest {
    /// The run.
    pub run: RunName,
    /// Where it is.
    pub destination: Destination,
    /// The pass, from 1.
    pub pass: u32,
    /// Storage class of the group manifests, as S3 spells it.
    pub manifest_storage_class: String,
    /// Where dead letters are kept until they are read.
    pub scratch: Scratch,
}

impl RetryRequest {
    fn pass(&self, number: u32) -> Pass<'_> {
        let Self { run, destination, manifest_storage_class, .. } = self;
        Pass { run, number, destination, manifest_storage_class }
    }
}

/// Makes groups of the rows that the pass before dead-lettered with reason Retry, sends one message a group to the queue
/// where there is one, and writes the summary of the pass, with no group where there is nothing to retry. The pass before
/// has to be whole. `on_group` sees every group once its manifest is in S3.
pub async fn retry<Q: Queue>(
    s3: &S3,
    request: &RetryRequest,
    queue: Option<&Q>,
    mut on_group: impl FnMut(&GroupMade) + Send,
) -> Result<Grouped, GroupError> {
    let RetryRequest { run, destination, .. } = request;
    let pass = request.pass(request.pass);
    let before = request.pass(request.pass.saturating_sub(1));
    let Some(claim) = claim::find(s3, destination, run).await? else {
        let claim = destination.address(destination.layout.claim(run));
        return Err(GroupError::NoClaim { run: run.clone(), claim });
    };
    let done = summary::find(s3, pass).await?;
    let archived = receipts::list(s3, destination, run).await?;
    let manifests = resume::manifests(s3, pass).await?;
    if let Some(summary) = done {
        tracing::info!(%run, pass = pass.number, groups = summary.groups, "the pass is planned already");
        return resume::resume(s3, pass, summary, manifests, &archived, queue, &mut on_group).await;
    }
    let Some(summary) = summary::find(s3, before).await? else {
        return Err(GroupError::Ungrouped { run: run.clone(), before: before.number, summary: before.summary() });
    };
    let sources = sources(&summary, &archived);
    let sources = sources.map_err(|cause| GroupError::Unplanned { run: run.clone(), before: before.number, cause })?;
    // Before anything is written.
    let sizes = check_dead_letters(s3, before, &sources).await?;
    tracing::info!(%run, pass = pass.number, sources = sources.len(), "planning a retry pass");
    let resumed = !manifests.is_empty();
    let earlier = if resumed { Earlier::Archived(archived) } else { Earlier::Nothing };
    let mut rows = DeadLetters::start(s3, before, &request.scratch, sources.into_iter().zip(sizes));
    let published = publish(s3, pass, claim.group, earlier, move || rows.next_batch(), queue, &mut on_group).await?;
    summary::write(s3, pass, &published.summary).await?;
    Ok(Grouped {
        summary: published.summary,
        sent: published.sent,
        already_archived: published.already_archived,
        resumed,
    })
}

/// The bytes of the dead letters of these groups, if they are all there; 1,000 objects of the pass a request.
async fn check_dead_letters(s3: &S3, pass: Pass<'_>, sources: &[Source]) -> Result<Vec<u64>, GroupError> {
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let addresses: Vec<S3Address> = sources.iter().map(|source| dead_letters::address(pass, source)).collect();
    let mut sizes: BTreeMap<&str, Option<u64>> = addresses.iter().map(|address| (&*address.key, None)).collect();
    let mut missing = sizes.len();
    let prefix = pass.manifests();
    let listing = s3.list(&pass.destination.bucket, &prefix, |page| {
        for object in page.iter().filter(|object| object.key.ends_with(DEAD_LETTERS_SUFFIX)) {
            if let Some(size) = sizes.get_mut(&*object.key)
                && size.replace(object.size).is_none()
            {
                missing -= 1;
            }
        }
        missing > 0
    });
    listing.await.map_err(GroupError::Destination)?;
    let sizes = sources.iter().zip(&addresses).map(|(source, address)| {
        sizes.get(&*address.key).copied().flatten().ok_or_else(|| GroupError::DeadLetters {
            address: address.clone(),
            group: source.group.clone(),
            problem: DeadLettersProblem::Missing,
        })
    });
    sizes.collect()
}
