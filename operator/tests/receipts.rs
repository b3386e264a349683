//! A large run's receipts, counted as the operator does: one LIST for every 1,000 of them, and then
//! only for what is new and for the gaps. On a real S3 server, and a million of them on the
//! simulator.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

#[path = "integration/common.rs"]
mod common;

use std::collections::BTreeSet;
use std::path::Path;

use s3bundler_contract::layout::{GroupName, RunName};
use s3bundler_contract::{KeyLayout, Layout, Reason, Receipt};
use s3bundler_operator::aws::Aws;
use s3bundler_operator::receipts::{Count, Counted, Sums};
use s3bundler_operator::records::Records;
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::{VersityGw, VersityGwOptions};
use s3bundler_testbed::simulator::{Population, Simulator, SimulatorOptions};

use common::aws;

const BUCKET: &str = "archive";
const RECEIPTS: u64 = 50_000;
/// A page of LIST is some 400 KiB of XML, and none is kept: far below the 10 MB of 50,000 names.
const MEMORY: u64 = 8 << 20;
/// More than any sweep here takes.
const LISTS: u32 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_receipts_take_fifty_lists_and_then_one_and_one_for_each_gap() {
    let folder = tempfile::tempdir().unwrap();
    let options = VersityGwOptions {
        folder: Some(folder.path().to_owned()),
        ..VersityGwOptions::default()
    };
    let server = VersityGw::start_with(options).await.unwrap();
    client::create_bucket(&client::s3(server.access()), BUCKET)
        .await
        .unwrap();
    let proxy = Proxy::start(server.access()).unwrap();
    let aws = aws(proxy.access());
    let counter = Counter::of(&aws, "large");
    let file = |number| {
        let receipt = receipt(&counter.run, number);
        let key = receipt.key(&counter.layout, &counter.run);
        folder.path().join(BUCKET).join(key)
    };
    let put = |number| put(&file(number));
    (0..RECEIPTS).for_each(put);

    let mut count = Count::new(counter.run.clone());
    forget_peak_memory();
    let before = memory("VmRSS:");
    let counted = counter.sweep(&mut count).await;
    let grown = memory("VmHWM:").saturating_sub(before);
    assert_eq!(counted.pass(0), sums(&counter.run, RECEIPTS));
    assert_eq!(lists(&proxy), 50);
    assert!(grown < MEMORY, "counting took {grown} bytes");

    let counted = counter.sweep(&mut count).await;
    assert_eq!(lists(&proxy), 1, "nothing is new");
    assert_eq!(counted.pass(0), sums(&counter.run, RECEIPTS));

    (RECEIPTS..RECEIPTS + 1500).for_each(put);
    let counted = counter.sweep(&mut count).await;
    assert_eq!(lists(&proxy), 2, "what is new and nothing else");
    assert_eq!(counted.pass(0), sums(&counter.run, RECEIPTS + 1500));

    // An operator that starts while three groups have no receipt.
    let gaps = [5_000, 20_000, 35_000];
    for gap in gaps {
        std::fs::remove_file(file(gap)).unwrap();
    }
    let mut count = Count::new(counter.run.clone());
    forget_peak_memory();
    let before = memory("VmRSS:");
    for expected in [52, 4, 4] {
        let counted = counter.sweep(&mut count).await;
        assert_eq!(counted.groups(), RECEIPTS + 1500 - 3);
        assert_eq!(lists(&proxy), expected);
    }
    let grown = memory("VmHWM:").saturating_sub(before);
    assert!(grown < MEMORY, "counting took {grown} bytes");
    for (gap, expected) in gaps.into_iter().zip([4, 3, 2]) {
        put(gap);
        counter.sweep(&mut count).await;
        assert_eq!(lists(&proxy), expected, "the gap is listed once more");
    }
    let counted = counter.sweep(&mut count).await;
    assert_eq!(counted.pass(0), sums(&counter.run, RECEIPTS + 1500));
    assert_eq!(lists(&proxy), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_receipts_with_a_hundred_gaps_take_a_list_for_each_gap() {
    const ALL: u64 = 1_000_000;
    const GAPS: u64 = 100;
    let simulator = Simulator::start(SimulatorOptions::default()).unwrap();
    simulator.populate(
        BUCKET,
        Population {
            prefix: "p/receipts/large/large.".to_owned(),
            suffix: "~a2~c0~f0~b3".to_owned(),
            objects: ALL,
            is_flat: true,
            sizes: 0..1,
            seed: 0,
            with_metadata: 0,
            with_tags: 0,
            storage_class: "STANDARD".to_owned(),
        },
    );
    let s3 = client::s3(simulator.access());
    // As random numbers, of which some are close together.
    let gaps: BTreeSet<_> = (1..)
        .map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % ALL)
        .take(usize::try_from(GAPS).unwrap())
        .collect();
    assert_eq!(gaps.len() as u64, GAPS);
    let key = |number: u64| format!("p/receipts/large/large.{number:06}~a2~c0~f0~b3");
    for gap in &gaps {
        let delete = s3.delete_object().bucket(BUCKET).key(key(*gap));
        delete.send().await.unwrap();
    }
    let aws = aws(simulator.access());
    let counter = Counter::of(&aws, "large");
    let mut count = Count::new(counter.run.clone());
    let lists = || {
        let lists = simulator.meter().requests["Requests-Tier1"];
        simulator.reset_meter();
        lists
    };
    lists();
    forget_peak_memory();
    let before = memory("VmRSS:");
    let counted = counter.sweep(&mut count).await;
    assert_eq!(
        (counted.groups(), counted.pass(0).beyond),
        (ALL - GAPS, ALL)
    );
    assert_eq!(lists(), 1_000);
    for _ in 0..2 {
        assert_eq!(counter.sweep(&mut count).await, counted);
        let lists = lists();
        assert!((90..=110).contains(&lists), "{lists} LISTs");
        assert!(
            lists <= count.cost(),
            "{lists} LISTs, expected {}",
            count.cost()
        );
    }
    let grown = memory("VmHWM:").saturating_sub(before);
    assert!(grown < 2 * MEMORY, "counting took {grown} bytes");

    // Interrupted after every LIST, while receipts appear.
    for (n, gap) in gaps.iter().enumerate() {
        client::put_object(&s3, BUCKET, &key(*gap), "")
            .await
            .unwrap();
        if n == 50 {
            while counter.go_on(&mut count, 1).await.is_none() {}
        }
    }
    let counted = counter.sweep(&mut count).await;
    assert_eq!(counted.groups(), ALL);
    assert_eq!(counted.outcome().archived, 2 * ALL);
    lists();
    assert_eq!(counter.sweep(&mut count).await, counted);
    assert_eq!(lists(), 1, "no gap is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_know_start_after_is_an_error_and_no_loop() {
    const PAGE: &str = "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>true</IsTruncated>\
        <NextContinuationToken>t</NextContinuationToken><Contents><Key>p/receipts/large/\
        large.000000~a1~c0~f0~b1</Key></Contents></ListBucketResult>";
    let simulator = Simulator::start(SimulatorOptions::default()).unwrap();
    let proxy = Proxy::start(simulator.access()).unwrap();
    proxy.rule(|_| Fault::Respond {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/xml".to_owned())],
        body: PAGE.into(),
    });
    let aws = aws(proxy.access());
    let counter = Counter::of(&aws, "large");
    let mut count = Count::new(counter.run.clone());
    let records = Records::new(&aws, aws.region(), None);
    let counted = records
        .count(BUCKET, &counter.layout, &counter.run, &mut count, LISTS)
        .await;
    let error = counted.unwrap_err().to_string();
    assert!(error.contains("do not follow StartAfter"), "{error}");
    assert_eq!(lists(&proxy), 2);
}

/// Counts the receipts of a run.
struct Counter {
    records: Records,
    layout: Layout,
    run: RunName,
}

impl Counter {
    fn of(aws: &Aws, run: &str) -> Self {
        Self {
            records: Records::new(aws, aws.region(), None),
            layout: Layout::new("p", KeyLayout::Hashed).unwrap(),
            run: run.parse().unwrap(),
        }
    }

    /// A whole sweep.
    async fn sweep(&self, count: &mut Count) -> Counted {
        self.go_on(count, LISTS).await.unwrap()
    }

    async fn go_on(&self, count: &mut Count, lists: u32) -> Option<Counted> {
        self.records
            .count(BUCKET, &self.layout, &self.run, count, lists)
            .await
            .unwrap()
    }
}

fn receipt(run: &RunName, number: u64) -> Receipt {
    let mut receipt = Receipt::empty(GroupName::numbered(run, number));
    let figures = &mut receipt.figures;
    (figures.archived, figures.copied, figures.archived_bytes) = (number % 7, 1, number);
    figures.failed = [(Reason::NoSuchKey, 2)].into();
    receipt
}

/// What receipts up to a number come to, by arithmetic.
fn sums(run: &RunName, receipts: u64) -> Sums {
    let mut sums = Sums {
        groups: receipts,
        beyond: receipts,
        ..Sums::default()
    };
    let figures = &mut sums.figures;
    figures.copied = receipts;
    for receipt in (0..receipts).map(|number| receipt(run, number)) {
        figures.archived += receipt.figures.archived;
        figures.archived_bytes += receipt.figures.archived_bytes;
    }
    figures.failed = [(Reason::NoSuchKey, 2 * receipts)].into();
    sums
}

/// An empty object is an empty file: 50,000 PUTs would take a minute.
fn put(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "").unwrap();
}

/// LISTs since the last look; nothing else was asked.
fn lists(proxy: &Proxy) -> u64 {
    let (lists, all) = (proxy.count(Operation::ListObjectsV2), proxy.requests());
    assert_eq!(lists, all);
    proxy.clear_log();
    lists
}

/// Bytes of a line of proc_pid_status(5).
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status
        .lines()
        .find_map(|found| found.strip_prefix(line))
        .unwrap();
    found
        .trim()
        .strip_suffix(" kB")
        .unwrap()
        .parse::<u64>()
        .unwrap()
        << 10
}

/// The peak is that of now (proc_pid_clear_refs(5)).
fn forget_peak_memory() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}
