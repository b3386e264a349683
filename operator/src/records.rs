//! S3 as the operator sees it: records of runs, the names of receipts, and whether an inventory is
//! finished. It never reads data, and it writes one thing: the claim of a run's name.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use md5::{Digest as _, Md5};
use s3bundler_common::listing::{problem_of_order, problem_of_page};
use s3bundler_contract::record::{InventoryRef, RecordError, RunClaim, RunSummary};
use s3bundler_contract::{ExistingManifests, Layout, RunName, S3Address, Stage, etag};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::aws::{Aws, AwsError, AwsErrorKind};
use crate::crd::{Encryption, EncryptionType};
use crate::receipts::{Count, Counted, Listing};

/// No claim or summary is larger; prefixes are what makes a claim grow.
const RECORD_BYTES: usize = 4 << 20;
/// 50,000 data files at some 300 bytes each, of a million rows and more: some 50 billion objects.
const MANIFEST_BYTES: usize = 16 << 20;
/// manifest.json is read one at a time: it is anybody's, and the operator's memory is everybody's.
static MANIFESTS: Semaphore = Semaphore::const_new(1);
/// Folders of an inventory that are looked through for the newest finished one.
const FOLDERS: usize = 50;

/// Why a record could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordsError {
    /// S3 did not do as asked.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Something else than the record it should be.
    #[error("{address}: {cause}")]
    Record {
        address: S3Address,
        cause: Arc<RecordError>,
    },
    /// A manifest.json that is none.
    #[error("{address} is not the manifest of an S3 Inventory: {problem}")]
    Manifest { address: S3Address, problem: String },
}

/// What there is of an inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InventoryState {
    Finished(InventoryRef),
    /// manifest.json is not there.
    Missing,
    /// manifest.checksum, which S3 writes last, is not there ("Amazon S3 Inventory", S3 user
    /// guide).
    Unfinished,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimState {
    /// Ours, written now or before, for this inventory.
    Ours(InventoryRef),
    /// That of another run: how it differs, and who made it.
    Taken {
        difference: &'static str,
        owner: String,
    },
}

/// A bucket in a region, with the account that must own it.
#[derive(Debug, Clone)]
pub struct Records {
    client: Client,
    expected_owner: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestHead {
    creation_timestamp: Option<String>,
}

impl Records {
    pub fn new(aws: &Aws, region: &str, expected_owner: Option<String>) -> Self {
        Self {
            client: aws.clients(region).s3,
            expected_owner,
        }
    }

    /// The same, for buckets that the requester pays for.
    pub fn paid_by_requester(aws: &Aws, region: &str, expected_owner: Option<String>) -> Self {
        Self {
            client: aws.clients(region).paying_s3,
            expected_owner,
        }
    }

    /// Whether the inventory of this manifest.json is finished, and which one it is.
    pub async fn inventory(&self, manifest: &S3Address) -> Result<InventoryState, RecordsError> {
        let stem = manifest.key.strip_suffix("json").unwrap_or(&manifest.key);
        let checksum = S3Address::new(&manifest.bucket, format!("{stem}checksum"));
        // Never closed; held until the bytes are gone.
        let _one = MANIFESTS.acquire().await;
        let Some((json, etag)) = self.get(manifest, MANIFEST_BYTES).await? else {
            return Ok(InventoryState::Missing);
        };
        if !self.exists(&checksum).await? {
            return Ok(InventoryState::Unfinished);
        }
        let unusable = |problem: String| RecordsError::Manifest {
            address: manifest.clone(),
            problem,
        };
        let head: ManifestHead =
            serde_json::from_slice(&json).map_err(|error| unusable(error.to_string()))?;
        let creation_timestamp = head
            .creation_timestamp
            .map(|text| text.parse::<u64>())
            .transpose();
        let creation_timestamp =
            creation_timestamp.map_err(|error| unusable(format!("creationTimestamp: {error}")))?;
        Ok(InventoryState::Finished(InventoryRef {
            manifest: manifest.clone(),
            etag,
            creation_timestamp,
        }))
    }

    /// The newest finished inventory under a prefix; those unfinished are passed over. `None` where
    /// there is none.
    pub async fn latest_inventory(
        &self,
        prefix: &S3Address,
    ) -> Result<Option<InventoryRef>, RecordsError> {
        let folder = format!("{}/", prefix.key.trim_end_matches('/'));
        let mut folders = Vec::new();
        let request = self
            .client
            .list_objects_v2()
            .bucket(&prefix.bucket)
            .prefix(&folder)
            .delimiter("/");
        self.list(request, prefix, |page| {
            // S3 names them 2026-11-22T01-00Z: the newest is the last.
            let dated = page
                .common_prefixes()
                .iter()
                .filter_map(|it| it.prefix())
                .filter(|name| is_dated(name));
            folders.extend(dated.map(str::to_owned));
        })
        .await?;
        folders.sort_unstable();
        for folder in folders.iter().rev().take(FOLDERS) {
            let manifest = S3Address::new(&prefix.bucket, format!("{folder}manifest.json"));
            if let InventoryState::Finished(inventory) = self.inventory(&manifest).await? {
                return Ok(Some(inventory));
            }
        }
        Ok(None)
    }

    /// The group manifests under a prefix, as a claim names them; `None` where there are none.
    pub async fn manifests(
        &self,
        prefix: &S3Address,
    ) -> Result<Option<InventoryRef>, RecordsError> {
        let mut given = ExistingManifests::under(prefix.clone());
        let request = self
            .client
            .list_objects_v2()
            .bucket(&prefix.bucket)
            .prefix(&prefix.key);
        self.list(request, prefix, |page| {
            for object in page.contents() {
                let etag = etag::unquoted(object.e_tag());
                given.add(object.key().unwrap_or_default(), etag);
            }
        })
        .await?;
        Ok(given.reference())
    }

    /// The inventory that the run's name is claimed for already, where it was the newest under this
    /// prefix.
    pub async fn claimed(
        &self,
        bucket: &str,
        layout: &Layout,
        run: &RunName,
        latest: &S3Address,
    ) -> Result<Option<InventoryRef>, RecordsError> {
        let address = S3Address::new(bucket, layout.claim(run));
        let Some((found, _)) = self.get(&address, RECORD_BYTES).await? else {
            return Ok(None);
        };
        let found = RunClaim::parse_of(&found, run).map_err(|cause| RecordsError::Record {
            address,
            cause: cause.into(),
        })?;
        Ok(is_under(&found.inventory, latest).then_some(found.inventory))
    }

    /// Claims the run's name, or finds whose it is. `latest` is the prefix that the inventory was
    /// the newest of, where it was: what was claimed before stays the run's inventory, however many
    /// came since.
    pub async fn claim(
        &self,
        bucket: &str,
        layout: &Layout,
        claim: &RunClaim,
        encryption: &Encryption,
        latest: Option<&S3Address>,
    ) -> Result<ClaimState, RecordsError> {
        let address = S3Address::new(bucket, layout.claim(&claim.run));
        let json = claim.to_json();
        let put = self
            .client
            .put_object()
            .bucket(bucket)
            .key(&address.key)
            .if_none_match("*")
            .content_type("application/json")
            .set_expected_bucket_owner(self.expected_owner.clone())
            .set_server_side_encryption(server_side(encryption.kind))
            .set_ssekms_key_id(encryption.kms_key_id.clone())
            // Buckets with a default retention refuse a PUT without a checksum; this one is known
            // to every store.
            .content_md5(content_md5(&json))
            .body(ByteStream::from(json))
            .send()
            .await
            .map_err(|error| AwsError::s3("PutObject", address.to_string(), &error));
        // Whatever the answer: a 412 may be for our own PUT, sent twice.
        let Some((found, _)) = self.get(&address, RECORD_BYTES).await? else {
            return Err(put
                .err()
                .map_or_else(|| not_there(&address), RecordsError::from));
        };
        let found = RunClaim::parse(&found).map_err(|cause| RecordsError::Record {
            address,
            cause: cause.into(),
        })?;
        Ok(compare(claim, found, latest))
    }

    /// What the grouper made of a pass, once it has made it.
    pub async fn summary(
        &self,
        bucket: &str,
        layout: &Layout,
        run: &RunName,
        stage: Stage,
    ) -> Result<Option<RunSummary>, RecordsError> {
        let address = S3Address::new(bucket, layout.stage_summary(run, stage));
        let Some((bytes, _)) = self.get(&address, RECORD_BYTES).await? else {
            return Ok(None);
        };
        RunSummary::parse_of(&bytes, run, stage)
            .map(Some)
            .map_err(|cause| RecordsError::Record {
                address,
                cause: cause.into(),
            })
    }

    /// Goes on with the sweep over the receipts of a run, or begins one, by at most `lists` LISTs.
    /// Returns what the sweep has come to if it came to its end.
    pub async fn count(
        &self,
        bucket: &str,
        layout: &Layout,
        run: &RunName,
        count: &mut Count,
        lists: u32,
    ) -> Result<Option<Counted>, RecordsError> {
        let prefix = layout.receipts(run);
        if !count.is_under_way() {
            count.begin();
        }
        for _ in 0..lists {
            let Some(listing) = count.listing() else {
                break;
            };
            let page = self.receipts(bucket, &prefix, &listing).await?;
            let objects = page.contents().iter();
            let names = objects.filter_map(|object| object.key()?.strip_prefix(&prefix));
            let is_last = page.is_truncated() != Some(true);
            if let Some(counted) = count.page(names, is_last) {
                return Ok(Some(counted));
            }
        }
        Ok(None)
    }

    /// A LIST of receipts. Fails if its answer cannot be gone on with.
    async fn receipts(
        &self,
        bucket: &str,
        prefix: &str,
        listing: &Listing,
    ) -> Result<ListObjectsV2Output, AwsError> {
        let address = S3Address::new(bucket, prefix);
        let after = listing.after.as_ref().map(|name| format!("{prefix}{name}"));
        let request = self
            .client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .set_start_after(after.clone())
            .max_keys(i32::try_from(listing.most).unwrap_or(i32::MAX))
            .set_expected_bucket_owner(self.expected_owner.clone());
        let page = request
            .send()
            .await
            .map_err(|error| AwsError::s3("ListObjectsV2", address.to_string(), &error))?;
        let page = whole(page, &address)?;
        let keys = page.contents().iter().filter_map(|object| object.key());
        match problem_of_order(after.as_deref(), keys, page.is_truncated()) {
            None => Ok(page),
            Some(problem) => Err(unusable_page(&address, problem)),
        }
    }

    /// Lists to the end, 1,000 objects a page.
    async fn list(
        &self,
        request: ListObjectsV2FluentBuilder,
        prefix: &S3Address,
        mut each: impl FnMut(&ListObjectsV2Output),
    ) -> Result<(), AwsError> {
        let request = request.set_expected_bucket_owner(self.expected_owner.clone());
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| AwsError::s3("ListObjectsV2", prefix.to_string(), &error))?;
            each(&whole(page, prefix)?);
        }
        Ok(())
    }

    async fn exists(&self, address: &S3Address) -> Result<bool, AwsError> {
        let request = self
            .client
            .head_object()
            .bucket(&address.bucket)
            .key(&address.key);
        let answer = request
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await;
        match answer.map_err(|error| AwsError::s3("HeadObject", address.to_string(), &error)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind == AwsErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The bytes of a small object and its ETag; `None` where it is not there.
    async fn get(
        &self,
        address: &S3Address,
        limit: usize,
    ) -> Result<Option<(Vec<u8>, String)>, AwsError> {
        let request = self
            .client
            .get_object()
            .bucket(&address.bucket)
            .key(&address.key);
        let answer = request
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await;
        let mut output =
            match answer.map_err(|error| AwsError::s3("GetObject", address.to_string(), &error)) {
                Ok(output) => output,
                Err(error) if error.kind == AwsErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
        let failed = |kind, detail: String| AwsError {
            action: "GetObject",
            target: address.to_string(),
            kind,
            detail,
        };
        if output
            .content_length()
            .and_then(|length| usize::try_from(length).ok())
            .is_some_and(|length| length > limit)
        {
            return Err(failed(
                AwsErrorKind::Rejected,
                format!("it has more than {limit} bytes"),
            ));
        }
        let etag = etag::unquoted(output.e_tag()).to_owned();
        let mut bytes = Vec::new();
        while let Some(chunk) = output.body.next().await {
            bytes.extend_from_slice(
                &chunk.map_err(|error| failed(AwsErrorKind::Transient, error.to_string()))?,
            );
            if bytes.len() > limit {
                return Err(failed(
                    AwsErrorKind::Rejected,
                    format!("it has more than {limit} bytes"),
                ));
            }
        }
        Ok(Some((bytes, etag)))
    }
}

fn content_md5(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(&Md5::digest(bytes))
}

/// What the operator puts before the name of the resource in a claim.
pub const OWNER: &str = "ArchiveRun ";

fn compare(ours: &RunClaim, found: RunClaim, latest: Option<&S3Address>) -> ClaimState {
    let mut ours = ours.clone();
    if latest.is_some_and(|latest| is_under(&found.inventory, latest)) {
        ours.inventory = found.inventory.clone();
    }
    // Two operators at one run would count each other's receipts. The command line resumes whatever
    // it finds.
    let elsewhere = found.owner.starts_with(OWNER) && found.owner != ours.owner;
    match ours
        .difference(&found)
        .or_else(|| elsewhere.then_some("another resource"))
    {
        None => ClaimState::Ours(found.inventory),
        Some(difference) => ClaimState::Taken {
            difference,
            owner: found.owner,
        },
    }
}

/// Whether an inventory is one of those under a prefix.
fn is_under(inventory: &InventoryRef, prefix: &S3Address) -> bool {
    let (manifest, folder) = (
        &inventory.manifest,
        format!("{}/", prefix.key.trim_end_matches('/')),
    );
    manifest.bucket == prefix.bucket && manifest.key.starts_with(&folder)
}

fn server_side(kind: EncryptionType) -> Option<ServerSideEncryption> {
    match kind {
        EncryptionType::BucketDefault => None,
        EncryptionType::SseS3 => Some(ServerSideEncryption::Aes256),
        EncryptionType::SseKms => Some(ServerSideEncryption::AwsKms),
        EncryptionType::DsseKms => Some(ServerSideEncryption::AwsKmsDsse),
    }
}

/// How old an inventory is, where it says when it was begun.
pub fn age(inventory: &InventoryRef, now: Duration) -> Option<Duration> {
    inventory
        .creation_timestamp
        .map(|created| now.saturating_sub(Duration::from_millis(created)))
}

fn not_there(address: &S3Address) -> RecordsError {
    RecordsError::Aws(AwsError {
        action: "GetObject",
        target: address.to_string(),
        kind: AwsErrorKind::Transient,
        detail: "it was put, and is not there".to_owned(),
    })
}

/// Whether a folder is one of S3's deliveries, `…/2026-11-22T01-00Z/`.
fn is_dated(folder: &str) -> bool {
    let name = folder
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let shape = b"dddd-dd-ddTdd-ddZ";
    name.len() == shape.len()
        && name.bytes().zip(shape).all(|(byte, shape)| {
            if *shape == b'd' {
                byte.is_ascii_digit()
            } else {
                byte == *shape
            }
        })
}

/// Returns the page of a listing unless its answer was damaged or is of something else.
fn whole(page: ListObjectsV2Output, prefix: &S3Address) -> Result<ListObjectsV2Output, AwsError> {
    let folders = page
        .common_prefixes()
        .iter()
        .filter_map(|folder| folder.prefix());
    let keys = page
        .contents()
        .iter()
        .filter_map(|object| object.key())
        .chain(folders);
    let problem = problem_of_page(
        &prefix.key,
        keys,
        page.is_truncated(),
        page.next_continuation_token(),
    );
    match problem {
        None => Ok(page),
        Some(problem) => Err(unusable_page(prefix, problem)),
    }
}

fn unusable_page(prefix: &S3Address, problem: &str) -> AwsError {
    AwsError {
        action: "ListObjectsV2",
        target: prefix.to_string(),
        kind: AwsErrorKind::Transient,
        detail: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests;
