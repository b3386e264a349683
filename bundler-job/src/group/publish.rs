//! From rows to manifests in S3 and messages on the queue: cutting on a thread of its own, several
//! PUTs in flight, every group announced once its manifest is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use s3bundler_contract::group_manifest::{COLUMNS_METADATA, Columns, MD5_METADATA, ROWS_METADATA};
use s3bundler_contract::layout::GroupName;
use s3bundler_contract::message::ManifestRef;
use s3bundler_contract::{GroupOptions, RunSummary, S3Address, etag};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::announce::Announcer;
use super::batch::Batch;
use super::conditional_put::{PutOnce, lost, put_once};
use super::cut::{CutGroup, Cutter};
use super::receipts::Archived;
use super::resume::manifests;
use super::{GroupError, GroupMade, Pass};
use crate::queue::Queue;
use crate::s3::{ErrorKind, Put, S3, S3Error};

/// Downloads of a manifest that is there, and whose bytes are not those that its metadata records.
const DOWNLOADS: u32 = 3;
/// PUTs in flight: at 0.25 s each and 65,000 rows a group, two million rows a second.
const PUTS_IN_FLIGHT: usize = 8;
/// Bytes of the manifests in those PUTs: seven groups of 65,000 rows of some 140 bytes. One is
/// always let through.
const BYTES_IN_FLIGHT: usize = 64 << 20;
/// Between two lines in the log.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// What was published.
pub(super) struct Published {
    pub(super) summary: RunSummary,
    pub(super) sent: u64,
    pub(super) already_archived: u64,
}

/// What an earlier start of the same may have left.
pub(super) enum Earlier {
    /// Nothing: there was none.
    Nothing,
    /// Manifests, which are looked for before they are put, and these receipts: groups that get no
    /// message.
    Archived(BTreeMap<GroupName, Archived>),
}

/// Cuts all batches into groups of at most `limits`, puts the manifest of every group and announces
/// it. `batches` gives the next one, `None` at the end; it may block.
pub(super) async fn publish<Q: Queue>(
    s3: &S3,
    pass: Pass<'_>,
    limits: GroupOptions,
    earlier: Earlier,
    batches: impl FnMut() -> Result<Option<Batch>, GroupError> + Send + 'static,
    queue: Option<&Q>,
    on_group: &mut (impl FnMut(&GroupMade) + Send),
) -> Result<Published, GroupError> {
    let (resumed, archived) = match earlier {
        Earlier::Nothing => (false, BTreeMap::new()),
        Earlier::Archived(archived) => (true, archived),
    };
    let rows = Arc::new(AtomicU64::new(0));
    let (sender, groups) = mpsc::channel(1);
    let cutter = Cutter::new(pass.nothing(), limits);
    let rows_cut = Arc::clone(&rows);
    let cutting = tokio::task::spawn_blocking(move || cut_all(batches, cutter, &sender, &rows_cut));
    let cutting = async { cutting.await.map_err(|_| GroupError::Stopped)? };

    let mut announcer = Announcer::new(queue, on_group);
    let publisher = Publisher {
        s3,
        pass,
        resumed,
        archived,
        rows,
    };
    let (summary, ()) = tokio::try_join!(cutting, publisher.put_all(groups, &mut announcer))?;
    find_all(s3, pass, summary.groups).await?;
    Ok(Published {
        summary,
        sent: announcer.sent,
        already_archived: announcer.already_archived,
    })
}

/// Looks for the manifests that were put. Once a summary counts them, one that the store lost is
/// not put again.
async fn find_all(s3: &S3, pass: Pass<'_>, groups: u64) -> Result<(), GroupError> {
    if groups == 0 {
        return Ok(());
    }
    let listed = manifests(s3, pass).await?;
    for number in (0..groups).filter(|number| !listed.contains_key(number)) {
        let address = pass.manifest(&pass.group(number));
        // The listings of some stores are late.
        if s3
            .head(&address)
            .await
            .map_err(GroupError::Destination)?
            .is_none()
        {
            return Err(GroupError::Destination(lost(&address)));
        }
    }
    Ok(())
}

/// Cuts batches into groups, to the last of them. Ends early where nobody wants them any more.
pub(super) fn cut_all(
    mut batches: impl FnMut() -> Result<Option<Batch>, GroupError>,
    mut cutter: Cutter,
    groups: &mpsc::Sender<CutGroup>,
    rows: &AtomicU64,
) -> Result<RunSummary, GroupError> {
    let give = |cut: Vec<CutGroup>| {
        let wanted = cut
            .into_iter()
            .all(|group| groups.blocking_send(group).is_ok());
        // Also asked where nothing was cut: a selection that takes nothing must still notice that
        // it is over.
        if wanted && !groups.is_closed() {
            Ok(())
        } else {
            Err(GroupError::Stopped)
        }
    };
    while let Some(batch) = batches()? {
        rows.fetch_add(batch.rows, Ordering::Relaxed);
        give(cutter.push(&batch))?;
    }
    let (last, summary) = cutter.finish();
    give(last)?;
    Ok(summary)
}

struct Publisher<'a> {
    s3: &'a S3,
    pass: Pass<'a>,
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
        // Tasks of their own: they go on while a message waits for its queue, and end with this
        // set.
        let mut puts: JoinSet<Result<PutGroup, GroupError>> = JoinSet::new();
        let (mut in_flight, mut made, mut objects, mut bytes) = (0, 0_u64, 0_u64, 0_u64);
        let mut ticks = interval_at(Instant::now() + PROGRESS_INTERVAL, PROGRESS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut more = true;
        while more || !puts.is_empty() {
            let room =
                puts.len() < PUTS_IN_FLIGHT && (puts.is_empty() || in_flight < BYTES_IN_FLIGHT);
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
                    tracing::info!(run = %self.pass.run, stage = %self.pass.stage, rows, groups = made, objects, bytes, "grouping");
                }
            }
        }
        announcer.flush().await
    }

    fn put(
        &self,
        group: CutGroup,
    ) -> impl Future<Output = Result<PutGroup, GroupError>> + Send + 'static {
        let address = self.pass.manifest(&group.name);
        let storage_class = self.pass.manifest_storage_class.to_owned();
        let (s3, resumed) = (self.s3.clone(), self.resumed);
        async move {
            let hashed = group.manifest.clone();
            let md5 = tokio::task::spawn_blocking(move || HEXLOWER.encode(&Md5::digest(&hashed)));
            let md5 = md5.await.map_err(|_| GroupError::Stopped)?;
            let content = Content {
                bytes: &group.manifest,
                rows: group.objects,
                md5: &md5,
            };
            let etag = put_manifest(&s3, &address, &content, &storage_class, resumed).await?;
            let manifest = ManifestRef::new(address, Some(etag)).with_content(group.objects, md5);
            Ok(PutGroup { group, manifest })
        }
    }
}

struct PutGroup {
    group: CutGroup,
    manifest: ManifestRef,
}

/// A manifest to put.
struct Content<'a> {
    bytes: &'a Bytes,
    rows: u64,
    /// MD5 of the bytes in hex.
    md5: &'a str,
}

/// Puts a manifest, unless the same one is there; gives its ETag. Another one under its key is an
/// error.
async fn put_manifest(
    s3: &S3,
    address: &S3Address,
    manifest: &Content<'_>,
    storage_class: &str,
    look_first: bool,
) -> Result<String, GroupError> {
    if look_first && let Some(etag) = find_same(s3, address, manifest).await? {
        return Ok(etag);
    }
    let (columns, rows) = (Columns::full().to_string(), manifest.rows.to_string());
    let put = Put {
        if_none_match: true,
        storage_class: Some(storage_class),
        metadata: &[
            (COLUMNS_METADATA, &columns),
            (ROWS_METADATA, &rows),
            (MD5_METADATA, manifest.md5),
        ],
        content_type: Some("text/csv"),
        ..Put::default()
    };
    match put_once(s3, address, manifest.bytes, &put).await? {
        PutOnce::Written(etag) => Ok(etag),
        PutOnce::Unsure(error) => match find_same(s3, address, manifest).await? {
            Some(etag) => Ok(etag),
            None => Err(GroupError::Destination(error)),
        },
    }
}

/// The ETag of the same manifest, where it is there.
async fn find_same(
    s3: &S3,
    address: &S3Address,
    manifest: &Content<'_>,
) -> Result<Option<String>, GroupError> {
    let Some(head) = s3.head(address).await.map_err(GroupError::Destination)? else {
        return Ok(None);
    };
    let foreign = || GroupError::ForeignManifest(address.clone());
    let said = |name| {
        head.metadata()
            .and_then(|metadata| metadata.get(name))
            .map(String::as_str)
    };
    let size = head.content_length().and_then(|n| usize::try_from(n).ok());
    // Earlier releases wrote neither rows nor MD5.
    let rows = said(ROWS_METADATA).is_none_or(|rows| rows == manifest.rows.to_string());
    let md5 = said(MD5_METADATA).is_none_or(|md5| md5 == manifest.md5);
    let columns = said(COLUMNS_METADATA) == Some(&Columns::full().to_string());
    if size != Some(manifest.bytes.len()) || !(columns && rows && md5) {
        return Err(foreign());
    }
    let etag = etag::unquoted(head.e_tag()).to_owned();
    if manifest.md5 == etag {
        return Ok(Some(etag));
    }
    // Encrypted with a KMS key, the ETag is no MD5: only the bytes tell.
    let limit = manifest.bytes.len() as u64;
    for _ in 0..DOWNLOADS {
        let (found, etag) = s3
            .get_bytes(address, Some(&etag), limit)
            .await
            .map_err(GroupError::Destination)?;
        if found == *manifest.bytes {
            return Ok(Some(etag));
        }
        if said(MD5_METADATA).is_none() {
            return Err(foreign());
        }
        // Its writer recorded the MD5 of these very rows: the bytes were damaged on their way.
        tracing::warn!(manifest = %address, "downloading again: these are not the bytes that were \
            written");
    }
    let damaged =
        "its bytes are not those of the MD5 that its writer recorded: it was damaged or replaced";
    Err(GroupError::Destination(S3Error::local(
        "GetObject",
        address.clone(),
        ErrorKind::Transient,
        damaged,
    )))
}
