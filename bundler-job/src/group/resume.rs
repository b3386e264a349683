//! A run that was grouped to its end before: the inventory is not read again, groups that nobody archived are announced
//! again (their messages may be lost, or still there: either does no harm).

use std::collections::BTreeMap;

use s3bundler_contract::RunSummary;
use s3bundler_contract::layout::GroupName;
use s3bundler_contract::message::ManifestRef;

use super::announce::Announcer;
use super::{GroupError, GroupMade, GroupRequest, Grouped, receipts};
use crate::queue::Queue;
use crate::s3::S3;

/// Compares the manifests that are there with the summary, and announces those without a receipt.
pub(super) async fn resume<Q: Queue>(
    s3: &S3,
    request: &GroupRequest,
    summary: RunSummary,
    queue: Option<&Q>,
    on_group: &mut (impl FnMut(&GroupMade) + Send),
) -> Result<Grouped, GroupError> {
    let manifests = manifests(s3, request).await?;
    check(request, &summary, &manifests)?;
    let archived = receipts::list(s3, &request.destination, &request.run).await?;
    let mut announcer = Announcer::new(queue, on_group);
    for (number, etag) in manifests {
        let name = GroupName::numbered(&request.run, number);
        let receipt = archived.get(&name);
        let address = request.destination.address(request.destination.layout.group_manifest(&request.run, &name));
        let made = GroupMade {
            objects: receipt.map(|it| it.objects),
            bytes: receipt.map(|it| it.bytes),
            already_archived: receipt.is_some(),
            name,
        };
        announcer.add(&made, ManifestRef::new(address, Some(etag))).await?;
    }
    announcer.flush().await?;
    let (sent, already_archived) = (announcer.sent, announcer.already_archived);
    Ok(Grouped { summary, sent, already_archived, resumed: true })
}

/// ETags of the grouper's manifests by their numbers. Dead letters and retry groups lie beside them.
async fn manifests(s3: &S3, request: &GroupRequest) -> Result<BTreeMap<u64, String>, GroupError> {
    let layout = &request.destination.layout;
    let prefix = layout.groups(&request.run);
    let mut manifests = BTreeMap::new();
    let listing = s3.list(&request.destination.bucket, &prefix, |page| {
        manifests.extend(page.into_iter().filter_map(|object| {
            let (_, group) = layout.parse_group_manifest(&object.key)?;
            Some((group.number_in(&request.run)?, object.etag))
        }));
        true
    });
    listing.await.map_err(GroupError::Destination)?;
    Ok(manifests)
}

fn check(request: &GroupRequest, summary: &RunSummary, manifests: &BTreeMap<u64, String>) -> Result<(), GroupError> {
    let layout = &request.destination.layout;
    let address = |number| {
        let group = GroupName::numbered(&request.run, number);
        request.destination.address(layout.group_manifest(&request.run, &group))
    };
    if let Some(missing) = (0..summary.groups).find(|number| !manifests.contains_key(number)) {
        return Err(GroupError::MissingManifest {
            summary: request.destination.address(layout.summary(&request.run)),
            expected: summary.groups,
            missing: address(missing),
        });
    }
    match manifests.range(summary.groups..).next() {
        Some((number, _)) => Err(GroupError::ForeignManifest(address(*number))),
        None => Ok(()),
    }
}
