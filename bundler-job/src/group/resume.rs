//! A pass that was grouped to its end before: nothing is read or cut again, groups that nobody
//! archived are announced again (their messages may be lost, or still there: either does no harm).

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use s3bundler_contract::group_manifest::Recorded;
use s3bundler_contract::message::ManifestRef;
use s3bundler_contract::{Accounts, GroupName, RunSummary};

use super::announce::Announcer;
use super::receipts::Archived;
use super::{GroupError, GroupMade, Grouped, Pass};
use crate::queue::Queue;
use crate::s3::S3;

/// HEADs in flight: 10,000 groups in some 20 seconds.
const HEADS_IN_FLIGHT: usize = 16;

/// Compares the manifests that are there with the summary, and announces those without a receipt
/// that no redo replaced.
pub(super) async fn resume<Q: Queue>(
    s3: &S3,
    pass: Pass<'_>,
    summary: RunSummary,
    accounts: &Accounts,
    archived: &BTreeMap<GroupName, Archived>,
    queue: Option<&Q>,
    on_group: &mut (impl FnMut(&GroupMade) + Send),
) -> Result<Grouped, GroupError> {
    let manifests = manifests(s3, pass).await?;
    check(pass, &summary, &manifests)?;
    let mut announcer = Announcer::new(queue, on_group);
    let with_messages = queue.is_some();
    let groups = stream::iter(manifests).map(|(number, etag)| {
        let name = pass.group(number);
        let receipt = archived.get(&name);
        let manifest = ManifestRef::new(pass.manifest(&name), Some(etag));
        let made = GroupMade {
            objects: receipt.map(|it| it.figures.rows()),
            bytes: receipt.map(|it| it.figures.bytes()),
            already_archived: receipt.is_some() || accounts.is_replaced(&name),
            name,
        };
        async move {
            let described = with_messages && !made.already_archived;
            let manifest = if described {
                describe(s3, manifest).await?
            } else {
                manifest
            };
            Ok::<_, GroupError>((made, manifest))
        }
    });
    let mut groups = std::pin::pin!(groups.buffered(HEADS_IN_FLIGHT));
    while let Some((made, manifest)) = groups.try_next().await? {
        announcer.add(&made, manifest).await?;
    }
    announcer.flush().await?;
    let (sent, already_archived) = (announcer.sent, announcer.already_archived);
    Ok(Grouped {
        summary,
        sent,
        already_archived,
        resumed: true,
    })
}

/// Adds what a manifest's metadata says of its content, as in the message that was sent first.
async fn describe(s3: &S3, manifest: ManifestRef) -> Result<ManifestRef, GroupError> {
    let head = s3
        .head(&manifest.address())
        .await
        .map_err(GroupError::Destination)?;
    // None if it was deleted since it was listed, which the worker reports.
    let metadata = head.as_ref().and_then(|head| head.metadata());
    Ok(manifest.with_recorded(metadata.map(Recorded::in_metadata).unwrap_or_default()))
}

/// ETags of the pass's manifests by their numbers. Dead letters and groups of other passes lie
/// beside them.
pub(super) async fn manifests(
    s3: &S3,
    pass: Pass<'_>,
) -> Result<BTreeMap<u64, String>, GroupError> {
    let layout = &pass.destination.layout;
    let prefix = pass.manifests();
    let mut manifests = BTreeMap::new();
    let listing = s3.list(&pass.destination.bucket, &prefix, |page| {
        manifests.extend(page.into_iter().filter_map(|object| {
            let (_, group) = layout.parse_group_manifest(&object.key)?;
            let (of, number) = group.stage_in(pass.run)?;
            (of == pass.stage).then_some((number, object.etag))
        }));
        true
    });
    listing.await.map_err(GroupError::Destination)?;
    Ok(manifests)
}

fn check(
    pass: Pass<'_>,
    summary: &RunSummary,
    manifests: &BTreeMap<u64, String>,
) -> Result<(), GroupError> {
    let address = |number| pass.manifest(&pass.group(number));
    if let Some(missing) = (0..summary.groups).find(|number| !manifests.contains_key(number)) {
        return Err(GroupError::MissingManifest {
            summary: pass.summary(),
            expected: summary.groups,
            missing: address(missing),
        });
    }
    match manifests.range(summary.groups..).next() {
        Some((number, _)) => Err(GroupError::ForeignManifest(address(*number))),
        None => Ok(()),
    }
}
