//! Whose trouble a failure is: objects that are denied in a bucket that is readable, buckets whose
//! access is lost in the middle of a group, connections that are reset, requests that are
//! throttled. Real server, faults by the proxy.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::world::{Proxied, Whole, World, assert_whole, gets_source, key};
use bytes::Bytes;
use s3bundler_testbed::cli::Outcome;
use s3bundler_testbed::proxy::{Fault, Operation, Seen};

const DENIED: Fault = Fault::FailBefore {
    status: 403,
    code: "AccessDenied",
};

/// So many small objects, in groups of so many.
async fn of_objects(objects: usize, group_rows: usize) -> Proxied {
    let objects = (0..objects).map(|n| (key(n), Bytes::from(format!("object {n}"))));
    let mut world = World::of_objects(objects).await;
    world.group_rows = group_rows;
    Proxied::of(world).await
}

impl Proxied {
    fn fault_of(&self, objects: &[usize], fault: Fault) {
        let keys: BTreeSet<_> = objects.iter().map(|n| key(*n)).collect();
        self.fault_sources(move |seen| {
            if keys.contains(&seen.key()) {
                fault.clone()
            } else {
                Fault::Forward
            }
        });
    }

    async fn run_with(&self, args: &[&str], code: i32) -> Outcome {
        let done = self.program().args(args).run().await.unwrap();
        assert_eq!(done.code, Some(code), "{done}");
        done
    }

    /// Nothing was committed, and the next run archives everything.
    async fn nothing_is_committed_and_the_next_run_is_whole(&self) {
        for kind in ["catalog", "receipts", "archives"] {
            assert_eq!(self.world.keys_of(&self.bucket, kind).await, [""; 0]);
        }
        let dead_letters = self
            .world
            .keys_of(&self.bucket, "groups")
            .await
            .into_iter()
            .filter(|it| it.ends_with(".dlq"));
        assert_eq!(dead_letters.count(), 0);
        assert_eq!(self.world.open_uploads(&self.bucket).await, []);
        self.proxy.forward_all();
        self.run_ends_with(0).await;
        assert_whole(&self.world, &self.bucket).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_can_be_read_and_not_copied_is_a_dead_letter() {
    for rows in [1, 3] {
        let mut scene = of_objects(3, rows).await;
        // Each object has 8 bytes.
        scene.world.max_object_size = Some(4);
        scene.proxy.rule(|seen| {
            let denied =
                seen.operation == Operation::CopyObject && seen.key().contains("0002.json");
            if denied { DENIED } else { Fault::Forward }
        });
        scene.run_ends_with(0).await;
        Whole::of(&scene.world, &scene.bucket)
            .failed(&key(2), "AccessDenied")
            .check()
            .await;
    }
}

/// A GET has read a byte of it just before.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_copy_fails_once_for_a_reason_that_its_get_contradicts_is_copied() {
    for (status, code) in [
        (403, "AccessDenied"),
        (404, "NoSuchKey"),
        (403, "InvalidObjectState"),
    ] {
        let mut scene = of_objects(2, 2).await;
        scene.world.max_object_size = Some(4);
        scene
            .proxy
            .fault_nth(Operation::CopyObject, 1, Fault::FailBefore { status, code });
        scene.run_ends_with(0).await;
        assert_whole(&scene.world, &scene.bucket).await;
    }
}

fn is_whole_get(seen: &Seen) -> bool {
    !seen.headers.contains_key("range")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_object_alone_in_its_group_is_a_dead_letter() {
    for denied in [0, 2] {
        let scene = of_objects(3, 1).await;
        scene.fault_of(&[denied], DENIED);
        scene.run_ends_with(0).await;
        Whole::of(&scene.world, &scene.bucket)
            .failed(&key(denied), "AccessDenied")
            .check()
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_object_is_a_dead_letter_wherever_it_is_in_its_group() {
    for denied in [
        &[0][..],
        &[3],
        &[9],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8],
        &[1, 2, 3, 4, 5, 6, 7, 8, 9],
    ] {
        let scene = of_objects(10, 10).await;
        scene.fault_of(denied, DENIED);
        scene.run_ends_with(0).await;
        let whole = Whole::of(&scene.world, &scene.bucket);
        denied
            .iter()
            .fold(whole, |whole, n| whole.failed(&key(*n), "AccessDenied"))
            .check()
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn access_that_is_lost_in_the_middle_of_a_group_fails_the_group() {
    for read in [0, 1, 39] {
        let scene = of_objects(40, 40).await;
        let gets = AtomicU64::new(0);
        scene.fault_sources(move |_| {
            if gets.fetch_add(1, Ordering::SeqCst) < read {
                Fault::Forward
            } else {
                DENIED
            }
        });
        let done = scene.run_ends_with(7).await;
        assert!(done.stderr.contains("allow s3:GetObject"), "{done}");
        scene.nothing_is_committed_and_the_next_run_is_whole().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_are_denied_for_a_while_are_archived_in_the_manifests_order() {
    let scene = of_objects(40, 40).await;
    let gets = AtomicU64::new(0);
    scene.fault_sources(move |_| {
        if (10..20).contains(&gets.fetch_add(1, Ordering::SeqCst)) {
            DENIED
        } else {
            Fault::Forward
        }
    });
    scene.run_ends_with(0).await;
    assert_whole(&scene.world, &scene.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_are_denied_in_every_attempt_and_readable_after_it_fail_the_group() {
    let scene = of_objects(5, 5).await;
    scene.fault_sources(|seen| {
        if is_whole_get(seen) && seen.key() == key(3) {
            DENIED
        } else {
            Fault::Forward
        }
    });
    scene.run_ends_with(7).await;
    scene.nothing_is_committed_and_the_next_run_is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_objects_are_all_gone_is_committed() {
    let mut scene = of_objects(4, 2).await;
    scene.world = scene.world.without([key(0), key(1)]).await;
    scene.run_ends_with(0).await;
    assert_whole(&scene.world, &scene.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_connection_is_reset_is_its_own_trouble() {
    let scene = of_objects(3, 1).await;
    scene.fault_of(&[0], Fault::DropBefore);
    scene.run_with(&["--retry-passes", "0"], 0).await;
    Whole::of(&scene.world, &scene.bucket)
        .failed(&key(0), "Retry")
        .check()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_all_reset_are_the_groups_trouble() {
    let scene = of_objects(3, 3).await;
    scene.fault_sources(|_| Fault::DropBefore);
    scene.run_ends_with(5).await;
    scene.nothing_is_committed_and_the_next_run_is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_refuses_four_of_five_requests_loses_no_object() {
    let scene = of_objects(100, 50).await;
    let gets = AtomicU64::new(0);
    scene.fault_sources(move |_| {
        // Not periodic: the golden ratio spreads them.
        let n = gets
            .fetch_add(1, Ordering::SeqCst)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            >> 32;
        if n.is_multiple_of(5) {
            Fault::Forward
        } else {
            Fault::Throttle
        }
    });
    scene.run_ends_with(0).await;
    assert_whole(&scene.world, &scene.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_an_earlier_process_archived_tell_that_the_bucket_is_readable() {
    let scene = of_objects(2, 1).await;
    // Nothing can be read but the first object, once.
    scene.fault_sources(|seen| {
        if is_whole_get(seen) && seen.key() == key(0) {
            Fault::Forward
        } else {
            DENIED
        }
    });
    scene.run_ends_with(7).await;
    assert_eq!(
        scene.world.keys_of(&scene.bucket, "receipts").await.len(),
        1
    );
    scene.fault_of(&[1], DENIED);
    scene.proxy.clear_log();
    scene.run_ends_with(0).await;
    let of_first = scene
        .proxy
        .log()
        .into_iter()
        .filter(|it| gets_source(&it.request) && it.request.key() == key(0));
    assert!(
        of_first.clone().count() >= 1,
        "the archived object is asked for"
    );
    assert!(
        of_first
            .map(|it| it.request)
            .all(|seen| !is_whole_get(&seen)),
        "by one byte"
    );
    Whole::of(&scene.world, &scene.bucket)
        .failed(&key(1), "AccessDenied")
        .check()
        .await;
}
