//! Inventories that cannot be read.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use s3bundler_contract::ExitCode;
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Column, Inventory, RawShard, gzip, shard_of};
use serde_json::Value;

use super::{INVENTORIES, OBJECTS, VAULT, World, expect_consistent, expect_error, expect_nothing};

/// What is done to a good inventory. The keys are those of [`Good`].
enum Damage {
    /// Nothing is done; the address is wrong.
    WrongAddress(&'static str),
    ManifestMissing,
    ManifestIs(&'static str),
    /// A manifest that says something else, with the checksum of what it says.
    ManifestSays(fn(&mut Value)),
    ChecksumMissing,
    ChecksumIs(&'static str),
    FileMissing,
    FileHalf,
    /// Other bytes of the same length.
    FileReplaced,
    /// A file that is truly described, with this content before gzip.
    Rows(&'static str),
    /// A file that is truly described, made of the good one.
    File(fn(Bytes) -> Bytes),
}

use Damage::*;

#[tokio::test]
async fn an_inventory_that_cannot_be_read_is_named_with_the_cause_and_read_once_that_is_gone() {
    let world = World::start().await;
    let cases: &[(&str, Damage, &[&str])] = &[
        (
            "no-such-manifest",
            ManifestMissing,
            &[
                "there is no inventory manifest {manifest}",
                "give the address",
            ],
        ),
        (
            "no-such-bucket",
            WrongAddress("s3://nobody/x/manifest.json"),
            &["there is no bucket nobody", "s3://nobody/x/manifest.json"],
        ),
        (
            "unfinished",
            ChecksumMissing,
            &[
                "the inventory {manifest} is not finished",
                "manifest.checksum",
                "Wait for it, or take an earlier inventory",
            ],
        ),
        (
            "wrong-checksum",
            ChecksumIs("0123456789abcdef0123456789abcdef"),
            &[
                "{manifest} has the MD5",
                "its manifest.checksum says \"0123456789abcdef0123456789abcdef\"",
            ],
        ),
        (
            "checksum-of-another-kind",
            ChecksumIs("<html>"),
            &["{manifest}", "its manifest.checksum says \"<html>\""],
        ),
        (
            "not-json",
            ManifestIs("<Error>"),
            &[
                "{manifest}",
                "not the manifest of an S3 Inventory",
                "line 1 column 1",
            ],
        ),
        (
            "another-json",
            ManifestIs("{\"a\": 1}"),
            &["{manifest}", "missing field `sourceBucket`"],
        ),
        (
            "orc",
            ManifestSays(|it| it["fileFormat"] = "ORC".into()),
            &[
                "{manifest}",
                "its data files are ORC, which is not read yet",
                "configure the inventory for CSV",
            ],
        ),
        (
            "parquet",
            ManifestSays(|it| it["fileFormat"] = "Parquet".into()),
            &[
                "{manifest}",
                "its data files are Parquet, which is not read yet",
                "configure the inventory for CSV",
            ],
        ),
        (
            "a-format-for-the-terminal",
            ManifestSays(|it| it["fileFormat"] = "\u{1b}]0;title\u{7}".into()),
            &["{manifest}", "\\u{1b}]0;title\\u{7}"],
        ),
        (
            "no-key-column",
            ManifestSays(|it| it["fileSchema"] = "Bucket, Size".into()),
            &["{manifest}", "lack Key"],
        ),
        (
            "file-missing",
            FileMissing,
            &["{file}", "is not there", "S3 delivered this inventory to"],
        ),
        (
            "file-cut-off",
            FileHalf,
            &["{file}", "where the manifest says", "cut off or replaced"],
        ),
        (
            "file-replaced",
            FileReplaced,
            &[
                "{file} has the MD5",
                "where the manifest says",
                "damaged or replaced",
            ],
        ),
        (
            "not-gzip",
            File(|_| "\"photos\",\"a\",\"5\"\n".into()),
            &["{file} is not gzip"],
        ),
        (
            "gzip-cut-off",
            File(|good| good.slice(..good.len() - 12)),
            &["{file} is truncated"],
        ),
        (
            "gzip-broken",
            File(broken),
            &["{file} cannot be decompressed"],
        ),
        (
            "too-few-columns",
            Rows("\"photos\",\"a\",\"5\"\n\"photos\",\"b\"\n"),
            &["{file}", "line 2: 2 columns where 3 are expected"],
        ),
        (
            "bad-escape",
            Rows("\"photos\",\"a\",\"5\"\n\"photos\",\"b\n%zz\u{1b}[31m\",\"5\"\n"),
            &[
                "{file}",
                "line 2: the key \"b\\n%zz\\u{1b}[31m\" has a bad URL escape",
            ],
        ),
        (
            "negative-size",
            Rows("\"photos\",\"a\",\"-5\"\n"),
            &[
                "{file}",
                "line 1: the size \"-5\" is not a whole number of bytes",
            ],
        ),
        (
            "no-bucket-in-a-row",
            Rows("\"\",\"a\",\"5\"\n"),
            &["{file}", "line 1: ", "bucket"],
        ),
        (
            "quotes-that-do-not-end",
            Rows("\"photos\",\"a\",\"5\"\n\"photos\",\"b,5\n"),
            &["{file}", "line 2: "],
        ),
    ];
    for (case, damage, words) in cases {
        let good = Good::publish(&world, case).await;
        let address = good.damage(damage).await;
        let outcome = world.run(case, &address).run().await.unwrap();
        let words: Vec<_> = words
            .iter()
            .map(|it| {
                it.replace("{manifest}", &address)
                    .replace("{file}", &good.file_address())
            })
            .collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        expect_error(case, &outcome, ExitCode::Unreadable, &words);
        expect_nothing(&world.archived(case)).await;

        good.restore().await;
        // A manifest that agreed with its checksum may have taken the name: another one is another
        // inventory.
        let name = if matches!(damage, Rows(_) | File(_)) {
            "another-name"
        } else {
            case
        };
        let destination = format!("s3://{VAULT}/{case}");
        let outcome = world
            .run_to(&destination, name, &good.address)
            .run()
            .await
            .unwrap();
        assert_eq!(outcome.code, Some(0), "{case}: {outcome}");
        world.expect_whole(case).await;
    }
}

#[tokio::test]
async fn groups_before_a_damaged_file_are_whole_or_not_there() {
    let world = World::start().await;
    let case = "half";
    let line = |key: &str| gzip(format!("\"photos\",\"{key}\",\"5\"\n").as_bytes()).unwrap();
    let shards = [line("a"), line("b/c"), line("%zz")].map(|bytes| RawShard {
        extension: "csv.gz".to_owned(),
        bytes: bytes.into(),
    });
    let inventory = Inventory::new("photos", INVENTORIES)
        .columns(Column::SEED)
        .configuration(case);
    let published = inventory.publish_raw(&world.s3, shards).await.unwrap();
    let run = world
        .run(case, &published.manifest)
        .args(["--max-objects", "1"]);
    for _ in 0..2 {
        let outcome = run.clone().run().await.unwrap();
        let file = format!("s3://{INVENTORIES}/{}", published.files[2].key);
        expect_error(
            case,
            &outcome,
            ExitCode::Unreadable,
            &[&file, "line 1: the key \"%zz\" has a bad URL escape"],
        );
        expect_consistent(&world.archived(case)).await;
    }
}

/// Deflate cannot mean anything by these.
#[expect(
    clippy::needless_pass_by_value,
    reason = "one of several ways to spoil a file"
)]
fn broken(good: Bytes) -> Bytes {
    let mut bytes = good.to_vec();
    bytes[10..14].fill(0xff);
    bytes.into()
}

/// A good inventory, and the bytes it consists of.
struct Good<'a> {
    world: &'a World,
    address: String,
    manifest_key: String,
    file_key: String,
    manifest: Bytes,
    file: Bytes,
}

impl<'a> Good<'a> {
    async fn publish(world: &'a World, case: &str) -> Self {
        let published = world.inventory(case).await;
        let file_key = published.files[0].key.clone();
        let get = async |key: &str| {
            client::get_bytes(&world.s3, INVENTORIES, key)
                .await
                .unwrap()
        };
        Self {
            world,
            manifest: get(&published.manifest_key).await,
            file: get(&file_key).await,
            address: published.manifest,
            manifest_key: published.manifest_key,
            file_key,
        }
    }

    fn checksum_key(&self) -> String {
        self.manifest_key.replace(".json", ".checksum")
    }

    fn file_address(&self) -> String {
        format!("s3://{INVENTORIES}/{}", self.file_key)
    }

    async fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        client::put_object(&self.world.s3, INVENTORIES, key, bytes.into())
            .await
            .unwrap();
    }

    async fn delete(&self, key: &str) {
        self.world
            .s3
            .delete_object()
            .bucket(INVENTORIES)
            .key(key)
            .send()
            .await
            .unwrap();
    }

    /// Puts a manifest and the checksum that agrees with it.
    async fn put_manifest(&self, manifest: Bytes) {
        self.put(&self.checksum_key(), hex_md5(&manifest)).await;
        self.put(&self.manifest_key, manifest).await;
    }

    async fn restore(&self) {
        self.put_manifest(self.manifest.clone()).await;
        self.put(&self.file_key, self.file.clone()).await;
    }

    /// Does it, and gives the address to run with.
    async fn damage(&self, damage: &Damage) -> String {
        match damage {
            WrongAddress(address) => return (*address).to_owned(),
            ManifestMissing => self.delete(&self.manifest_key).await,
            ManifestIs(text) => self.put_manifest((*text).into()).await,
            ManifestSays(edit) => self.put_manifest(edited(&self.manifest, edit)).await,
            ChecksumMissing => self.delete(&self.checksum_key()).await,
            ChecksumIs(text) => self.put(&self.checksum_key(), *text).await,
            FileMissing => self.delete(&self.file_key).await,
            FileHalf => {
                self.put(&self.file_key, self.file.slice(..self.file.len() / 2))
                    .await;
            }
            FileReplaced => {
                // Without a name and a time in its header, gzip of the same rows in another order
                // is as long.
                let mut rows = OBJECTS.map(|(key, body)| {
                    s3bundler_testbed::inventory::Row::new(key, body.len() as u64)
                });
                rows.reverse();
                let mut bytes = shard_of("photos", &Column::SEED, &rows).unwrap();
                bytes.resize(self.file.len(), 0);
                self.put(&self.file_key, bytes).await;
            }
            Rows(text) => {
                self.describe_file(gzip(text.as_bytes()).unwrap().into())
                    .await;
            }
            File(make) => self.describe_file(make(self.file.clone())).await,
        }
        self.address.clone()
    }

    /// Puts a data file, and a manifest that describes it.
    async fn describe_file(&self, bytes: Bytes) {
        let manifest = edited(&self.manifest, |it| {
            it["files"][0]["size"] = bytes.len().into();
            it["files"][0]["MD5checksum"] = hex_md5(&bytes).into();
        });
        self.put_manifest(manifest).await;
        self.put(&self.file_key, bytes).await;
    }
}

fn edited(manifest: &Bytes, edit: impl FnOnce(&mut Value)) -> Bytes {
    let mut json = serde_json::from_slice(manifest).unwrap();
    edit(&mut json);
    serde_json::to_vec(&json).unwrap().into()
}

fn hex_md5(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Md5::digest(bytes))
}
