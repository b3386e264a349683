//! What large parts hold in memory. A process of its own: a peak is of the process.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

#[allow(dead_code, unused_imports, reason = "it uses a part")]
#[path = "integration/world/mod.rs"]
mod world;

use bytes::Bytes;
use s3bundler::bundle::parts::PartLimits;
use s3bundler_testbed::inventory::Column;
use world::{Limited, World, assert_whole, key};

const MIB: u64 = 1 << 20;
/// For object data: parts of 5.25 MiB are planned.
const MEMORY: u64 = 21 * MIB;
/// Sources of 256 MiB.
const OBJECTS: usize = 32;
const OBJECT: usize = 8 << 20;
/// Beside object data: connections, the runtime, what the allocator keeps.
const BESIDE: u64 = 60 * MIB;

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_parts() {
    let body = Bytes::from(vec![7; OBJECT]);
    let mut world = World::of_objects((0..OBJECTS).map(|n| (key(n), body.clone()))).await;
    world.group_rows = OBJECTS;
    let world = world
        .listed_as(&[Column::Bucket, Column::Key], |row| row)
        .await;
    let bucket = world.destination("archive").await;
    world.group(&bucket).await;

    // 5.25, 5.25, 10.5, 21, 42, 84 and 88 MiB; in memory the last three would be 200.
    let parts = PartLimits {
        most: 7,
        step: 1,
        largest: 168 * MIB,
    };
    let before = peak();
    world
        .bundle_here(
            world.access(),
            &bucket,
            Limited {
                memory: MEMORY,
                parts,
                scratch_size: None,
            },
        )
        .await
        .unwrap();
    let held = peak() - before;
    assert!(held < MEMORY + BESIDE, "{} MiB", held / MIB);
    assert_whole(&world, &bucket).await;
}

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}
