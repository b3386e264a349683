//! A pass that was grouped to its end before: nothing is read or cut again, groups that nobody archived are announced
//! again (their messages may be lost, or still there: either does no harm).

use std::collections::BTreeMap;

use s3bundler_contract::RunSummary;
use s3bundler_contract::layout::GroupName;
use s3bundler_contract::message::ManifestRef;

use super::announce::Announcer;
use super::receipts::Archived;
use super::{GroupError, GroupMade, Grouped, Pass};
use crate::queue::Queue;
use crate::s3::S3;

/// Compares the manifests that are there with the summary, and announces those without a receipt.
pub(super) async fn resume<Q: Queue>(
    pass: Pass<'_>,
    summary: RunSummary,
    manifests: BTreeMap<u64, String>,
    archived: &BTreeMap<GroupName, Archived>,
    queue: Option<&Q>,
    on_group: &mut (impl FnMut(&GroupMade) + Send),
) -> Result<Grouped, GroupError> {
    check(pass, &summary, &manifests)?;
    let mut announcer = Announcer::new(queue, on_group);
    for (number, etag) in manifests {
        let name = pass.group(number);
        let receipt = archived.get(&name);
        let address = pass.manifest(&name);
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

/// ETags of the pass's manifests by their numbers. Dead letters and groups of other passes lie beside them.
pub(super) async fn manifests(s3: &S3, pass: Pass<'_>) -> Result<BTreeMap<u64, String>, GroupError> {
    let layout = &pass.destination.layout;
    let prefix = pass.manifests();
    let mut manifests = BTreeMap::new();
    let listing = s3.list(&pass.destination.bucket, &prefix, |page| {
        manifests.extend(page.into_iter().filter_map(|object| {
            let (_, group) = layout.parse_group_manifest(&object.key)?;
            let (of, number) = group.pass_in(pass.run)?;
            (of == pass.number).then_some((number, object.etag))
        }));
        true
    });
    listing.await.map_err(GroupError::Destination)?;
    Ok(manifests)
}

fn check(pass: Pass<'_>, summary: &RunSummary, manifests: &BTreeMap<u64, String>) -> Result<(), GroupError> {
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
