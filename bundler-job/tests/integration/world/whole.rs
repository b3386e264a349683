//! The proof that a run is whole, from S3 alone. It reads what people would read (the index, the
//! dead letters, names of receipts, the tar itself) and compares it with the source, the
//! inventory's rows and the catalog.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use s3bundler::catalog::{Entry, Outcome};
use s3bundler_contract::attempt::index_of;
use s3bundler_contract::group_manifest::{Columns, KeyEncoding, RowReader};
use s3bundler_contract::{Receipt, RunClaim, RunSummary};
use s3bundler_testbed::client;

use super::reader::catalog_of;
use super::{PREFIX, RUN, SOURCE, World};

/// What a whole run is to look like.
#[must_use]
pub struct Whole<'a> {
    world: &'a World,
    bucket: &'a str,
    failed: BTreeMap<String, &'static str>,
    beside: BTreeSet<String>,
    open: BTreeSet<String>,
}

/// One group, as read from S3.
struct Group {
    name: String,
    manifest_key: String,
    keys: Vec<String>,
    entries: Vec<Entry>,
    /// Key and size of the archive that the catalog names.
    archive: Option<(String, u64)>,
}

impl<'a> Whole<'a> {
    /// The whole inventory, with the objects that are gone as dead letters, and nothing else.
    pub fn of(world: &'a World, bucket: &'a str) -> Self {
        let failed = world
            .gone
            .iter()
            .map(|key| (key.clone(), "NoSuchKey"))
            .collect();
        Self {
            world,
            bucket,
            failed,
            beside: BTreeSet::new(),
            open: BTreeSet::new(),
        }
    }

    /// But this object is a dead letter, for this reason.
    pub fn failed(mut self, key: &str, reason: &'static str) -> Self {
        self.failed.insert(key.to_owned(), reason);
        self
    }

    /// And these keys are there too.
    pub fn beside(mut self, keys: impl IntoIterator<Item = String>) -> Self {
        self.beside.extend(keys);
        self
    }

    /// And uploads to these keys are open.
    pub fn open(mut self, keys: impl IntoIterator<Item = String>) -> Self {
        self.open.extend(keys);
        self
    }

    /// Looks at everything, and fails the test at the first thing that is not as it must be.
    pub async fn check(self) {
        let bucket = self.bucket;
        let open: Vec<_> = self
            .world
            .open_uploads(bucket)
            .await
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(
            open.iter().collect::<Vec<_>>(),
            self.open.iter().collect::<Vec<_>>(),
            "{bucket}: open uploads"
        );

        let there: BTreeSet<_> = client::list_keys(&self.world.s3, bucket, "")
            .await
            .unwrap()
            .into_iter()
            .collect();
        let of_kind = |kind: &str| -> Vec<String> {
            let prefix = format!("{PREFIX}/{kind}");
            let ours = there
                .iter()
                .filter(|key| key.starts_with(&prefix) && !self.beside.contains(*key));
            ours.cloned().collect()
        };
        let mut wanted = self.beside.clone();

        let claim = format!("{PREFIX}/runs/{RUN}.json");
        assert_eq!(
            RunClaim::parse(&self.get(&claim).await)
                .unwrap()
                .run
                .as_str(),
            RUN,
            "{bucket}"
        );
        let done = format!("{PREFIX}/runs/{RUN}.done.json");
        let summary = RunSummary::parse(&self.get(&done).await).unwrap();
        wanted.extend([claim, done]);

        let manifests = of_kind(&format!("groups/{RUN}/"))
            .into_iter()
            .filter(|key| key.ends_with(".index"));
        let receipts = of_kind(&format!("receipts/{RUN}/"));
        let (mut keys, mut rows) = (Vec::new(), 0);
        let mut groups = 0;
        for manifest in manifests {
            groups += 1;
            let group = self.read(manifest).await;
            wanted.extend([group.manifest_key.clone(), catalog_key(&group.name)]);
            let receipt = self.check_receipt(&group, &receipts);
            rows += receipt.figures.rows();
            wanted.insert(format!("{PREFIX}/receipts/{RUN}/{}", receipt.name()));
            if let Some((archive, size)) = &group.archive {
                wanted.extend([archive.clone(), index_of(archive)]);
                self.check_archive(&group, archive, *size).await;
            }
            wanted.extend(self.check_copies(&group).await);
            if let Some(dead_letters) = self.check_dead_letters(&group).await {
                wanted.insert(dead_letters);
            }
            keys.extend(group.keys);
        }
        assert_eq!(
            keys, self.world.listed,
            "{bucket}: every row of the inventory is in one group, once, in its order"
        );
        assert_eq!(
            rows,
            keys.len() as u64,
            "{bucket}: archived + copied + failed"
        );
        assert_eq!(
            (summary.groups, summary.objects),
            (groups, rows),
            "{bucket}: the summary"
        );
        assert_eq!(
            summary.rows,
            rows + summary.left_out_rows(),
            "{bucket}: the summary"
        );

        // The scratch key of a probe that was killed may stay: it is no group's.
        let scratch = format!("{PREFIX}/runs/probe-");
        let there: BTreeSet<_> = there
            .into_iter()
            .filter(|key| !key.starts_with(&scratch))
            .collect();
        let strays: Vec<_> = there.difference(&wanted).collect();
        let missing: Vec<_> = wanted.difference(&there).collect();
        assert!(
            strays.is_empty() && missing.is_empty(),
            "{bucket}: strays {strays:#?}, missing {missing:#?}"
        );
    }

    async fn read(&self, manifest_key: String) -> Group {
        let name = manifest_key
            .rsplit('/')
            .next()
            .unwrap()
            .trim_end_matches(".index")
            .to_owned();
        let head = self
            .world
            .s3
            .head_object()
            .bucket(self.bucket)
            .key(&manifest_key)
            .send()
            .await
            .unwrap();
        let etag = head.e_tag().unwrap_or_default().trim_matches('"');
        let columns: Columns = head.metadata().unwrap()["columns"].parse().unwrap();
        let manifest = self.get(&manifest_key).await;
        let rows = RowReader::new(&manifest[..], columns, KeyEncoding::Literal);
        let keys = rows.map(|row| row.unwrap().key).collect();

        let catalog = catalog_of(&self.get(&catalog_key(&name)).await);
        let record = catalog.record();
        let named = (
            record.manifest_bucket.as_str(),
            record.manifest_key.as_str(),
            record.manifest_etag.as_str(),
        );
        assert_eq!(
            named,
            (self.bucket, manifest_key.as_str(), etag),
            "the catalog of {name}"
        );
        let archive = record
            .archive
            .as_ref()
            .map(|archive| (archive.key.clone(), archive.size));
        if let Some((archive, _)) = &archive {
            let file = archive.rsplit('/').next().unwrap();
            assert_eq!(
                file,
                format!("{name}-{}.tar", record.attempt),
                "the archive is the winner's"
            );
        }
        let entries = catalog
            .entries()
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        Group {
            name,
            manifest_key,
            keys,
            entries,
            archive,
        }
    }

    /// The group's one receipt says what its catalog says, row by row.
    fn check_receipt(&self, group: &Group, receipts: &[String]) -> Receipt {
        let Group {
            name,
            entries,
            keys,
            ..
        } = group;
        let rows: Vec<_> = entries.iter().map(|entry| entry.row.key.clone()).collect();
        assert_eq!(
            &rows, keys,
            "the catalog of {name} has the manifest's rows in its order"
        );
        let names = receipts.iter().map(|key| key.rsplit('/').next().unwrap());
        let own: Vec<_> = names
            .filter(|it| it.split('~').next() == Some(name))
            .collect();
        let [receipt] = own[..] else {
            panic!("{}: group {name} has the receipts {own:?}", self.bucket)
        };
        let receipt = Receipt::parse(receipt).unwrap();

        let counted = |is: fn(&Outcome) -> bool| {
            let sizes = entries
                .iter()
                .filter(|entry| is(&entry.outcome))
                .map(|entry| entry.row.size.unwrap());
            (sizes.clone().count() as u64, sizes.sum())
        };
        let archived = counted(|outcome| matches!(outcome, Outcome::Archived(_)));
        assert_eq!(
            (receipt.figures.archived, receipt.figures.archived_bytes),
            archived,
            "{name}"
        );
        let copied = counted(|outcome| matches!(outcome, Outcome::Copied { .. }));
        assert_eq!(
            (receipt.figures.copied, receipt.figures.copied_bytes),
            copied,
            "{name}"
        );
        let failed: BTreeMap<_, _> = entries
            .iter()
            .filter_map(|entry| match entry.outcome {
                Outcome::Failed(reason) => Some((entry.row.key.clone(), reason.as_str())),
                _ => None,
            })
            .collect();
        let expected = self.failed.iter().filter(|(key, _)| keys.contains(key));
        assert_eq!(
            failed,
            expected
                .map(|(key, reason)| (key.clone(), *reason))
                .collect(),
            "dead letters of {name}"
        );
        assert_eq!(
            receipt.figures.failed_objects(),
            failed.len() as u64,
            "{name}"
        );
        receipt
    }

    /// The archive and its index agree with the source: each object by its row's range, and all of
    /// them by tar.
    async fn check_archive(&self, group: &Group, archive: &str, size: u64) {
        let Self { bucket, world, .. } = self;
        let tar = self.get(archive).await;
        assert_eq!(tar.len() as u64, size, "{bucket}: {archive}");
        let index = self.get(&index_of(archive)).await;
        let mut csv = csv::Reader::from_reader(&index[..]);
        let columns = csv.headers().unwrap().clone();
        let mut archived = Vec::new();
        let mut keys = Vec::new();
        for row in csv.records() {
            let row = row.unwrap();
            let cell =
                |name: &str| row[columns.iter().position(|it| it == name).unwrap()].to_owned();
            let key = cell("key");
            keys.push(key.clone());
            assert_eq!(cell("bucket"), SOURCE, "{bucket}: {archive}");
            if cell("outcome") == "copied" {
                continue;
            }
            if cell("outcome") != "archived" {
                assert_eq!(
                    Some(cell("outcome").as_str()),
                    self.failed.get(&key).copied(),
                    "{bucket}: {key}"
                );
                continue;
            }
            let source = client::get_bytes(&world.s3, SOURCE, &key).await.unwrap();
            assert_eq!(cell("archive"), archive, "{bucket}: {key}");
            let (offset, length): (u64, u64) = (
                cell("offset").parse().unwrap(),
                cell("length").parse().unwrap(),
            );
            let bytes = self.range(archive, offset, length).await;
            assert_eq!(bytes, source, "{bucket}: {key} by its row of the index");
            assert_eq!(
                cell("checksum"),
                HEXLOWER.encode(&Md5::digest(&source)),
                "{bucket}: {key}"
            );
            assert_eq!(cell("size"), source.len().to_string(), "{bucket}: {key}");
            archived.push(source);
        }
        assert_eq!(
            keys, group.keys,
            "{bucket}: the index of {} has the manifest's rows",
            group.name
        );
        let mut tar = tar::Archive::new(&tar[..]);
        let members = tar.entries().unwrap().map(|member| {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut member.unwrap(), &mut bytes).unwrap();
            Bytes::from(bytes)
        });
        assert_eq!(
            members.collect::<Vec<_>>(),
            archived,
            "{bucket}: the members of {archive}"
        );
    }

    /// Copies have the bytes of their objects, and what is known of them after their keys. Gives
    /// both keys of each.
    async fn check_copies(&self, group: &Group) -> Vec<String> {
        let mut keys = Vec::new();
        for entry in &group.entries {
            let size = entry.row.size.unwrap();
            let Outcome::Copied { key: copy } = &entry.outcome else {
                continue;
            };
            assert!(
                self.world.max_object_size.is_some_and(|max| size > max),
                "{copy} of {size} bytes"
            );
            let source = client::get_bytes(&self.world.s3, SOURCE, &entry.row.key)
                .await
                .unwrap();
            assert_eq!(self.get(copy).await, source, "{copy}");
            let metadata = format!("{copy}.metadata");
            let known: serde_json::Value =
                serde_json::from_slice(&self.get(&metadata).await).unwrap();
            assert_eq!(
                (&known["bucket"], &known["key"]),
                (&SOURCE.into(), &entry.row.key.as_str().into())
            );
            keys.extend([copy.clone(), metadata]);
        }
        keys
    }

    /// The dead letters, where some object failed: the failed rows and why.
    async fn check_dead_letters(&self, group: &Group) -> Option<String> {
        let expected: Vec<_> = group
            .keys
            .iter()
            .filter_map(|key| Some((key.clone(), *self.failed.get(key)?)))
            .collect();
        if expected.is_empty() {
            return None;
        }
        let key = format!("{}.dlq", group.manifest_key);
        let bytes = self.get(&key).await;
        let mut csv = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(&bytes[..]);
        let found: Vec<_> = csv
            .records()
            .map(|row| {
                let row = row.unwrap();
                (row[1].to_owned(), row[row.len() - 2].to_owned())
            })
            .collect();
        let found: Vec<_> = found
            .iter()
            .map(|(key, reason)| (key.clone(), reason.as_str()))
            .collect();
        assert_eq!(found, expected, "{}: {key}", self.bucket);
        Some(key)
    }

    async fn get(&self, key: &str) -> Bytes {
        client::get_bytes(&self.world.s3, self.bucket, key)
            .await
            .unwrap()
    }

    /// A range of an object by one GET, as whoever restores one object does.
    async fn range(&self, key: &str, offset: u64, length: u64) -> Bytes {
        if length == 0 {
            return Bytes::new();
        }
        let range = format!("bytes={offset}-{}", offset + length - 1);
        let object = self
            .world
            .s3
            .get_object()
            .bucket(self.bucket)
            .key(key)
            .range(range)
            .send()
            .await
            .unwrap();
        object.body.collect().await.unwrap().into_bytes()
    }
}

fn catalog_key(group: &str) -> String {
    format!("{PREFIX}/catalog/run={RUN}/{group}.parquet")
}
