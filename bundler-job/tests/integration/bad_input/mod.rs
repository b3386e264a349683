//! Whatever comes from outside may be wrong. Each case ends with one clear error that names the
//! object, the cause and the next step, with the exit code of docs' table, with nothing
//! half-committed and nothing lost: once the cause is gone, running again does the whole job.
//!
//! | module | what is wrong |
//! |---|---|
//! | [`inventory`] | the inventory: missing, unfinished, damaged, in a format that is not read |
//! | [`permission`] | the credentials, or what they may do |
//! | [`place`] | the buckets, the endpoint, the disk, the command line |
//! | [`keys`] | nothing: keys that look like an attack are archived like any other |

mod inventory;
mod keys;
mod permission;
mod place;

use std::collections::BTreeSet;

use crate::world;
use crate::world::archived::Archived;
use aws_sdk_s3::Client;
use s3bundler_contract::ExitCode;
use s3bundler_testbed::cli::{Outcome, Program};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Column, Inventory, Published, Row};
use s3bundler_testbed::servers::{Access, Moto};

/// The objects of every source bucket here, and their bodies.
const OBJECTS: [(&str, &str); 3] = [("a", "first"), ("b/c", "second"), ("d ü", "third")];
const INVENTORIES: &str = "inventories";
const VAULT: &str = "vault";

/// An S3 with the source bucket `photos`, a bucket for inventories and one for archives.
struct World {
    moto: Moto,
    s3: Client,
}

impl World {
    async fn start() -> Self {
        let moto = Moto::start().await.unwrap();
        let s3 = client::s3(moto.access());
        for bucket in [INVENTORIES, VAULT, "photos"] {
            client::create_bucket(&s3, bucket).await.unwrap();
        }
        client::put_objects(&s3, "photos", OBJECTS).await.unwrap();
        Self { moto, s3 }
    }

    /// A good inventory of `photos`, under an address of the case's own.
    async fn inventory(&self, case: &str) -> Published {
        let rows = OBJECTS.map(|(key, body)| Row::new(key, body.len() as u64));
        let inventory = Inventory::new("photos", INVENTORIES)
            .columns(Column::SEED)
            .configuration(case);
        inventory.publish(&self.s3, rows).await.unwrap()
    }

    /// `s3bundler run` into a place of the case's own.
    fn run(&self, case: &str, manifest: &str) -> Program {
        run(self.moto.access(), case, manifest)
    }

    /// The same, to anywhere and under any name.
    fn run_to(&self, destination: &str, name: &str, manifest: &str) -> Program {
        run_to(self.moto.access(), destination, name, manifest)
    }

    /// That place.
    fn archived(&self, case: &str) -> Archived {
        Archived {
            s3: self.s3.clone(),
            bucket: VAULT.to_owned(),
            prefix: format!("{case}/"),
        }
    }

    /// Everything was archived, once.
    async fn expect_whole(&self, case: &str) {
        let archived = self.archived(case);
        let rows = archived.index().await;
        let keys: BTreeSet<_> = rows.iter().map(|row| row["key"].as_str()).collect();
        assert_eq!(
            keys,
            OBJECTS.iter().map(|(key, _)| *key).collect(),
            "{case}"
        );
        assert_eq!(rows.len(), OBJECTS.len(), "{case}");
        for row in &rows {
            let (_, body) = OBJECTS.iter().find(|(key, _)| row["key"] == *key).unwrap();
            assert_eq!(
                archived.bytes_of(row).await,
                body.as_bytes(),
                "{case}: {row:?}"
            );
        }
        expect_consistent(&archived).await;
    }
}

/// `s3bundler run` of an inventory to `s3://vault/<case>`, under the case's name.
fn run(access: &Access, case: &str, manifest: &str) -> Program {
    run_to(access, &format!("s3://{VAULT}/{case}"), case, manifest)
}

fn run_to(access: &Access, destination: &str, name: &str, manifest: &str) -> Program {
    world::s3bundler().access(access).args([
        "run",
        "--inventory",
        manifest,
        "--destination",
        destination,
        "--name",
        name,
    ])
}

/// The program ended with this code and one error, beside the log, that has all these words; gives
/// the error.
#[track_caller]
fn expect_error(case: &str, outcome: &Outcome, exit: ExitCode, words: &[&str]) -> String {
    assert_eq!(
        outcome.code,
        Some(i32::from(exit.code())),
        "{case}: {outcome}"
    );
    assert_eq!(outcome.stdout, "", "{case}: {outcome}");
    let (_, error) = outcome
        .stderr
        .split_once("s3bundler: ")
        .unwrap_or_else(|| panic!("{case}: no error: {outcome}"));
    // A line of its own at the end; where groups failed, their causes follow it indented.
    let mut lines = error.trim_end().lines();
    lines.next();
    assert!(
        lines.all(|line| line.starts_with("  ")),
        "{case}: not one error: {outcome}"
    );
    for word in words {
        assert!(
            error.contains(word),
            "{case}: {word:?} is not in the error: {outcome}"
        );
    }
    // The SDK's own texts run on for kilobytes, with the names of Rust's types.
    assert!(
        error.len() < 700 && !error.contains(" { "),
        "{case}: not for people: {outcome}"
    );
    expect_no_control_characters(&outcome.stderr);
    error.to_owned()
}

/// What a terminal would obey.
#[track_caller]
fn expect_no_control_characters(text: &str) {
    let raw = text.chars().find(|it| it.is_control() && *it != '\n');
    assert_eq!(raw, None, "in {text:?}");
}

/// No open upload, and a receipt for every catalog and the other way round.
async fn expect_consistent(archived: &Archived) {
    let case = &archived.prefix;
    assert_eq!(
        client::list_open_uploads(&archived.s3, &archived.bucket)
            .await
            .unwrap(),
        [],
        "{case}"
    );
    let catalogs: BTreeSet<_> = archived
        .keys("catalog")
        .await
        .iter()
        .map(|key| stem(key, ".parquet").to_owned())
        .collect();
    let receipts: BTreeSet<_> = archived
        .keys("receipts")
        .await
        .iter()
        .map(|key| stem(key, "~").to_owned())
        .collect();
    assert_eq!(catalogs, receipts, "{case}");
    let archives = archived.keys("archives").await;
    let tars = archives.iter().filter(|key| key.ends_with(".tar")).count();
    assert_eq!(
        (tars, archives.len()),
        (catalogs.len(), 2 * catalogs.len()),
        "{case}: {archives:?}"
    );
}

/// Nothing was committed at all.
async fn expect_nothing(archived: &Archived) {
    expect_consistent(archived).await;
    assert_eq!(
        archived.keys("catalog").await,
        [""; 0],
        "{}",
        archived.prefix
    );
}

/// The name of a group, of a key `[run=]<run>/<group><mark>…`.
fn stem<'a>(key: &'a str, mark: &str) -> &'a str {
    let name = key.rsplit('/').next().unwrap();
    name.split(mark).next().unwrap()
}
