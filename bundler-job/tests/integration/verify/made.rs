//! Runs made by hand, with the same writers as the bundler and none of its work: so that a test can
//! make one that is whole, or wrong in exactly one way.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use md5::{Digest, Md5};
use s3bundler::catalog::{
    ArchiveRecord, CatalogWriter, Committed, Entry, GroupRecord, Map, Outcome, Place, Publication,
    publish,
};
use s3bundler::destination::Destination;
use s3bundler::progress::{Progress, ProgressStyle};
use s3bundler::s3::{PathStyle, Put, PutBody, RequestOptions, S3, S3Options};
use s3bundler::verify::{ORPHAN_AGE, Report, VerifyError, VerifyRequest, verify};
use s3bundler_contract::group_manifest::{COLUMNS_METADATA, Columns, RowWriter};
use s3bundler_contract::{
    ArchiveFormat, ArchiveOptions, Attempt, Group, GroupName, GroupOptions, InventoryRef,
    KeyLayout, Layout, LeftOut, Reason, Row, RunClaim, RunName, RunSummary, S3Address,
    SelectOptions,
};
use s3bundler_testbed::client;

use crate::world::servers::{self, versitygw};
use s3bundler_testbed::servers::Access;

/// What becomes of a row.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    Archived,
    Copied,
    Failed(Reason),
}

/// A source object and what becomes of it.
#[derive(Debug, Clone)]
pub struct Made {
    pub key: String,
    pub bytes: Vec<u8>,
    pub fate: Fate,
}

pub fn object(key: &str, bytes: &[u8], fate: Fate) -> Made {
    Made {
        key: key.to_owned(),
        bytes: bytes.to_vec(),
        fate,
    }
}

/// Two groups with every fate in them.
pub fn usual() -> Vec<Vec<Made>> {
    vec![
        vec![
            object("a", b"12345", Fate::Archived),
            object("b, \"quoted\"", b"", Fate::Archived),
            object("large", &[7; 3000], Fate::Copied),
            object("gone", b"xx", Fate::Failed(Reason::NoSuchKey)),
        ],
        vec![
            object("c/d", &[9; 1500], Fate::Archived),
            object("e", b"e", Fate::Archived),
        ],
    ]
}

/// A run in a bucket of its own.
pub struct MadeRun {
    pub s3: S3,
    pub client: aws_sdk_s3::Client,
    pub request: VerifyRequest,
    pub format: ArchiveFormat,
    summary: RunSummary,
    _scratch: tempfile::TempDir,
}

pub async fn s3_of(access: &Access) -> S3 {
    let keys = Credentials::new(&access.access_key, &access.secret_key, None, None, "test");
    let config = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(&access.endpoint)
        .region(Region::new(access.region.clone()))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .load()
        .await;
    S3::new(
        config,
        &S3Options {
            path_style: PathStyle::Always,
            region: None,
            requests: RequestOptions::default(),
            first_byte_timeout: None,
            outage_budget: std::time::Duration::ZERO,
            requests_per_second: None,
        },
    )
}

impl MadeRun {
    /// An empty run called `run` in a new bucket.
    pub async fn new(format: ArchiveFormat) -> Self {
        static BUCKETS: AtomicU64 = AtomicU64::new(0);
        let bucket = format!("verify-{}", BUCKETS.fetch_add(1, Ordering::Relaxed));
        let access = versitygw().await;
        let client = client::s3(access);
        servers::create_bucket(access, &bucket).await;
        let scratch = tempfile::tempdir().unwrap();
        let run: RunName = "run".parse().unwrap();
        let request = VerifyRequest {
            destination: Destination {
                bucket,
                layout: Layout::new("p", KeyLayout::Hashed).unwrap(),
            },
            run: run.clone(),
            full: false,
            repair: false,
            orphan_age: ORPHAN_AGE,
            groups: 4,
            scratch: scratch.path().to_owned(),
            crc64nvme: true,
        };
        let mut summary = RunSummary::empty(run);
        summary.left_out.insert(LeftOut::Glacier, 2);
        Self {
            s3: s3_of(access).await,
            client,
            request,
            format,
            summary,
            _scratch: scratch,
        }
    }

    /// A run of these groups, whole.
    pub async fn of(format: ArchiveFormat, groups: &[Vec<Made>]) -> Self {
        let mut made = Self::new(format).await;
        made.claim().await;
        for group in groups {
            made.group(group, |_, _| ()).await;
        }
        made.summarize().await;
        made
    }

    pub async fn claim(&self) {
        let inventory = InventoryRef {
            manifest: S3Address::new("inventory", "manifest.json"),
            etag: "e".to_owned(),
            creation_timestamp: None,
        };
        let archive = ArchiveOptions {
            format: self.format,
            ..ArchiveOptions::default()
        };
        let (select, group) = (SelectOptions::default(), GroupOptions::default());
        let run = self.request.run.clone();
        let claim = RunClaim::new(run, inventory, select, group, archive, "test".to_owned());
        self.put(&self.layout().claim(&self.request.run), claim.to_json())
            .await;
    }

    pub async fn summarize(&mut self) {
        self.summary.rows = self.summary.objects + self.summary.left_out_rows();
        self.put(
            &self.layout().summary(&self.request.run),
            self.summary.to_json(),
        )
        .await;
    }

    /// The next group: manifest, archive, catalog and what follows. `spoil` may change the
    /// archive's bytes before they are summed and the rows before they are cataloged.
    pub async fn group(
        &mut self,
        objects: &[Made],
        spoil: impl FnOnce(&mut Vec<u8>, &mut Vec<Entry>),
    ) {
        let group = GroupName::numbered(&self.request.run, self.summary.groups);
        let manifest_key = self.layout().group_manifest(&self.request.run, &group);
        let manifest_etag = self.manifest(&manifest_key, objects).await;
        let (mut bytes, mut entries) = self.packed(objects).await;
        spoil(&mut bytes, &mut entries);
        let attempt = Attempt::from_bits(self.summary.groups);
        let key = self
            .layout()
            .archive("src", &self.own(&group), &attempt, self.format);
        let crc64nvme = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &bytes);
        let archived = entries
            .iter()
            .any(|entry| matches!(entry.outcome, Outcome::Archived(_)));
        let size = bytes.len() as u64;
        if archived {
            let put = Put {
                crc64nvme: Some(crc64nvme),
                ..Put::default()
            };
            self.s3
                .put(&self.address(&key), PutBody::Bytes(bytes.into()), &put)
                .await
                .unwrap();
        }
        let mut writer = CatalogWriter::create(tempfile::tempfile().unwrap(), &key).unwrap();
        for entry in &entries {
            writer.push(entry).unwrap();
        }
        let record = GroupRecord {
            manifest_bucket: self.bucket().to_owned(),
            manifest_key,
            manifest_etag,
            attempt: attempt.to_string(),
            archive: archived.then_some(ArchiveRecord {
                key,
                size,
                crc64nvme,
            }),
            storage_class: "STANDARD".to_owned(),
            program: "test".to_owned(),
            redo: false,
        };
        let mut file = writer.finish(&record).unwrap();
        let mut catalog = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut catalog).unwrap();
        self.put(&self.layout().catalog(&self.request.run, &group), catalog)
            .await;
        let publication = Publication {
            destination: self.request.destination.clone(),
            run: self.request.run.clone(),
            group: group.clone(),
            scratch: self.request.scratch.clone(),
        };
        let VerifyRequest {
            destination,
            run,
            scratch,
            ..
        } = &self.request;
        let committed = Committed::read(&self.s3, destination, run, &group, scratch)
            .await
            .unwrap()
            .unwrap();
        publish(&self.s3, &publication, committed).await.unwrap();
        self.summary.groups += 1;
    }

    async fn manifest(&mut self, key: &str, objects: &[Made]) -> String {
        let mut writer = RowWriter::new(Vec::new());
        for object in objects {
            writer.write(&row(object), &[]).unwrap();
            self.summary.objects += 1;
            self.summary.bytes += object.bytes.len() as u64;
            self.summary.digest.add("src", &object.key, None);
        }
        let columns = Columns::full().to_string();
        let put = Put {
            metadata: &[(COLUMNS_METADATA, &columns)],
            ..Put::default()
        };
        let body = PutBody::Bytes(writer.finish().unwrap().into());
        self.s3.put(&self.address(key), body, &put).await.unwrap()
    }

    /// The archive, a member to a frame, and the rows; copies are put.
    async fn packed(&self, objects: &[Made]) -> (Vec<u8>, Vec<Entry>) {
        let (mut archive, mut entries) = (Vec::new(), Vec::new());
        for object in objects {
            let outcome = match object.fate {
                Fate::Failed(reason) => Outcome::Failed(reason),
                Fate::Copied => {
                    let etag = md5_of(&object.bytes);
                    let key = self.layout().copied_object("src", &object.key, None, &etag);
                    self.put(&key, object.bytes.clone()).await;
                    let size = object.bytes.len();
                    let row = row(object);
                    let described = serde_json::json!({
                        "format": 1, "bucket": "src", "key": object.key, "versionId": null, "size": size, "etag": etag,
                        "lastModified": row.last_modified, "storageClass": row.storage_class,
                        "headers": {}, "metadata": metadata(), "tags": {},
                    });
                    self.put(
                        &format!("{key}.metadata"),
                        described.to_string().into_bytes(),
                    )
                    .await;
                    Outcome::Copied { key }
                }
                Fate::Archived => {
                    let mut header = tar::Header::new_ustar();
                    header.set_path(&object.key).unwrap();
                    header.set_size(object.bytes.len() as u64);
                    header.set_cksum();
                    let mut member = header.as_bytes().to_vec();
                    member.extend_from_slice(&object.bytes);
                    member.resize(member.len().next_multiple_of(512), 0);
                    let offset = archive.len() as u64;
                    archive.extend(self.compressed(&member));
                    Outcome::Archived(match self.format {
                        ArchiveFormat::Tar => Place {
                            offset: offset + 512,
                            length: object.bytes.len() as u64,
                            skip: 0,
                        },
                        _ => Place {
                            offset,
                            length: archive.len() as u64 - offset,
                            skip: 512,
                        },
                    })
                }
            };
            let archived = matches!(outcome, Outcome::Archived(_));
            entries.push(Entry {
                row: row(object),
                listed_version: false,
                outcome,
                md5: archived.then(|| md5_of(&object.bytes)),
                checksums: Map::new(),
                headers: Map::new(),
                metadata: metadata(),
                tags: Map::new(),
                detail: None,
                sha256: None,
            });
        }
        archive.extend(self.compressed(&[0; 1024]));
        (archive, entries)
    }

    fn compressed(&self, bytes: &[u8]) -> Vec<u8> {
        match self.format {
            ArchiveFormat::Tar => bytes.to_vec(),
            ArchiveFormat::TarZstd => zstd::stream::encode_all(bytes, 1).unwrap(),
            ArchiveFormat::TarGzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    /// One of the run's own groups.
    pub fn own(&self, name: &GroupName) -> Group {
        Group {
            run: self.request.run.clone(),
            name: name.clone(),
            own: true,
        }
    }

    pub fn layout(&self) -> &Layout {
        &self.request.destination.layout
    }

    pub fn bucket(&self) -> &str {
        &self.request.destination.bucket
    }

    fn address(&self, key: &str) -> S3Address {
        self.request.destination.address(key)
    }

    /// The only key that has all these parts.
    pub async fn key(&self, parts: &[&str]) -> String {
        let keys = client::list_keys(&self.client, self.bucket(), "")
            .await
            .unwrap();
        let mut found = keys
            .into_iter()
            .filter(|key| parts.iter().all(|part| key.contains(part)));
        let key = found.next().unwrap();
        assert_eq!(found.next(), None, "{parts:?} is of several keys");
        key
    }

    /// PUTs with the SDK's own checksum, CRC32.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) {
        client::put_object(&self.client, self.bucket(), key, bytes)
            .await
            .unwrap();
    }

    pub async fn get(&self, key: &str) -> Vec<u8> {
        client::get_bytes(&self.client, self.bucket(), key)
            .await
            .unwrap()
            .to_vec()
    }

    pub async fn delete(&self, key: &str) {
        self.client
            .delete_object()
            .bucket(self.bucket())
            .key(key)
            .send()
            .await
            .unwrap();
    }

    pub async fn verify(&self) -> Report {
        self.try_verify(|_| ()).await.unwrap()
    }

    pub async fn verify_full(&self) -> Report {
        self.try_verify(|request| request.full = true)
            .await
            .unwrap()
    }

    pub async fn repair(&self) -> Report {
        self.try_verify(|request| request.repair = true)
            .await
            .unwrap()
    }

    pub async fn try_verify(
        &self,
        change: impl FnOnce(&mut VerifyRequest),
    ) -> Result<Report, VerifyError> {
        let mut request = self.request.clone();
        change(&mut request);
        Box::pin(verify(&self.s3, &request, &silent())).await
    }
}

pub fn silent() -> Progress {
    Progress::start(ProgressStyle::Silent)
}

fn md5_of(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Md5::digest(bytes))
}

fn metadata() -> Map {
    [("name".to_owned(), "value, \"quoted\"".to_owned())].into()
}

fn row(object: &Made) -> Row {
    Row {
        bucket: "src".to_owned(),
        key: object.key.clone(),
        size: Some(object.bytes.len() as u64),
        version_id: None,
        last_modified: Some("2026-11-22T01:00:00.000Z".to_owned()),
        etag: Some(md5_of(&object.bytes)),
        storage_class: Some("STANDARD".to_owned()),
    }
}
