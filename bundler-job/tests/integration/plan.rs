//! `plan` says what the run that follows will do: in each scenario a plan is made, then its run is
//! made on the simulated S3, and every kind of request to every bucket is as often as planned. The
//! meter of the simulator counts; nothing of the program does.

use std::collections::BTreeMap;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, StorageClass};
use bytes::Bytes;
use serde_json::Value;

use crate::world::servers::{self, moto};
use crate::world::{self};
use s3bundler_testbed::cli::{Outcome, Program};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Column, Inventory, Row, rows_of_bucket};
use s3bundler_testbed::simulator::{Reading, Simulator, SimulatorOptions};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Requests that any line may be off by, and the share of a line: lines that follow from the rows
/// are exact, those of an assumption may be off by as much.
const OFF_BY: u64 = 5;
const OFF_BY_ONE_IN: u64 = 100;

/// An object to write.
#[derive(Clone)]
struct Object {
    key: String,
    body: Bytes,
    tagged: bool,
    class: &'static str,
    in_parts: bool,
}

fn object(key: impl Into<String>, body: impl Into<Bytes>) -> Object {
    Object {
        key: key.into(),
        body: body.into(),
        tagged: false,
        class: "STANDARD",
        in_parts: false,
    }
}

/// Bytes that do not compress, another each time.
fn noise(size: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words = size.div_ceil(8);
    let bytes: Vec<u8> = (0..words).flat_map(|_| next().to_le_bytes()).collect();
    Bytes::from(bytes).slice(..size)
}

/// Objects of a few sizes in one directory.
fn some(count: usize) -> Vec<Object> {
    let sizes = [700, 0, 511, 512, 20_000];
    let objects =
        (0..count).map(|n| object(format!("logs/{n:05}.json"), noise(sizes[n % 5], n as u64)));
    objects.collect()
}

/// What a run reads and how it is started.
struct Scenario {
    simulator: Simulator,
    s3: aws_sdk_s3::Client,
    /// Options of plan and run.
    both: Vec<String>,
    /// Options of the plan alone.
    plan: Vec<String>,
}

impl Scenario {
    /// A source bucket with these objects.
    async fn of(objects: Vec<Object>) -> Self {
        Self::with_versions(objects, false).await
    }

    async fn with_versions(objects: Vec<Object>, versions: bool) -> Self {
        let simulator = Simulator::start(SimulatorOptions::default()).unwrap();
        let s3 = client::s3(simulator.access());
        for bucket in ["inventories", "archives"] {
            client::create_bucket(&s3, bucket).await.unwrap();
        }
        if versions {
            client::create_versioned_bucket(&s3, "source")
                .await
                .unwrap();
        } else {
            client::create_bucket(&s3, "source").await.unwrap();
        }
        let scenario = Self {
            simulator,
            s3,
            both: Vec::new(),
            plan: Vec::new(),
        };
        scenario.write(objects).await;
        scenario
    }

    async fn write(&self, objects: Vec<Object>) {
        for object in objects {
            if object.in_parts {
                self.upload(object).await;
                continue;
            }
            let put = self
                .s3
                .put_object()
                .bucket("source")
                .key(object.key)
                .body(ByteStream::from(object.body))
                .storage_class(StorageClass::from(object.class))
                .set_tagging(object.tagged.then(|| "team=a&kind=b".to_owned()));
            put.send().await.unwrap();
        }
    }

    async fn upload(&self, object: Object) {
        let of = (self.s3.clone(), "source", object.key.clone());
        let created =
            of.0.create_multipart_upload()
                .bucket(of.1)
                .key(&of.2)
                .send()
                .await
                .unwrap();
        let id = created.upload_id().unwrap();
        let mut parts = Vec::new();
        for (number, part) in (1..).zip(object.body.chunks(5 * MIB)) {
            let sent =
                of.0.upload_part()
                    .bucket(of.1)
                    .key(&of.2)
                    .upload_id(id)
                    .part_number(number)
                    .body(ByteStream::from(part.to_vec()));
            let etag = sent.send().await.unwrap().e_tag;
            parts.push(
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(etag)
                    .build(),
            );
        }
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let complete = of.0.complete_multipart_upload().bucket(of.1).key(&of.2);
        complete
            .upload_id(id)
            .multipart_upload(parts)
            .send()
            .await
            .unwrap();
    }

    /// An inventory of the bucket with these columns, in files of so many rows.
    async fn inventory(mut self, columns: &[Column], rows_per_file: u64) -> Self {
        let is_of_versions = columns.iter().any(|column| column.is_of_versions());
        let rows = rows_of_bucket(&self.s3, "source", is_of_versions)
            .await
            .unwrap();
        self.publish(columns, rows_per_file, rows).await;
        self
    }

    async fn publish(&mut self, columns: &[Column], rows_per_file: u64, rows: Vec<Row>) {
        let inventory = Inventory::new("source", "inventories")
            .columns(columns.iter().copied())
            .rows_per_shard(rows_per_file);
        let published = inventory.publish(&self.s3, rows).await.unwrap();
        self.both
            .extend(["--inventory".to_owned(), published.manifest]);
    }

    /// The usual inventory.
    async fn listed(self) -> Self {
        self.inventory(&Column::CURRENT, 1_000_000).await
    }

    /// With these options of plan and run.
    fn with(mut self, options: &str) -> Self {
        self.both
            .extend(options.split_whitespace().map(str::to_owned));
        self
    }

    /// With these options of the plan.
    fn planned(mut self, options: &str) -> Self {
        self.plan
            .extend(options.split_whitespace().map(str::to_owned));
        self
    }

    fn program(&self, command: &str) -> Program {
        world::s3bundler()
            .access(self.simulator.access())
            .args([command, "--name", "r", "--destination", "s3://archives/p"])
            .args(["--output", "json"])
    }

    async fn make_plan(&self) -> Value {
        let plan = self.program("plan").args(&self.both).args(&self.plan);
        json(&plan.run().await.unwrap())
    }

    /// Plans and runs, and compares.
    async fn holds(self) {
        let plan = self.make_plan().await;
        self.simulator.reset_meter();
        let run = self.program("run").args(&self.both);
        let run = json(&run.run().await.unwrap());
        let meter = self.simulator.meter();
        for figure in ["groups", "rows", "leftOut"] {
            assert_eq!(plan[figure], run[figure], "{figure}: {plan:#}\n{run:#}");
        }
        assert_eq!(plan["bytes"], run["listedBytes"], "{plan:#}\n{run:#}");
        assert_eq!(
            plan["objects"],
            count(&run, &["archived", "copied"]) + failed(&run),
            "{run:#}"
        );
        compare(&plan, &meter);
    }
}

fn count(report: &Value, figures: &[&str]) -> u64 {
    figures.iter().map(|it| report[*it].as_u64().unwrap()).sum()
}

fn failed(run: &Value) -> u64 {
    let failed = run["failed"].as_object().unwrap().values();
    failed.map(|count| count.as_u64().unwrap()).sum()
}

#[track_caller]
fn json(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, Some(0), "{outcome}");
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome}"))
}

/// Requests by bucket and operation, and whether some of them are assumed.
type Counts = BTreeMap<(String, String), (u64, bool)>;

fn planned(plan: &Value) -> Counts {
    let mut counts = Counts::new();
    for line in plan["requests"].as_array().unwrap() {
        let text = |field: &str| line[field].as_str().unwrap();
        let bucket = match text("place") {
            "inventory" => "inventories",
            "destination" => "archives",
            place => place,
        };
        if bucket == "queue" {
            continue;
        }
        let of = (bucket.to_owned(), text("operation").to_owned());
        let (count, is_assumed) = counts.entry(of).or_default();
        *count += line["count"].as_u64().unwrap();
        *is_assumed |= text("basis") == "assumed";
    }
    counts
}

#[track_caller]
fn compare(plan: &Value, meter: &Reading) {
    let mut counts = planned(plan);
    for (bucket, operations) in &meter.operations {
        for operation in operations.keys() {
            let of = (bucket.clone(), (*operation).to_owned());
            counts.entry(of).or_default();
        }
    }
    let mut wrong = Vec::new();
    for ((bucket, operation), (expected, is_assumed)) in &counts {
        let of_bucket = meter.operations.get(bucket);
        let found = of_bucket.and_then(|it| it.get(operation.as_str()));
        let found = found.copied().unwrap_or(0);
        let off_by = if *is_assumed {
            OFF_BY.max(found / OFF_BY_ONE_IN)
        } else {
            0
        };
        if expected.abs_diff(found) > off_by {
            wrong.push(format!(
                "{bucket} {operation}: {expected} planned, {found} sent"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{plan:#}");
    compare_usage(&counts, meter);
}

/// The same by AWS usage type, as a bill has them; GLACIER has types of its own, so that writes are
/// counted as one.
#[track_caller]
fn compare_usage(counts: &Counts, meter: &Reading) {
    let mut usage: BTreeMap<&str, u64> = BTreeMap::new();
    let mut off_by = OFF_BY;
    for ((_, operation), (count, is_assumed)) in counts {
        let of = match operation.as_str() {
            "GetObject" | "HeadObject" | "GetObjectTagging" | "HeadBucket" => "Requests-Tier2",
            "DeleteObject" => "Requests-Free",
            _ => "Requests-Tier1",
        };
        *usage.entry(of).or_default() += count;
        if *is_assumed {
            off_by += count / OFF_BY_ONE_IN;
        }
    }
    let mut sent = meter.requests.clone();
    let glacier = sent.remove("Requests-GLACIER-Tier1").unwrap_or(0);
    *sent.entry("Requests-Tier1").or_default() += glacier;
    for (of, count) in sent {
        let expected = usage.get(of).copied().unwrap_or(0);
        assert!(
            expected.abs_diff(count) <= off_by,
            "{of}: {expected} planned, {count} sent"
        );
    }
}

#[tokio::test]
async fn small_objects_in_several_groups() {
    let scenario = Scenario::of(some(130)).await.listed().await;
    scenario.with("--max-objects 50").holds().await;
}

#[tokio::test]
async fn one_object() {
    Scenario::of(some(1)).await.listed().await.holds().await;
}

#[tokio::test]
async fn no_object_is_selected() {
    let scenario = Scenario::of(some(10)).await.listed().await;
    scenario.with("--include nowhere/").holds().await;
}

#[tokio::test]
async fn groups_that_end_by_size() {
    let objects = (0..30).map(|n| object(format!("a/{n:03}"), noise(90 * KIB, n)));
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    scenario.with("--max-size 1MiB").holds().await;
}

#[tokio::test]
async fn empty_objects_and_folder_markers() {
    let objects = (0..40).map(|n| object(format!("folder-{n:02}/"), Bytes::new()));
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    scenario.with("--max-objects 15").holds().await;
}

#[tokio::test]
async fn one_object_in_four_has_tags() {
    let mut objects = some(400);
    for tagged in objects.iter_mut().step_by(4) {
        tagged.tagged = true;
    }
    let scenario = Scenario::of(objects).await.listed().await;
    scenario.planned("--tagged-share 25%").holds().await;
}

#[tokio::test]
async fn tags_are_found_out_by_a_sample() {
    let mut objects = some(300);
    for tagged in objects.iter_mut().step_by(3) {
        tagged.tagged = true;
    }
    let scenario = Scenario::of(objects).await.listed().await;
    // A sample of all objects is exact.
    scenario.planned("--sample 300").holds().await;
}

#[tokio::test]
async fn every_object_has_tags_and_a_directory_of_its_own() {
    let objects = (0..120).map(|n| Object {
        tagged: true,
        ..object(format!("{n:03}/data"), noise(100, n))
    });
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    scenario.planned("--tagged-share 1").holds().await;
}

#[tokio::test]
async fn hundreds_of_directories() {
    let objects = (0..900).map(|n| object(format!("{}/{n:04}/data", n / 100), noise(50, n)));
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    scenario.with("--max-objects 400").holds().await;
}

#[tokio::test]
async fn an_archive_of_several_parts() {
    let objects = (0..50).map(|n| object(format!("b/{n:02}"), noise(MIB, n)));
    Scenario::of(objects.collect())
        .await
        .listed()
        .await
        .holds()
        .await;
}

#[tokio::test]
async fn smaller_parts_of_a_small_memory() {
    let objects = (0..30).map(|n| object(format!("b/{n:02}"), noise(MIB, n)));
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    scenario.with("--memory 48MiB --groups 2").holds().await;
}

#[tokio::test]
async fn zstd_of_what_does_not_compress() {
    let objects = (0..40).map(|n| object(format!("b/{n:02}"), noise(MIB, n)));
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    scenario
        .with("--format tar.zst")
        .planned("--ratio 1")
        .holds()
        .await;
}

#[tokio::test]
async fn zstd_whose_ratio_is_found_out_by_a_sample() {
    let text = "the same line again and again\n".repeat(MIB / 30);
    let objects = (0..60).map(|n| object(format!("b/{n:02}"), text.clone()));
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    let scenario = scenario.with("--format tar.zst").planned("--sample 10");
    let plan = scenario.make_plan().await;
    assert!(
        plan["archives"]["ratio"].as_f64().unwrap() < 0.1,
        "{plan:#}"
    );
    scenario.holds().await;
}

#[tokio::test]
async fn gzip() {
    let objects = (0..20).map(|n| object(format!("b/{n:02}"), noise(MIB, n)));
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    scenario
        .with("--format tar.gz --max-objects 5")
        .holds()
        .await;
}

#[tokio::test]
async fn large_objects_are_copied() {
    let mut objects = some(60);
    objects.extend((0..7).map(|n| object(format!("large/{n}"), noise(MIB, n))));
    let scenario = Scenario::of(objects).await.listed().await;
    scenario.with("--max-object-size 64KiB").holds().await;
}

#[tokio::test]
async fn copies_of_objects_that_were_uploaded_in_parts() {
    let mut objects = some(20);
    objects.extend((0..4).map(|n| Object {
        in_parts: true,
        ..object(format!("large/{n}"), noise(6 * MIB, n))
    }));
    let scenario = Scenario::of(objects).await.listed().await;
    scenario.with("--max-object-size 1MiB").holds().await;
}

#[tokio::test]
async fn every_object_is_copied_and_there_is_no_archive() {
    let objects = (0..12).map(|n| Object {
        tagged: true,
        ..object(format!("large/{n}"), noise(100 * KIB, n))
    });
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    let scenario = scenario.with("--max-object-size 64KiB --max-objects 5");
    scenario.planned("--tagged-share 100%").holds().await;
}

#[tokio::test]
async fn archives_indexes_and_copies_in_glacier() {
    let mut objects = some(60);
    objects.extend((0..7).map(|n| object(format!("large/{n}"), noise(MIB, n))));
    let scenario = Scenario::of(objects).await.listed().await;
    scenario
        .with("--max-object-size 64KiB --archive-storage-class GLACIER --max-objects 20")
        .holds()
        .await;
}

#[tokio::test]
async fn sources_of_mixed_classes() {
    let classes = [
        "STANDARD",
        "STANDARD_IA",
        "GLACIER_IR",
        "INTELLIGENT_TIERING",
        "ONEZONE_IA",
        "GLACIER",
        "DEEP_ARCHIVE",
    ];
    let objects = some(140).into_iter().zip(classes.into_iter().cycle());
    let objects = objects.map(|(object, class)| Object { class, ..object });
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    let scenario = scenario.with("--max-objects 30 --archive-storage-class DEEP_ARCHIVE");
    let plan = scenario.make_plan().await;
    assert_eq!(plan["leftOut"]["Glacier"], 40, "{plan:#}");
    let classes = plan["now"]["classes"].as_array().unwrap();
    let objects = classes.iter().map(|it| it["objects"].as_u64().unwrap());
    assert_eq!(objects.collect::<Vec<_>>(), [20; 5], "{plan:#}");
    scenario.holds().await;
}

#[tokio::test]
async fn one_class_of_several_is_taken() {
    let objects = some(60)
        .into_iter()
        .zip(["STANDARD", "STANDARD_IA"].into_iter().cycle());
    let objects = objects.map(|(object, class)| Object { class, ..object });
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    scenario
        .with("--storage-class STANDARD_IA --max-objects 7")
        .holds()
        .await;
}

/// A versioned bucket: two versions of each object, and delete markers.
async fn versions() -> Scenario {
    let scenario = Scenario::with_versions(some(40), true).await;
    scenario.write(some(40)).await;
    for n in 0..10 {
        let delete = scenario.s3.delete_object().bucket("source");
        delete
            .key(format!("logs/{n:05}.json"))
            .send()
            .await
            .unwrap();
    }
    scenario.inventory(&Column::VERSIONS, 1_000_000).await
}

#[tokio::test]
async fn all_versions() {
    let scenario = versions().await;
    scenario
        .with("--versions all --max-objects 25")
        .holds()
        .await;
}

#[tokio::test]
async fn current_versions_of_an_inventory_of_all() {
    versions().await.with("--max-objects 25").holds().await;
}

#[tokio::test]
async fn a_single_writer() {
    let mut objects = some(60);
    objects.extend((0..3).map(|n| object(format!("large/{n}"), noise(MIB, n))));
    let scenario = Scenario::of(objects).await.listed().await;
    scenario
        .with("--single-writer --max-objects 25 --max-object-size 64KiB")
        .holds()
        .await;
}

#[tokio::test]
async fn long_and_odd_keys() {
    let objects = (0..60).map(|n| {
        let key = format!("ä+%/{}//./../{n:03}\u{1f980}", "x".repeat(300));
        object(key, noise(400, n))
    });
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    scenario.with("--max-objects 25").holds().await;
}

#[tokio::test]
async fn an_inventory_of_several_files_and_few_columns() {
    let scenario = Scenario::of(some(100)).await;
    scenario.inventory(&Column::SEED, 30).await.holds().await;
}

#[tokio::test]
async fn rows_that_name_no_object() {
    let mut scenario = Scenario::of(some(30)).await;
    let mut rows = rows_of_bucket(&scenario.s3, "source", false).await.unwrap();
    rows.push(Row::new("k".repeat(1_025), 10));
    scenario.publish(&Column::CURRENT, 1_000_000, rows).await;
    let plan = scenario.make_plan().await;
    assert!(
        plan["warnings"][0]
            .as_str()
            .unwrap()
            .contains("dead letters"),
        "{plan:#}"
    );
    scenario.holds().await;
}

#[tokio::test]
async fn existing_manifests() {
    let mut scenario = Scenario::of(some(60)).await;
    for (n, objects) in some(60).chunks(20).enumerate() {
        let rows = objects
            .iter()
            .map(|it| format!("source,{},{}\n", it.key, it.body.len()));
        let key = format!("old/{n}.index");
        client::put_object(&scenario.s3, "inventories", &key, rows.collect::<String>())
            .await
            .unwrap();
    }
    scenario
        .both
        .extend(["--manifests".to_owned(), "s3://inventories/old/".to_owned()]);
    scenario.with("--max-objects 15").holds().await;
}

#[tokio::test]
async fn more_groups_than_a_listing_has_on_a_page() {
    let objects = (0..1_005).map(|n| object(format!("a/{n:04}"), noise(10, n)));
    let scenario = Scenario::of(objects.collect()).await.listed().await;
    scenario
        .with("--max-objects 1 --groups 32 --memory 1GiB")
        .holds()
        .await;
}

#[tokio::test]
async fn a_queue_and_a_worker() {
    let scenario = Scenario::of(some(130)).await.listed().await;
    let queue = servers::create_queue(moto().await, "plan-a-queue-and-a-worker").await;
    let scenario = scenario.with("--max-objects 10").planned("--workers 1");
    let plan = scenario.make_plan().await;
    let of_queue = |operation: &str| {
        let lines = plan["requests"].as_array().unwrap().iter();
        let mut lines = lines.filter(|it| it["operation"] == operation);
        lines.next().unwrap()["count"].as_u64().unwrap()
    };
    assert_eq!(of_queue("SendMessageBatch"), 2);
    assert_eq!(of_queue("DeleteMessage"), 13);

    scenario.simulator.reset_meter();
    let sqs = moto().await;
    let group = scenario.program("group").args(&scenario.both).sqs(sqs);
    let grouped = json(&group.args(["--queue", &queue]).run().await.unwrap());
    assert_eq!(plan["groups"], grouped["groups"]);
    let bundle = scenario.program("bundle").sqs(sqs);
    json(
        &bundle
            .args(["--queue", &queue, "--idle-exit", "1"])
            .run()
            .await
            .unwrap(),
    );
    compare(&plan, &scenario.simulator.meter());
}

#[tokio::test]
async fn a_plan_writes_nothing_and_reads_no_object() {
    let scenario = Scenario::of(some(50)).await.listed().await;
    scenario.simulator.reset_meter();
    scenario.make_plan().await;
    let meter = scenario.simulator.meter();
    assert_eq!(meter.operations.keys().collect::<Vec<_>>(), ["inventories"]);
    let operations = &meter.operations["inventories"];
    let expected = [("GetObject", 3), ("HeadObject", 1)];
    assert_eq!(
        operations
            .iter()
            .map(|(it, n)| (*it, *n))
            .collect::<Vec<_>>(),
        expected
    );
}

#[tokio::test]
async fn a_listing_has_the_groups_of_its_inventory() {
    let mut objects = some(1_100);
    objects.push(object("other/x", noise(10, 1)));
    let scenario = Scenario::of(objects).await.listed().await;
    let scenario = scenario.with("--max-objects 300 --include logs/");
    let of_inventory = scenario.make_plan().await;
    let plan = scenario
        .program("plan")
        .args(["--listing", "s3://source/logs/"]);
    let of_listing = json(&plan.args(["--max-objects", "300"]).run().await.unwrap());
    for figure in ["groups", "objects", "bytes", "sizes", "ages", "classes"] {
        if figure == "classes" {
            let monthly = |plan: &Value| plan["classes"][0]["monthly"].clone();
            assert_eq!(monthly(&of_inventory), monthly(&of_listing));
            continue;
        }
        assert_eq!(of_inventory[figure], of_listing[figure], "{figure}");
    }
    assert_eq!(of_listing["groups"], 4);
    // One LIST for 1,000 objects.
    assert_eq!(of_listing["leftOut"], serde_json::json!({}));
}

#[tokio::test]
async fn the_same_rows_give_the_same_plan() {
    let scenario = Scenario::of(some(500))
        .await
        .inventory(&Column::CURRENT, 60)
        .await;
    let scenario = scenario.with("--max-objects 70").planned("--sample 20");
    assert_eq!(scenario.make_plan().await, scenario.make_plan().await);
}

/// `plan` of rows that need not be there.
async fn refused(options: &str) -> Outcome {
    let plan = world::s3bundler().access(moto().await);
    let plan = plan.args(["plan", "--outage-budget", "0"]);
    plan.args(options.split_whitespace()).run().await.unwrap()
}

#[tokio::test]
async fn what_cannot_be_planned_is_said_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let built_in = include_str!("../../prices/us-east-1.csv");
    let unknown = file(
        "unknown.csv",
        &format!("{built_in}STANDARD,prize,1,USD,A,\n"),
    );
    let unsourced = file(
        "unsourced.csv",
        &built_in.replace(",sqs,0.40,USD/1000000,A,", ",sqs,0.40,USD/1000000,,"),
    );
    let lacking = file(
        "lacking.csv",
        &built_in.replace("STANDARD,get,0.0004,USD/1000,A B C,\n", ""),
    );
    let rows = "--inventory s3://nowhere/x/manifest.json";
    for (options, cause) in [
        (
            format!("{rows} --prices /nowhere.csv"),
            "cannot read the price list /nowhere.csv",
        ),
        (
            format!("{rows} --prices {unknown}"),
            "\"prize\" is not a figure of STANDARD",
        ),
        (
            format!("{rows} --prices {unsourced}"),
            "sqs of the list has no source",
        ),
        (
            format!("{rows} --prices {lacking}"),
            "lacks get of STANDARD",
        ),
        (
            format!("{rows} --archive-storage-class COLD"),
            "no prices of the storage class \"COLD\"",
        ),
        (format!("{rows} --tagged-share 101%"), "is not a share"),
        (format!("{rows} --ratio x"), "is not a share"),
        (format!("{rows} --rate 0"), "0 is not in"),
        (format!("{rows} --listing s3://b/p"), "cannot be used with"),
        (String::new(), "required"),
    ] {
        let refused = refused(&options).await;
        assert_eq!(refused.code, Some(6), "{options}: {refused}");
        assert!(refused.stderr.contains(cause), "{options}: {refused}");
        assert_eq!(refused.stdout, "", "{options}");
    }
}

#[tokio::test]
async fn rows_that_a_run_cannot_read_are_no_plan() {
    let missing = refused("--inventory s3://nowhere/x/manifest.json").await;
    assert_eq!(missing.code, Some(3), "{missing}");
    let mut scenario = Scenario::of(some(3)).await;
    let rows = vec![
        Row::new("a", 1),
        Row::new("b", 1).with(Column::Size, "many"),
    ];
    scenario.publish(&Column::CURRENT, 1_000_000, rows).await;
    let plan = scenario
        .program("plan")
        .args(&scenario.both)
        .run()
        .await
        .unwrap();
    assert_eq!(plan.code, Some(3), "{plan}");
    assert!(plan.stderr.contains("line 2"), "{plan}");
    let listing = scenario
        .program("plan")
        .args(["--listing", "s3://nowhere/p"]);
    let listing = listing.run().await.unwrap();
    assert_eq!(listing.code, Some(3), "{listing}");
}

#[tokio::test]
async fn a_plan_for_people_names_region_date_and_disputed_prices() {
    let mut objects = some(40);
    objects[0].class = "REDUCED_REDUNDANCY";
    let scenario = Scenario::of(objects).await.listed().await;
    let plan = world::s3bundler().access(scenario.simulator.access());
    let plan = plan.arg("plan").args(&scenario.both);
    let plan = plan
        .args(["--archive-storage-class", "GLACIER"])
        .run()
        .await
        .unwrap();
    assert_eq!(plan.code, Some(0), "{plan}");
    for text in [
        "of us-east-1, 2026-08-01, in USD (built in)",
        "GLACIER*",
        "thaw-request of GLACIER",
        "no prices of REDUCED_REDUNDANCY",
        "no --destination",
        "CloudTrail data events",
        "KMS without bucket keys",
        "NAT gateway",
        "early deletion of originals",
        "lifecycle rules instead",
        "verify --full",
        "a whole restore",
    ] {
        assert!(plan.stdout.contains(text), "{text}: {plan}");
    }
}
