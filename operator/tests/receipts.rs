//! A large run's receipts on a real S3 server, counted as the operator does: one LIST for every
//! 1,000 of them, and then only for what is new.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

#[path = "integration/common.rs"]
mod common;

use std::path::Path;

use s3bundler_contract::layout::{GroupName, RunName};
use s3bundler_contract::{KeyLayout, Layout, Reason, Receipt};
use s3bundler_operator::receipts::{Count, Sums};
use s3bundler_operator::records::Records;
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Operation, Proxy};
use s3bundler_testbed::servers::{VersityGw, VersityGwOptions};

use common::aws;

const BUCKET: &str = "archive";
const RECEIPTS: u64 = 50_000;
/// A page of LIST is some 400 KiB of XML, and none is kept: far below the 10 MB of 50,000 names.
const MEMORY: u64 = 8 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_receipts_take_fifty_lists_and_then_one() {
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
    let records = Records::new(&aws, aws.region(), None);
    let run: RunName = "large".parse().unwrap();
    let layout = Layout::new("p", KeyLayout::Hashed).unwrap();
    let put = |number| {
        put(
            &folder.path().join(BUCKET),
            &receipt(&run, number).key(&layout, &run),
        );
    };
    (0..RECEIPTS).for_each(put);

    let mut count = Count::new(run.clone());
    forget_peak_memory();
    let before = memory("VmRSS:");
    records
        .count(BUCKET, &layout, &run, &mut count)
        .await
        .unwrap();
    let grown = memory("VmHWM:").saturating_sub(before);
    assert_eq!(count.counted().pass(0), sums(&run, RECEIPTS));
    assert_eq!(lists(&proxy), 50);
    assert!(grown < MEMORY, "counting took {grown} bytes");

    records
        .count(BUCKET, &layout, &run, &mut count)
        .await
        .unwrap();
    assert_eq!(lists(&proxy), 1, "nothing is new");
    assert_eq!(count.counted().pass(0), sums(&run, RECEIPTS));

    (RECEIPTS..RECEIPTS + 1500).for_each(put);
    records
        .count(BUCKET, &layout, &run, &mut count)
        .await
        .unwrap();
    assert_eq!(lists(&proxy), 2, "what is new and nothing else");
    assert_eq!(count.counted().pass(0), sums(&run, RECEIPTS + 1500));
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
fn put(bucket: &Path, key: &str) {
    let path = bucket.join(key);
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
