//! `ls`, `find` and `compact` on the simulated S3, whose meter counts their requests, over catalogs
//! that the library writes; and on a real server over a run.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use serde_json::Value;

use crate::world::{self, World};
use s3bundler::catalog::{
    ArchiveRecord, CatalogWriter, Entry, GroupRecord, Map, Outcome as Became, Place,
};
use s3bundler_contract::{GroupName, Reason, Replaced, Row, RowDigest, RunName, RunSummary};
use s3bundler_testbed::cli::Outcome;
use s3bundler_testbed::client;
use s3bundler_testbed::simulator::{Simulator, SimulatorOptions};

const BUCKET: &str = "archives";
const DESTINATION: &str = "s3://archives/p";

/// A key that a terminal would obey, that breaks lines, and that needs quotes in CSV and JSON.
const HOSTILE: &str = "a\n\u{1b}]0;x\u{7},\"b\"\r\\../ü";

fn run(name: &str) -> RunName {
    name.parse().unwrap()
}

/// A destination in which tests write catalogs.
struct Archives {
    simulator: Simulator,
    s3: aws_sdk_s3::Client,
}

/// An archived object.
fn archived(key: &str) -> Entry {
    Entry {
        row: Row {
            bucket: "src".to_owned(),
            key: key.to_owned(),
            size: Some(10),
            version_id: None,
            last_modified: Some("2026-11-22T01:00:00.000Z".to_owned()),
            etag: Some(format!("{:032x}", key.len())),
            storage_class: Some("STANDARD".to_owned()),
        },
        listed_version: false,
        outcome: Became::Archived(Place {
            offset: 512,
            length: 10,
            skip: 0,
        }),
        md5: Some("0".repeat(32)),
        checksums: Map::new(),
        headers: Map::new(),
        metadata: Map::new(),
        tags: Map::new(),
        detail: None,
        sha256: None,
    }
}

/// An object that failed.
fn failed(key: &str, reason: Reason) -> Entry {
    Entry {
        outcome: Became::Failed(reason),
        md5: None,
        ..archived(key)
    }
}

/// The bytes of the catalog of a group.
fn catalog(run: &RunName, group: &GroupName, entries: &[Entry]) -> Bytes {
    let archive = format!("p/archives/aa3c23/src/{group}-aaaaaaaa.tar");
    let file = tempfile::tempfile().unwrap();
    let mut writer = CatalogWriter::create(file, &archive).unwrap();
    for entry in entries {
        writer.push(entry).unwrap();
    }
    let is_archived = writer.totals().figures.archived > 0;
    let record = GroupRecord {
        manifest_bucket: BUCKET.to_owned(),
        manifest_key: format!("p/groups/{run}/{group}.index"),
        manifest_etag: "0123".to_owned(),
        attempt: "aaaaaaaa".to_owned(),
        archive: is_archived.then_some(ArchiveRecord {
            key: archive,
            size: 1 << 20,
            crc64nvme: 1,
        }),
        storage_class: "STANDARD".to_owned(),
        program: "s3bundler".to_owned(),
        redo: group.is_redo_in(run),
    };
    let mut file = writer.finish(&record).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    bytes.into()
}

impl Archives {
    async fn new() -> Self {
        let simulator = Simulator::start(SimulatorOptions::default()).unwrap();
        let s3 = client::s3(simulator.access());
        client::create_bucket(&s3, BUCKET).await.unwrap();
        Self { simulator, s3 }
    }

    async fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        let put = self.s3.put_object().bucket(BUCKET).key(key);
        let body = ByteStream::from(bytes.into());
        put.body(body).send().await.unwrap();
    }

    async fn catalog(&self, run_name: &str, group: &GroupName, entries: &[Entry]) -> String {
        let run = run(run_name);
        let key = format!("p/catalog/run={run}/{group}.parquet");
        self.put(&key, catalog(&run, group, entries)).await;
        key
    }

    /// A catalog of the run's own group with this number.
    async fn group(&self, run_name: &str, number: u64, entries: &[Entry]) -> String {
        let group = GroupName::numbered(&run(run_name), number);
        self.catalog(run_name, &group, entries).await
    }

    async fn s3bundler(&self, command: &str, args: &[&str]) -> Outcome {
        let program = world::s3bundler().access(self.simulator.access());
        let program = program.args([command, "--destination", DESTINATION]);
        program.args(args).run().await.unwrap()
    }

    /// What is found, as JSON.
    async fn find(&self, args: &[&str]) -> Vec<Value> {
        let args = [args, &["--output", "json"]].concat();
        lines(&self.s3bundler("find", &args).await)
    }

    async fn compact(&self, args: &[&str]) -> Value {
        let args = [args, &["--output", "json"]].concat();
        let outcome = self.s3bundler("compact", &args).await;
        assert_eq!(outcome.code, Some(0), "{outcome}");
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    /// Requests for the destination of a command.
    async fn requests_of(&self, command: &str, args: &[&str]) -> (Outcome, u64) {
        self.simulator.reset_meter();
        let outcome = self.s3bundler(command, args).await;
        let meter = self.simulator.meter();
        (outcome, meter.operations[BUCKET].values().sum())
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        client::list_keys(&self.s3, BUCKET, prefix).await.unwrap()
    }

    async fn delete(&self, key: &str) {
        let delete = self.s3.delete_object().bucket(BUCKET).key(key);
        delete.send().await.unwrap();
    }
}

/// The lines of what was printed, all found.
#[track_caller]
fn lines(outcome: &Outcome) -> Vec<Value> {
    assert_eq!(outcome.code, Some(0), "{outcome}");
    json_lines(&outcome.stdout)
}

fn json_lines(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn keys(found: &[Value]) -> Vec<&str> {
    let keys = found.iter().map(|it| it["key"].as_str().unwrap());
    keys.collect()
}

/// Numbers up to `count` in an order that has nothing to do with theirs.
fn shuffled(count: u64) -> impl Iterator<Item = u64> {
    // 7,919 is a prime that divides no count of a test.
    (0..count).map(move |n| n * 7_919 % count)
}

#[tokio::test]
async fn a_key_among_2_000_shuffled_catalogs_takes_2_requests_a_group_and_4_once_they_are_compacted()
 {
    const GROUPS: u64 = 2_000;
    const ROWS: u64 = 20;
    let place = Archives::new().await;
    let key = |n: u64| format!("logs/{n:06}.json");
    let order: Vec<u64> = shuffled(GROUPS * ROWS).collect();
    for (number, rows) in (0..).zip(order.chunks(usize::try_from(ROWS).unwrap())) {
        let entries: Vec<_> = rows.iter().map(|n| archived(&key(*n))).collect();
        place.group("r", number, &entries).await;
    }
    let wanted = key(31_337);
    let args = ["--key", wanted.as_str(), "--output", "json"];
    let (outcome, requests) = place.requests_of("find", &args).await;
    let before = lines(&outcome);
    assert_eq!(keys(&before), [wanted.as_str()]);
    // Two pages of a listing, and the manifest that is not there.
    assert!(requests <= 2 * GROUPS + 3, "{requests}");

    let compacted = &place.compact(&["--run", "r"]).await[0];
    assert_eq!(compacted["rows"], GROUPS * ROWS);
    assert_eq!(compacted["catalogs"], GROUPS);
    for args in [&args[..], &[&["--run", "r"], &args[..]].concat()] {
        let (outcome, requests) = place.requests_of("find", args).await;
        assert_eq!(lines(&outcome), before);
        assert!(requests <= 4, "{requests}");
    }
    let absent = ["--key", "logs/absent"];
    let (outcome, requests) = place.requests_of("find", &absent).await;
    assert_eq!(outcome.code, Some(11), "{outcome}");
    assert!(requests <= 4, "{requests}");
}

#[tokio::test]
async fn a_catalog_that_is_not_read_at_once_takes_at_most_2_requests_for_a_key() {
    const ROWS: u64 = 20_000;
    let place = Archives::new().await;
    let mut sizes = Vec::new();
    // Each has keys of the whole range, so that only bloom filters rule it out.
    for number in 0..3 {
        let entries: Vec<_> = (0..ROWS)
            .map(|n| {
                let n = n * 3 + number;
                let mut entry = archived(&format!("logs/{n:06}.json"));
                let hash = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                entry.row.etag = Some(format!("{hash:032x}"));
                entry.md5 = Some(format!("{:032x}", hash.rotate_left(17)));
                entry
            })
            .collect();
        let key = place.group("r", number, &entries).await;
        let head = place.s3.head_object().bucket(BUCKET).key(key);
        sizes.push(head.send().await.unwrap().content_length().unwrap());
    }
    assert!(sizes.iter().all(|size| *size > 256 << 10), "{sizes:?}");
    let args = ["--key", "logs/022222.json", "--output", "json"];
    let (outcome, requests) = place.requests_of("find", &args).await;
    assert_eq!(lines(&outcome).len(), 1);
    // A listing, the manifest that is not there, the ends of three catalogs and the rows of one.
    assert_eq!(requests, 6, "{outcome}");
    let args = ["--key", "logs/022222.absent"];
    let (outcome, requests) = place.requests_of("find", &args).await;
    assert_eq!((outcome.code, requests), (Some(11), 5), "{outcome}");
    // Statistics rule out instants and prefixes.
    for args in [
        ["--prefix", "other/"],
        ["--modified-before", "2020-01-01T00:00:00Z"],
    ] {
        let (outcome, requests) = place.requests_of("find", &args).await;
        assert_eq!((outcome.code, requests), (Some(11), 5), "{outcome}");
    }
}

#[tokio::test]
async fn every_filter_finds_the_same_before_and_after_compact() {
    let place = Archives::new().await;
    let mut tagged = archived("a/tagged");
    tagged.tags = Map::from([("team".to_owned(), "billing=x".to_owned())]);
    tagged.metadata = Map::from([("owner".to_owned(), "ann".to_owned())]);
    let mut version = archived("a/version");
    version.row.version_id = Some("v7".to_owned());
    version.row.last_modified = Some("2020-01-01T00:00:00.000Z".to_owned());
    let copied = Entry {
        outcome: Became::Copied {
            key: "p/objects/aa/src/large~01234567".to_owned(),
        },
        ..archived("b/large")
    };
    let gone = failed("b/gone", Reason::NoSuchKey);
    place.group("r", 0, &[archived("a/1"), copied, gone]).await;
    place
        .group("r", 1, &[tagged, version, archived("a/2")])
        .await;
    place
        .group("r", 2, &[archived(HOSTILE), archived("b/z")])
        .await;
    let all = [
        &[][..],
        &["--key", "a/1", "--key", "b/z", "--key", "absent"],
        &["--prefix", "a/", "--prefix", "b/l"],
        &["--glob", "*a*/[0-9]"],
        &["--regex", "^a/[0-9]$"],
        &["--regex", "larg"],
        &["--version-id", "v7"],
        &["--modified-before", "2021-01-01T00:00:00Z"],
        &["--modified-after", "2021-01-01T00:00:00Z"],
        &["--object-tag", "team=billing=x"],
        &["--object-metadata", "Owner=ann"],
        &["--outcome", "copied", "--outcome", "failed"],
        &["--outcome", "NoSuchKey"],
        &["--source-bucket", "src", "--prefix", "b/"],
        &["--key", HOSTILE],
    ];
    let expected = [8, 2, 5, 2, 2, 1, 1, 1, 7, 1, 1, 2, 1, 3, 1];
    let sorted = |mut found: Vec<Value>| {
        found.sort_by_key(|it| it["key"].as_str().unwrap().to_owned());
        found
    };
    let mut before = Vec::new();
    for (args, expected) in all.iter().zip(expected) {
        let found = sorted(place.find(args).await);
        assert_eq!(found.len(), expected, "{args:?}: {found:#?}");
        before.push(found);
    }
    place.compact(&[]).await;
    for (args, before) in all.iter().zip(before) {
        let (found, sorted_before) = (place.find(args).await, before);
        assert_eq!(sorted(found), sorted_before, "{args:?}");
    }
    let found = place.find(&["--prefix", "b/large"]).await;
    assert_eq!(
        found[0]["location"],
        "s3://archives/p/objects/aa/src/large~01234567"
    );
}

#[tokio::test]
async fn runs_are_searched_from_the_newest_and_later_groups_before_the_first() {
    let place = Archives::new().await;
    place.group("old", 0, &[archived("k")]).await;
    // Listings have seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    place.group("new", 0, &[failed("k", Reason::Retry)]).await;
    let retried = GroupName::retry(&run("new"), 1, 0);
    place.catalog("new", &retried, &[archived("k")]).await;
    let groups = async |args: &[&str]| {
        let found = place.find(&[&["--key", "k"], args].concat()).await;
        let groups = found
            .iter()
            .map(|it| it["group"].as_str().unwrap().to_owned());
        groups.collect::<Vec<_>>()
    };
    let expected = ["new.retry1.000000", "new.000000", "old.000000"];
    assert_eq!(groups(&[]).await, expected);
    place.compact(&[]).await;
    assert_eq!(groups(&[]).await, expected);
    assert_eq!(groups(&["--run", "old"]).await, expected[2..]);
}

#[tokio::test]
async fn a_damaged_catalog_is_named_and_the_rest_is_found() {
    let place = Archives::new().await;
    let damaged = place.group("r", 0, &[archived("a")]).await;
    place.group("r", 1, &[archived("b")]).await;
    let bytes = client::get_bytes(&place.s3, BUCKET, &damaged)
        .await
        .unwrap();
    let mut bytes = bytes.to_vec();
    // In the pages of rows: the footer can still be read.
    bytes[40] ^= 0x55;
    place.put(&damaged, bytes).await;
    let outcome = place.s3bundler("find", &["--output", "json"]).await;
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert_eq!(keys(&json_lines(&outcome.stdout)), ["b"]);
    assert!(outcome.stderr.contains(&damaged), "{outcome}");
    assert!(outcome.stderr.contains("incomplete"), "{outcome}");
    // Nothing is compacted without it.
    let outcome = place.s3bundler("compact", &["--run", "r"]).await;
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(outcome.stderr.contains(&damaged), "{outcome}");
    assert!(place.keys("p/compact/").await.is_empty());
    // A catalog under the name of another one is not believed.
    let foreign = catalog(
        &run("r"),
        &GroupName::numbered(&run("r"), 7),
        &[archived("c")],
    );
    place.put(&damaged, foreign).await;
    let outcome = place.s3bundler("find", &["--key", "c"]).await;
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert_eq!(outcome.stdout, "");
}

#[tokio::test]
async fn a_run_that_is_not_there_is_an_error_and_the_other_runs_are_searched() {
    let place = Archives::new().await;
    place.group("r", 0, &[archived("a")]).await;
    let args = ["--run", "absent", "--run", "r", "--output", "paths"];
    let outcome = place.s3bundler("find", &args).await;
    assert_eq!(outcome.code, Some(6), "{outcome}");
    assert_eq!(outcome.stdout, "s3://src/a\n");
    assert!(outcome.stderr.contains("absent"), "{outcome}");
    for command in ["compact", "ls"] {
        let outcome = place.s3bundler(command, &["--run", "absent"]).await;
        assert_eq!(outcome.code, Some(6), "{outcome}");
    }
    let outcome = place.s3bundler("ls", &["--output", "csv"]).await;
    assert_eq!(outcome.code, Some(6), "{outcome}");
}

#[tokio::test]
async fn compact_writes_what_is_new_and_removes_what_it_wrote_before() {
    let place = Archives::new().await;
    place.group("r", 0, &[archived("b"), archived("a")]).await;
    let first = &place.compact(&["--run", "r"]).await[0];
    assert_eq!(
        (&first["unchanged"], &first["files"]),
        (&false.into(), &1.into())
    );
    let files = place.keys("p/compact/run=r/").await;
    assert_eq!(files.len(), 2, "{files:?}");

    // Nothing is written again.
    let (outcome, _) = place.requests_of("compact", &[]).await;
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let meter = place.simulator.meter();
    assert!(
        !meter.operations[BUCKET].contains_key("PutObject"),
        "{meter:?}"
    );

    // A file that is lost is written again, with the same bytes.
    let snapshot = client::get_bytes(&place.s3, BUCKET, &files[0])
        .await
        .unwrap();
    place.delete(&files[0]).await;
    let outcome = place.s3bundler("find", &["--key", "a"]).await;
    assert_eq!(outcome.code, Some(5), "{outcome}");
    place.compact(&[]).await;
    assert_eq!(
        client::get_bytes(&place.s3, BUCKET, &files[0])
            .await
            .unwrap(),
        snapshot
    );

    // A catalog that is newer is read beside the files, and is in them afterwards.
    place.group("r", 1, &[archived("c")]).await;
    assert_eq!(place.find(&[]).await.len(), 3);
    let second = &place.compact(&[]).await[0];
    assert_eq!(
        (&second["rows"], &second["removed"]),
        (&3.into(), &1.into())
    );
    let files = place.keys("p/compact/run=r/").await;
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(keys(&place.find(&[]).await), ["a", "b", "c"]);

    // Files of other catalogs than there are are not used.
    place.group("r", 1, &[archived("d")]).await;
    let found = place.find(&[]).await;
    let found: BTreeSet<_> = keys(&found).into_iter().collect();
    assert_eq!(found, BTreeSet::from(["a", "b", "d"]));
}

#[tokio::test]
async fn rows_of_a_group_that_a_redo_replaced_are_found_in_the_redo_alone() {
    let place = Archives::new().await;
    let run_name = run("r");
    let old = GroupName::numbered(&run_name, 0);
    place.group("r", 0, &[archived("k")]).await;
    place.group("r", 1, &[archived("l")]).await;
    place.compact(&[]).await;
    let new: GroupName = "r.redo1.000000".parse().unwrap();
    place.catalog("r", &new, &[archived("k")]).await;
    let groups = async || {
        let found = place.find(&["--key", "k", "--key", "l"]).await;
        let groups = found
            .iter()
            .map(|it| it["group"].as_str().unwrap().to_owned());
        groups.collect::<BTreeSet<_>>()
    };
    let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
    // Its grouper has not finished.
    let all: BTreeSet<String> = names(&["r.000000", "r.000001", "r.redo1.000000"]);
    assert_eq!(groups().await, all);
    let mut summary = RunSummary::empty(run_name);
    (summary.format, summary.redo, summary.groups) = (2, 1, 1);
    summary.replaces = vec![Replaced {
        group: old,
        receipt: String::new(),
        rows: 1,
        digest: RowDigest::default(),
        taken: BTreeMap::default(),
    }];
    place
        .put("p/runs/r.redo1.done.json", summary.to_json())
        .await;
    let replaced: BTreeSet<String> = names(&["r.000001", "r.redo1.000000"]);
    assert_eq!(groups().await, replaced);
    place.compact(&[]).await;
    assert_eq!(groups().await, replaced);
}

#[tokio::test]
async fn hostile_keys_are_escaped_for_people_and_whole_for_programs() {
    let place = Archives::new().await;
    place.group("r", 0, &[archived(HOSTILE)]).await;
    for output in ["table", "paths"] {
        let outcome = place.s3bundler("find", &["--output", output]).await;
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let controls = outcome
            .stdout
            .matches(|c: char| c.is_control() && c != '\n');
        assert_eq!(controls.count(), 0, "{outcome}");
        let expected = if output == "table" { 2 } else { 1 };
        assert_eq!(outcome.stdout.lines().count(), expected, "{outcome}");
    }
    assert_eq!(keys(&place.find(&[]).await), [HOSTILE]);
    let outcome = place.s3bundler("find", &["--output", "csv"]).await;
    let mut csv = csv::Reader::from_reader(outcome.stdout.as_bytes());
    let rows: Vec<_> = csv.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(&rows[0][1], HOSTILE);
}

#[tokio::test]
async fn what_a_run_archived_is_listed_and_found_where_it_is() {
    let world = World::of_groups(3).await;
    let bucket = world.destination("found").await;
    world.run(&bucket).await;
    let destination = format!("s3://{bucket}/{}", world::PREFIX);
    let command = async |command: &str, args: &[&str]| {
        let program = world::s3bundler().access(world.access());
        let program = program.args([command, "--destination", &destination]);
        program.args(args).run().await.unwrap()
    };
    let json = async |name: &str, args: &[&str]| {
        let outcome = command(name, &[args, &["--output", "json"]].concat()).await;
        assert_eq!(outcome.code, Some(0), "{outcome}");
        outcome.stdout
    };
    let runs: Value = serde_json::from_str(&json("ls", &[]).await).unwrap();
    let listed = &runs["runs"][0];
    assert_eq!(listed["run"], world::RUN);
    assert_eq!(
        (&listed["state"], &listed["groups"]),
        (&"complete".into(), &3.into())
    );
    assert_eq!(listed["objects"]["archived"], 13);
    assert_eq!(listed["objects"]["failed"]["NoSuchKey"], 2);
    let groups: Value = serde_json::from_str(&json("ls", &["--run", world::RUN]).await).unwrap();
    assert_eq!(groups["groups"].as_array().unwrap().len(), 3);
    assert_eq!(groups["groups"][0]["state"], "archived");
    let args = ["--run", world::RUN, "--group", "1"];
    let group: Value = serde_json::from_str(&json("ls", &args).await).unwrap();
    assert_eq!(group["group"], format!("{}.000001", world::RUN));
    assert!(
        group["archive"].as_str().unwrap().ends_with(".tar"),
        "{group:#}"
    );
    for args in [&[][..], &["--run", world::RUN], &args] {
        let outcome = command("ls", args).await;
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.stdout.contains(world::RUN), "{outcome}");
    }

    let key = world::key(7);
    let find = async || json_lines(&json("find", &["--key", &key]).await);
    let found = find().await;
    assert_eq!(keys(&found), [key.as_str()]);
    let archive = found[0]["location"].as_str().unwrap();
    let archive = archive.strip_prefix(&format!("s3://{bucket}/")).unwrap();
    let number = |name: &str| usize::try_from(found[0][name].as_u64().unwrap()).unwrap();
    let tar = client::get_bytes(&world.s3, &bucket, archive)
        .await
        .unwrap();
    let member = tar.slice(number("offset")..number("offset") + number("length"));
    let source = client::get_bytes(&world.s3, world::SOURCE, &key)
        .await
        .unwrap();
    assert_eq!(member, source);

    let outcome = command("compact", &[]).await;
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(find().await, found);
    // The run is as whole as before: compacted catalogs are no part of it.
    let verified = world.command(&bucket, &["verify", "--full"]).run().await;
    let verified = verified.unwrap();
    assert_eq!(verified.code, Some(0), "{verified}");
}
