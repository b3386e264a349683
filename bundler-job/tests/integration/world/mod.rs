//! A small world to archive: a server, a source bucket of a few groups, its inventory, and a
//! destination bucket for every run of a test. What became of a run is proved from S3 alone, with
//! nothing of the program's own verify, by [`assert_whole`].
//!
//! ```text
//! World::of_groups(4) ──► world.program(&bucket) ──► run, signal, kill ──► assert_whole(&world, &bucket)
//! ```

pub mod archived;
pub mod large;
mod library;
pub mod namespace;
mod process;
mod proxied;
mod reader;
pub mod servers;
mod whole;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use s3bundler_testbed::cli::{Outcome, Program};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Column, Inventory, Row, inventory_of_bucket, rows_of_bucket};
use s3bundler_testbed::proxy::{Operation, Seen};
use s3bundler_testbed::servers::{Access, VersityGw};

pub use library::Limited;
pub use process::{Freezer, Gate, Victim, page};
pub use proxied::Proxied;
pub use reader::{Reader, catalog_of};
pub use s3bundler_testbed::patience::until;
pub use whole::Whole;

/// The run's name.
pub const RUN: &str = "logs-2026";
/// The bucket of the objects.
pub const SOURCE: &str = "source";
/// Everything is written below it.
pub const PREFIX: &str = "arch/x";
/// The bucket of the inventories.
const INVENTORIES: &str = "inventories";
/// Rows of a group, unless a test wants another number.
pub const ROWS: usize = 5;

/// The program.
pub fn s3bundler() -> Program {
    Program::new(env!("CARGO_BIN_EXE_s3bundler"))
}

/// A server with a source bucket and its inventory.
pub struct World {
    server: VersityGw,
    /// Straight to the server.
    pub s3: aws_sdk_s3::Client,
    /// `s3://…/manifest.json`.
    pub inventory: String,
    /// The inventory's keys, in its order.
    pub listed: Vec<String>,
    /// Keys that the inventory lists and nobody has any more.
    pub gone: BTreeSet<String>,
    /// Rows of a group.
    pub group_rows: usize,
    /// Larger objects are copied, where a test wants some to be.
    pub max_object_size: Option<u64>,
    scratch: tempfile::TempDir,
}

/// The key of the nth object; names that need every kind of escape.
pub fn key(n: usize) -> String {
    format!("logs ä+%/day=1&2/{n:04}.json")
}

/// The nth object's bytes: sizes around a tar's blocks, and one of many chunks.
fn body(n: usize) -> Bytes {
    let size = [700, 0, 511, 512, 100_000][n % ROWS];
    (0..size)
        .map(|at| u8::try_from((at * 7 + n * 31 + at / 251) % 256).unwrap())
        .collect()
}

impl World {
    /// A world whose inventory is this many groups of [`ROWS`] rows. The third object of the first
    /// group is gone, and so is the last of all where there are several groups.
    pub async fn of_groups(groups: usize) -> Self {
        let world = Self::of_objects((0..groups * ROWS).map(|n| (key(n), body(n)))).await;
        let last = (groups > 1).then(|| key(groups * ROWS - 1));
        world.without([key(2)].into_iter().chain(last)).await
    }

    /// A world of these objects.
    pub async fn of_objects(objects: impl IntoIterator<Item = (String, Bytes)>) -> Self {
        let server = VersityGw::start().await.unwrap();
        let s3 = client::s3(server.access());
        for bucket in [SOURCE, INVENTORIES] {
            client::create_bucket(&s3, bucket).await.unwrap();
        }
        let objects: BTreeMap<String, Bytes> = objects.into_iter().collect();
        let listed = objects.keys().cloned().collect();
        client::put_objects(&s3, SOURCE, objects).await.unwrap();
        let published = inventory_of_bucket(&s3, &Inventory::new(SOURCE, INVENTORIES))
            .await
            .unwrap();
        Self {
            server,
            s3,
            inventory: published.manifest,
            listed,
            gone: BTreeSet::new(),
            group_rows: ROWS,
            max_object_size: None,
            scratch: tempfile::tempdir().unwrap(),
        }
    }

    /// The same world after these objects were deleted: the inventory still lists them.
    pub async fn without(mut self, keys: impl IntoIterator<Item = String>) -> Self {
        for key in keys {
            self.s3
                .delete_object()
                .bucket(SOURCE)
                .key(&key)
                .send()
                .await
                .unwrap();
            self.gone.insert(key);
        }
        self
    }

    /// Another inventory of the same bucket, of what is there now.
    pub async fn another_inventory(&self) -> String {
        let inventory = Inventory::new(SOURCE, INVENTORIES).configuration("weekly");
        inventory_of_bucket(&self.s3, &inventory)
            .await
            .unwrap()
            .manifest
    }

    /// The same world with an inventory of these columns, whose rows are changed like this.
    pub async fn listed_as(mut self, columns: &[Column], row: impl Fn(Row) -> Row) -> Self {
        let inventory = Inventory::new(SOURCE, INVENTORIES)
            .configuration("other")
            .columns(columns.iter().copied());
        let rows = rows_of_bucket(&self.s3, SOURCE, false).await.unwrap();
        self.inventory = inventory
            .publish(&self.s3, rows.into_iter().map(row))
            .await
            .unwrap()
            .manifest;
        self
    }

    /// The server's address and keys, for a proxy.
    pub fn access(&self) -> &Access {
        self.server.access()
    }

    /// A new, empty destination bucket.
    pub async fn destination(&self, bucket: &str) -> String {
        client::create_bucket(&self.s3, bucket).await.unwrap();
        bucket.to_owned()
    }

    /// `s3bundler run` of the world's inventory into a bucket, straight to the server.
    pub fn program(&self, bucket: &str) -> Program {
        self.program_of(&self.inventory, bucket, RUN)
    }

    /// `s3bundler run` of another inventory, or under another name.
    pub fn program_of(&self, inventory: &str, bucket: &str, name: &str) -> Program {
        let program = s3bundler()
            .access(self.access())
            .args(["run", "--inventory", inventory, "--name", name])
            .arg("--destination")
            .arg(format!("s3://{bucket}/{PREFIX}"))
            .arg("--max-objects")
            .arg(self.group_rows.to_string())
            .arg("--scratch")
            .arg(self.scratch.path());
        match self.max_object_size {
            Some(size) => program.arg("--max-object-size").arg(size.to_string()),
            None => program,
        }
    }

    /// Runs to the end, straight to the server, and expects it to end well.
    pub async fn run(&self, bucket: &str) -> Outcome {
        let done = self.program(bucket).run().await.unwrap();
        assert_eq!(done.code, Some(0), "{bucket}: {done}");
        done
    }

    /// Names in the scratch directory of all programs of this world.
    pub fn scratch_files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.scratch.path()).unwrap();
        files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// Files without a name that a process has open in the scratch directory.
    pub fn nameless_in_scratch(&self, pid: u32) -> usize {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let open = open.filter_map(|it| std::fs::read_link(it.unwrap().path()).ok());
        open.filter(|it| {
            it.starts_with(self.scratch.path()) && it.to_string_lossy().ends_with(" (deleted)")
        })
        .count()
    }

    /// Every object of a bucket, as key and MD5 of its bytes.
    pub async fn snapshot(&self, bucket: &str) -> BTreeMap<String, String> {
        let mut objects = BTreeMap::new();
        for key in client::list_keys(&self.s3, bucket, "").await.unwrap() {
            let bytes = client::get_bytes(&self.s3, bucket, &key).await.unwrap();
            objects.insert(key, HEXLOWER.encode(&Md5::digest(&bytes)));
        }
        objects
    }

    /// Multipart uploads of a bucket that are neither completed nor aborted.
    pub async fn open_uploads(&self, bucket: &str) -> Vec<(String, String)> {
        client::list_open_uploads(&self.s3, bucket).await.unwrap()
    }

    /// Keys of a kind (`catalog`, `receipts`, …) of a bucket.
    pub async fn keys_of(&self, bucket: &str, kind: &str) -> Vec<String> {
        client::list_keys(&self.s3, bucket, &format!("{PREFIX}/{kind}/"))
            .await
            .unwrap()
    }
}

/// Proves from S3 alone that the run of the world's inventory in a bucket is whole, and that
/// nothing else is there.
pub async fn assert_whole(world: &World, bucket: &str) {
    Whole::of(world, bucket).check().await;
}

/// Whether a request is a PUT of an object of this kind (`catalog`, `receipts`, …).
pub fn puts(seen: &Seen, kind: &str) -> bool {
    seen.operation == Operation::PutObject && is_of(seen, kind)
}

/// Whether a request is a GET of an object of this kind.
pub fn gets(seen: &Seen, kind: &str) -> bool {
    seen.operation == Operation::GetObject && is_of(seen, kind)
}

/// Whether a request is a GET of a source object.
pub fn gets_source(seen: &Seen) -> bool {
    seen.operation == Operation::GetObject && seen.bucket() == SOURCE
}

/// Whether a request is for an object of this kind.
pub fn is_of(seen: &Seen, kind: &str) -> bool {
    seen.key()
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_prefix('/')?.split('/').next())
        == Some(kind)
}
