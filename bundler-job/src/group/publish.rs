//! From the inventory's rows to manifests in S3 and messages on the queue: cutting on a thread of its own, several PUTs in
//! flight, every group announced once its manifest is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use s3bundler_contract::group_manifest::{COLUMNS_METADATA, Columns};
use s3bundler_contract::layout::GroupName;
use s3bundler_contract::message::ManifestRef;
use s3bundler_contract::{RunSummary, S3Address};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::announce::Announcer;
use super::batch::Batch;
use super::cut::{CutGroup, Cutter};
use super::put::{PutOnce, put_once};
use super::receipts::{self, Archived};
use super::{GroupError, GroupMade, GroupRequest, Selection};
use crate::inventory::{Batches, Inventory};
use crate::queue::Queue;
use crate::s3::{Put, S3};

/// PUTs in flight: at 0.25 s each and 65,000 rows a group, two million rows a second.
const PUTS_IN_FLIGHT: usize = 8;
/// Bytes of the manifests in those PUTs: seven groups of 65,000 rows of some 140 bytes. One is always let through.
const BYTES_IN_FLIGHT: usize = 64 << 20;
/// Between two lines in the log.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// What was published.
pub(super) struct Published {
    pub(super) summary: RunSummary,
    pub(super) sent: u64,
    pub(super) already_archived: u64,
}

/// Reads the whole inventory, puts the manifest of every group and announces it. `resumed`: manifests and receipts of an
/// earlier start may be there, and are looked for before anything is sent again.
pub(super) async fn publish<Q: Queue>(
    s3: &S3,
    request: &GroupRequest,
    inventory: &Inventory,
    selection: Selection,
    resumed: bool,
    queue: Option<&Q>,
    on_group: &mut (impl FnMut(&GroupMade) + Send),
) -> Result<Published, GroupError> {
    let archived =
        if resumed { receipts::list(s3, &request.destination, &request.run).await? } else { BTreeMap::new() };
    let rows = Arc::new(AtomicU64::new(0));
    let (sender, groups) = mpsc::channel(1);
    let batches = inventory.batches(s3, move |rows| Batch::of(rows, &selection));
    let cutter = Cutter::new(request.run.clone(), request.group.clone());
    let rows_cut = Arc::clone(&rows);
    let cutting = tokio::task::spawn_blocking(move || cut_all(batches, cutter, &sender, &rows_cut));
    let cutting = async { cutting.await.map_err(|_| GroupError::Stopped)? };

    let mut announcer = Announcer::new(queue, on_group);
    let publisher = Publisher { s3, request, resumed, archived, rows };
    let (summary, ()) = tokio::try_join!(cutting, publisher.put_all(groups, &mut announcer))?;
    Ok(Published { summary, sent: announcer.sent, already_archived: announcer.already_archived })
}

/// Cuts batches into groups, to the end of the inventory. Ends early where nobody wants them any more.
fn cut_all(
    mut batches: Batches<Batch>,
    mut cutter: Cutter,
    groups: &mpsc::Sender<CutGroup>,
    rows: &AtomicU64,
) -> Result<RunSummary, GroupError> {
    let give = |cut: Vec<CutGroup>| {
        let wanted = cut.into_iter().all(|group| groups.blocking_send(group).is_ok());
        // Also asked where nothing was cut: a selection that takes nothing must still notice that it is over.
        if wanted && !groups.is_closed() { Ok(()) } else { Err(GroupError::Stopped) }
    };
    while let Some(batch) = batches.next_batch()? {
        rows.fetch_add(batch.rows, Ordering::Relaxed);
        give(cutter.push(&batch))?;
    }
    let (last, summary) = cutter.finish();
    give(last)?;
    Ok(summary)
}

struct Publisher<'a> {
    s3: &'a S3,
    request: &'a GroupRequest,
    resumed: bool,
    archived: BTreeMap<GroupName, Archived>,
    rows: Arc<AtomicU64>,
}

impl Publisher<'_> {
    async fn put_all<Q: Queue, F: FnMut(&GroupMade)>(
        &self,
        mut groups: mpsc::Receiver<CutGroup>,
        announcer: &mut Announcer<'_, Q, F>,
    ) -> Result<(), GroupError> {
        // Tasks of their own: they go on while a message waits for its queue, and end with this set.
        let mut puts: JoinSet<Result<PutGroup, GroupError>> = JoinSet::new();
        let (mut in_flight, mut made, mut objects, mut bytes) = (0, 0_u64, 0_u64, 0_u64);
        let mut ticks = interval_at(Instant::now() + PROGRESS_INTERVAL, PROGRESS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut more = true;
        while more || !puts.is_empty() {
            let room = puts.len() < PUTS_IN_FLIGHT && (puts.is_empty() || in_flight < BYTES_IN_FLIGHT);
            tokio::select! {
                group = groups.recv(), if more && room => match group {
                    Some(group) => {
                        in_flight += group.manifest.len();
                        puts.spawn(self.put(group));
                    }
                    None => more = false,
                },
                Some(done) = puts.join_next() => {
                    let PutGroup { group, manifest } = done.map_err(|_| GroupError::Stopped)??;
                    in_flight -= group.manifest.len();
                    made += 1;
                    objects += group.objects;
                    bytes = bytes.saturating_add(group.bytes);
                    let group = GroupMade {
                        objects: Some(group.objects),
                        bytes: Some(group.bytes),
                        already_archived: self.archived.contains_key(&group.name),
                        name: group.name,
                    };
                    tracing::debug!(group = %group.name, objects = group.objects, archived = group.already_archived, "group made");
                    announcer.add(&group, manifest).await?;
                }
                _ = ticks.tick() => {
                    let rows = self.rows.load(Ordering::Relaxed);
                    tracing::info!(run = %self.request.run, rows, groups = made, objects, bytes, "grouping");
                }
            }
        }
        announcer.flush().await
    }

    fn put(&self, group: CutGroup) -> impl Future<Output = Result<PutGroup, GroupError>> + Send + 'static {
        let key = self.request.destination.layout.group_manifest(&self.request.run, &group.name);
        let address = self.request.destination.address(key);
        let storage_class = self.request.manifest_storage_class.clone();
        let (s3, resumed) = (self.s3.clone(), self.resumed);
        async move {
            let etag = put_manifest(&s3, &address, &group.manifest, &storage_class, resumed).await?;
            Ok(PutGroup { group, manifest: ManifestRef::new(address, Some(etag)) })
        }
    }
}

struct PutGroup {
    group: CutGroup,
    manifest: ManifestRef,
}

/// Puts a manifest, unless the same one is there; gives its ETag. Another one under its key is an error.
async fn put_manifest(
    s3: &S3,
    address: &S3Address,
    manifest: &Bytes,
    storage_class: &str,
    look_first: bool,
) -> Result<String, GroupError> {
    if look_first && let Some(etag) = find_same(s3, address, manifest).await? {
        return Ok(etag);
    }
    let columns = Columns::full().to_string();
    let put = Put {
        if_none_match: true,
        storage_class: Some(storage_class),
        metadata: &[(COLUMNS_METADATA, &columns)],
        content_type: Some("text/csv"),
        ..Put::default()
    };
    match put_once(s3, address, manifest, &put).await? {
        PutOnce::Written(etag) => Ok(etag),
        PutOnce::Unsure(error) => match find_same(s3, address, manifest).await? {
            Some(etag) => Ok(etag),
            None => Err(GroupError::Destination(error)),
        },
    }
}

/// The ETag of the same manifest, where it is there.
async fn find_same(s3: &S3, address: &S3Address, manifest: &Bytes) -> Result<Option<String>, GroupError> {
    let Some(head) = s3.head(address).await.map_err(GroupError::Destination)? else { return Ok(None) };
    let foreign = || GroupError::ForeignManifest(address.clone());
    let columns = head.metadata().and_then(|metadata| metadata.get(COLUMNS_METADATA));
    let size = head.content_length().and_then(|n| usize::try_from(n).ok());
    if size != Some(manifest.len()) || columns != Some(&Columns::full().to_string()) {
        return Err(foreign());
    }
    let etag = head.e_tag().unwrap_or_default().trim_matches('"').to_owned();
    let hashed = manifest.clone();
    let md5 = tokio::task::spawn_blocking(move || HEXLOWER.encode(&Md5::digest(&hashed)));
    if md5.await.map_err(|_| GroupError::Stopped)? == etag {
        return Ok(Some(etag));
    }
    // Encrypted with a KMS key, the ETag is no MD5: only the bytes tell.
    let limit = manifest.len() as u64;
    let (found, etag) = s3.get_bytes(address, Some(&etag), limit).await.map_err(GroupError::Destination)?;
    if found == *manifest { Ok(Some(etag)) } else { Err(foreign()) }
}
