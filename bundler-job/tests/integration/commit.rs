//! The counterexamples of the commit protocol (docs/commit-protocol.md), against real processes and
//! a real server: each broke an earlier design. Then the faults of sources and of what dead
//! attempts left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::world::{
    self, Freezer, Gate, PREFIX, Proxied, RUN, Reader, SOURCE, Victim, Whole, World, assert_whole,
    gets, gets_source, key, puts,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use s3bundler_contract::{Group, GroupName, KeyLayout, Layout, RunName};
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy, Seen};

impl Proxied {
    /// Runs behind the proxy, and expects it to fail and to leave no upload open; then runs without
    /// it to the end.
    async fn run_fails_and_the_next_is_whole(&self, code: i32) {
        let done = self.run().await;
        assert_eq!(done.code, Some(code), "{done}");
        assert_eq!(self.world.open_uploads(&self.bucket).await, [], "{done}");
        assert_eq!(
            self.world.keys_of(&self.bucket, "receipts").await,
            [""; 0],
            "{done}"
        );
        self.world.run(&self.bucket).await;
        assert_whole(&self.world, &self.bucket).await;
    }

    /// One fault, for the first PUT of a catalog.
    fn fault_first_commit(&self, fault: Fault) {
        let commits = AtomicU64::new(0);
        self.proxy.rule(move |seen| {
            let first = puts(seen, "catalog") && commits.fetch_add(1, Ordering::SeqCst) == 0;
            if first { fault.clone() } else { Fault::Forward }
        });
    }

    fn commits(&self) -> usize {
        self.proxy
            .log()
            .iter()
            .filter(|record| puts(&record.request, "catalog"))
            .count()
    }
}

/// An error document in an answer that says 200.
fn error_inside_200(code: &str) -> Fault {
    let body = format!(
        "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>injected</Message></Error>"
    );
    Fault::Respond {
        status: 200,
        headers: vec![("content-type".into(), "application/xml".into())],
        body: body.into(),
    }
}

/// 200 for a PUT that never came to the server.
fn put_that_says_200() -> Fault {
    Fault::Respond {
        status: 200,
        headers: vec![("etag".into(), "\"0\"".into())],
        body: Bytes::new(),
    }
}

/// A group of the run's own.
fn own_group(number: u64) -> Group {
    let run: RunName = RUN.parse().unwrap();
    Group {
        name: GroupName::numbered(&run, number),
        run,
        own: true,
    }
}

const CONFLICT: &str = "ConditionalRequestConflict";

// 1. Stale memory.

#[tokio::test(flavor = "multi_thread")]
async fn stale_memory_a_worker_that_slept_since_its_commit_changes_nothing() {
    let scene = Proxied::of_groups(2).await;
    let victim = Victim::default();
    let freezer = Freezer::of(&victim);
    let hook = freezer.clone();
    scene.proxy.after_response(move |seen, _| {
        if puts(seen, "catalog") {
            hook.freeze();
        }
    });
    let sleeper = victim.spawn(scene.program());
    freezer.frozen().await;
    scene.world.run(&scene.bucket).await;
    assert_whole(&scene.world, &scene.bucket).await;
    let before = scene.world.snapshot(&scene.bucket).await;
    freezer.thaw();
    let done = sleeper.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(scene.world.snapshot(&scene.bucket).await, before);
    assert_whole(&scene.world, &scene.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_memory_a_worker_that_slept_at_any_request_changes_nothing_that_another_finished() {
    let scene = &Proxied::of_groups(1).await;
    scene.run_whole().await;
    stream::iter(1..=scene.proxy.requests())
        .map(|k| async move {
            let world = &scene.world;
            let bucket = world.destination(&format!("asleep-at-{k}")).await;
            let proxy = Proxy::start(world.access()).unwrap();
            let victim = Victim::default();
            let freezer = Freezer::of(&victim);
            let hook = freezer.clone();
            proxy.after_response(move |seen, _| {
                if seen.number == k {
                    hook.freeze();
                }
            });
            let sleeper = victim.spawn(world.program(&bucket).access(proxy.access()));
            let mut ends = Box::pin(sleeper.wait());
            tokio::select! {
                biased;
                () = freezer.frozen() => {}
                // Requests run side by side, so another run may make fewer.
                done = &mut ends => {
                    let done = done.unwrap();
                    assert_eq!(done.code, Some(0), "{bucket}: {done}");
                    assert!(proxy.requests() < k, "{bucket}: never frozen: {done}");
                    return assert_whole(world, &bucket).await;
                }
            }
            world.run(&bucket).await;
            let (catalogs, receipts) = (
                world.keys_of(&bucket, "catalog").await,
                world.keys_of(&bucket, "receipts").await,
            );
            freezer.thaw();
            let done = ends.await.unwrap();
            assert_eq!(done.code, Some(0), "{bucket}: {done}");
            assert_eq!(
                world.keys_of(&bucket, "catalog").await,
                catalogs,
                "{bucket}"
            );
            assert_eq!(
                world.keys_of(&bucket, "receipts").await,
                receipts,
                "{bucket}"
            );
            assert_whole(world, &bucket).await;
        })
        .buffer_unordered(2)
        .collect::<()>()
        .await;
}

// 2. Check, then act.

#[tokio::test(flavor = "multi_thread")]
async fn check_then_act_a_worker_that_saw_no_catalog_undoes_nothing_that_was_done_since() {
    let scene = Proxied::of_groups(1).await;
    let victim = Victim::default();
    let freezer = Freezer::of(&victim);
    // Its commit fails, it looks, nothing is there: and while it concludes, another one does
    // everything.
    scene.fault_first_commit(Fault::FailBefore {
        status: 409,
        code: CONFLICT,
    });
    let (hook, looks) = (freezer.clone(), AtomicU64::new(0));
    scene.proxy.after_response(move |seen, status| {
        if gets(seen, "catalog") && status == 404 && looks.fetch_add(1, Ordering::SeqCst) == 1 {
            hook.freeze();
        }
    });
    let sleeper = victim.spawn(scene.program());
    freezer.frozen().await;
    scene.world.run(&scene.bucket).await;
    let before = scene.world.snapshot(&scene.bucket).await;
    freezer.thaw();
    let done = sleeper.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(scene.world.snapshot(&scene.bucket).await, before);
    assert_whole(&scene.world, &scene.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_then_act_a_commit_that_arrives_late_loses_and_takes_only_its_own_archive_away() {
    let scene = Proxied::of_groups(1).await;
    let gate = Gate::closed();
    let (hook, commits) = (gate.clone(), AtomicU64::new(0));
    scene.proxy.rule(move |seen| {
        if puts(seen, "catalog") && commits.fetch_add(1, Ordering::SeqCst) == 0 {
            hook.pass();
        }
        Fault::Forward
    });
    let late = scene.program().spawn().unwrap();
    gate.arrived().await;
    scene.world.run(&scene.bucket).await;
    assert_whole(&scene.world, &scene.bucket).await;
    let before = scene.world.snapshot(&scene.bucket).await;
    gate.open();
    let done = late.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(scene.world.snapshot(&scene.bucket).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_race_for_a_run_all_end_well_and_archive_it_once() {
    let world = &World::of_groups(4).await;
    for round in 0..5 {
        let bucket = world.destination(&format!("race-{round}")).await;
        // Versitygw takes a folder away with its last object, also while another one is written
        // into it: the scratch keys of two probes would meet that.
        let anchor = format!("{PREFIX}/runs/anchor");
        client::put_object(&world.s3, &bucket, &anchor, "")
            .await
            .unwrap();
        let racing = (0..3).map(|n| {
            let program = world.program(&bucket);
            async move {
                tokio::time::sleep(Duration::from_millis(40 * n * round)).await;
                program.run().await.unwrap()
            }
        });
        for done in futures_util::future::join_all(racing).await {
            assert_eq!(done.code, Some(0), "{bucket}: {done}");
        }
        Whole::of(world, &bucket).beside([anchor]).check().await;
    }
}

// 3. Complete is not atomic everywhere.

#[tokio::test(flavor = "multi_thread")]
async fn complete_whose_answer_is_lost_is_believed_by_its_head() {
    let scene = Proxied::of_groups(1).await;
    scene
        .proxy
        .fault_nth(Operation::CompleteMultipartUpload, 1, Fault::DropAfter);
    scene.run_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_that_was_done_and_answered_500_is_believed_by_its_head() {
    let scene = Proxied::of_groups(1).await;
    let fault = Fault::FailAfter {
        status: 500,
        code: "InternalError",
    };
    scene
        .proxy
        .fault_nth(Operation::CompleteMultipartUpload, 1, fault);
    scene.run_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_that_was_done_with_an_error_inside_its_200_is_believed_by_its_head() {
    // The SDK sends it again after the first, and not after the second.
    for (code, sent) in [("InternalError", 2), ("NoSuchUpload", 1)] {
        let scene = Proxied::of_groups(1).await;
        let fault = Fault::FailAfter { status: 200, code };
        scene
            .proxy
            .fault_nth(Operation::CompleteMultipartUpload, 1, fault);
        scene.run_whole().await;
        assert_eq!(
            scene.proxy.count(Operation::CompleteMultipartUpload),
            sent,
            "{code}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_that_was_not_done_with_an_error_inside_its_200_is_tried_again() {
    let scene = Proxied::of_groups(1).await;
    scene.proxy.fault_nth(
        Operation::CompleteMultipartUpload,
        1,
        error_inside_200("InternalError"),
    );
    scene.run_whole().await;
    assert_eq!(scene.proxy.count(Operation::CompleteMultipartUpload), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_that_is_never_done_fails_the_group_and_leaves_no_upload() {
    let scene = Proxied::of_groups(1).await;
    scene.proxy.fault_every(
        Operation::CompleteMultipartUpload,
        error_inside_200("InvalidPart"),
    );
    scene.run_fails_and_the_next_is_whole(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_know_the_checksum_is_told_apart_and_can_be_used_without() {
    let scene = Proxied::of_groups(1).await;
    // Only an answer that names the checksum says that it is the checksum.
    let body = "<?xml version=\"1.0\"?>\n<Error><Code>NotImplemented</Code><Message>A header that \
        you provided implies functionality that is not implemented: \
        x-amz-checksum-algorithm</Message></Error>";
    let headers = vec![("content-type".into(), "application/xml".into())];
    scene.proxy.fault_every(
        Operation::CreateMultipartUpload,
        Fault::Respond {
            status: 501,
            headers,
            body: body.into(),
        },
    );
    let done = scene.run().await;
    assert_eq!(done.code, Some(4), "{done}");
    assert!(done.stderr.contains("--no-crc64nvme"), "{done}");
    assert_eq!(
        scene.proxy.count(Operation::CreateMultipartUpload),
        1,
        "no use to ask again"
    );
    scene.proxy.forward_all();
    let done = scene.program().arg("--no-crc64nvme").run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_that_says_it_was_done_and_was_not_is_not_believed() {
    let scene = Proxied::of_groups(1).await;
    let body = "<CompleteMultipartUploadResult><ETag>\"0\"</ETag></CompleteMultipartUploadResult>";
    let headers = vec![("content-type".into(), "application/xml".into())];
    let lie = Fault::Respond {
        status: 200,
        headers,
        body: Bytes::from_static(body.as_bytes()),
    };
    scene
        .proxy
        .fault_every(Operation::CompleteMultipartUpload, lie);
    scene.run_fails_and_the_next_is_whole(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_another_size_than_was_packed_is_not_committed() {
    let scene = Proxied::of_groups(1).await;
    scene.proxy.rule(|seen| {
        if seen.operation == Operation::HeadObject && seen.key().contains("/archives/") {
            let headers = vec![("content-length".into(), "1024".into())];
            return Fault::Respond {
                status: 200,
                headers,
                body: Bytes::new(),
            };
        }
        Fault::Forward
    });
    let done = scene.run().await;
    assert_eq!(done.code, Some(4), "{done}");
    assert_eq!(
        scene.world.keys_of(&scene.bucket, "catalog").await,
        [""; 0],
        "{done}"
    );
    scene.world.run(&scene.bucket).await;
    assert_whole(&scene.world, &scene.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_whose_opening_was_answered_twice_leave_none_open() {
    let scene = Proxied::of_groups(1).await;
    scene
        .proxy
        .fault_nth(Operation::CreateMultipartUpload, 1, Fault::DropAfter);
    scene.run_whole().await;
    assert_eq!(scene.proxy.count(Operation::CreateMultipartUpload), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_fail_are_sent_again() {
    let scene = Proxied::of_groups(1).await;
    scene.proxy.fault_nth(
        Operation::UploadPart,
        1,
        Fault::FailAfter {
            status: 500,
            code: "InternalError",
        },
    );
    scene.run_whole().await;
}

// 5. Answers believed.

#[tokio::test(flavor = "multi_thread")]
async fn answers_believed_a_412_for_ones_own_retried_commit_is_a_win() {
    let scene = Proxied::of_groups(1).await;
    scene.fault_first_commit(Fault::DropAfter);
    scene.run_whole().await;
    let answers: Vec<_> = scene
        .proxy
        .log()
        .into_iter()
        .filter(|it| puts(&it.request, "catalog"))
        .collect();
    assert_eq!(
        answers.iter().map(|it| it.status).collect::<Vec<_>>(),
        [None, Some(412)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_believed_a_commit_answered_with_an_error_that_landed_is_a_win() {
    for (status, code) in [
        (500, "InternalError"),
        (409, CONFLICT),
        (403, "AccessDenied"),
        (400, "BadRequest"),
    ] {
        let scene = Proxied::of_groups(1).await;
        scene.fault_first_commit(Fault::FailAfter { status, code });
        scene.run_whole().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_believed_a_commit_that_did_not_land_is_sent_again() {
    let faults = [
        Fault::FailBefore {
            status: 500,
            code: "InternalError",
        },
        Fault::FailBefore {
            status: 409,
            code: CONFLICT,
        },
        Fault::DropBefore,
        put_that_says_200(),
    ];
    for fault in faults {
        let scene = Proxied::of_groups(1).await;
        scene.fault_first_commit(fault);
        scene.run_whole().await;
        assert_eq!(scene.commits(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_believed_a_commit_that_never_lands_leaves_its_archive_to_a_later_sweep() {
    let scene = Proxied::of_groups(1).await;
    scene.proxy.rule(|seen| {
        if puts(seen, "catalog") {
            Fault::FailBefore {
                status: 409,
                code: CONFLICT,
            }
        } else {
            Fault::Forward
        }
    });
    let done = scene.run().await;
    assert_eq!(done.code, Some(4), "{done}");
    // Its last PUT may still land: the archive stays.
    assert_eq!(
        scene.world.keys_of(&scene.bucket, "archives").await.len(),
        1
    );
    scene.world.run(&scene.bucket).await;
    assert_whole(&scene.world, &scene.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_believed_a_group_whose_objects_all_failed_commits_without_an_archive() {
    let world = World::of_groups(1).await;
    let scene = Proxied::of(world.without((0..world::ROWS).map(key)).await).await;
    // A run in which everything failed has an exit code of its own.
    let done = scene.run().await;
    assert_eq!(done.code, Some(9), "{done}");
    assert_whole(&scene.world, &scene.bucket).await;
    assert_eq!(scene.proxy.count(Operation::CreateMultipartUpload), 0);
    assert_eq!(
        scene.world.keys_of(&scene.bucket, "archives").await,
        [""; 0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_believed_index_dead_letters_and_receipt_that_fail_are_written_by_the_next_run() {
    for kind in ["archives", "groups", "receipts"] {
        let scene = Proxied::of_groups(1).await;
        scene.proxy.rule(move |seen| {
            let derived = puts(seen, kind) && !seen.key().ends_with("000000.index");
            if derived {
                Fault::FailBefore {
                    status: 400,
                    code: "InvalidRequest",
                }
            } else {
                Fault::Forward
            }
        });
        let done = scene.run().await;
        assert_eq!(done.code, Some(4), "{kind}: {done}");
        let commits = scene.world.keys_of(&scene.bucket, "catalog").await;
        assert_eq!(
            (
                commits.len(),
                scene.world.keys_of(&scene.bucket, "receipts").await.len()
            ),
            (1, 0),
            "{kind}: {done}"
        );
        scene.world.run(&scene.bucket).await;
        assert_whole(&scene.world, &scene.bucket).await;
    }
}

// 6. Reader sees the record before the archive.

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_never_sees_a_record_before_what_it_names() {
    let scene = Proxied::of_groups(3).await;
    let reader = Reader::of(&scene.world, &scene.bucket);
    let (before, after) = (reader.clone(), reader.clone());
    scene
        .proxy
        .on_request(move |seen| before.look(&format!("before {:?} {}", seen.operation, seen.path)));
    scene.proxy.after_response(move |seen, _| {
        after.look(&format!("after {:?} {}", seen.operation, seen.path));
    });
    scene.run_whole().await;
    assert_eq!(reader.complaints(), [""; 0]);
}

// 7. Run name used twice.

#[tokio::test(flavor = "multi_thread")]
async fn run_name_used_twice_for_another_inventory_is_refused_and_changes_nothing() {
    let scene = Proxied::of_groups(2).await;
    let Proxied { world, bucket, .. } = &scene;
    let another = world.another_inventory().await;
    // The first run is under way, then done.
    scene.proxy.fault_every(
        Operation::CompleteMultipartUpload,
        error_inside_200("InvalidPart"),
    );
    assert_eq!(scene.run().await.code, Some(4));
    for _ in 0..2 {
        let before = world.snapshot(bucket).await;
        let done = world.program_of(&another, bucket, RUN).run().await.unwrap();
        assert_eq!(done.code, Some(6), "{done}");
        assert!(done.stderr.contains("another inventory"), "{done}");
        assert_eq!(world.snapshot(bucket).await, before);
        world.run(bucket).await;
    }
    assert_whole(world, bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_name_used_twice_with_other_options_is_refused_and_changes_nothing() {
    let scene = Proxied::of_groups(2).await;
    scene.run_whole().await;
    let before = scene.world.snapshot(&scene.bucket).await;
    for (option, value) in [
        ("--max-size", "1GiB"),
        ("--format", "tar.gz"),
        ("--include", "logs"),
    ] {
        let done = scene
            .world
            .program(&scene.bucket)
            .args([option, value])
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(6), "{option}: {done}");
    }
    assert_eq!(scene.world.snapshot(&scene.bucket).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_name_used_twice_after_its_records_were_deleted_does_not_take_over_the_first_runs_groups()
 {
    let scene = Proxied::of_groups(1).await;
    let Proxied { world, bucket, .. } = &scene;
    scene.run_whole().await;
    for kind in ["runs", "groups", "receipts"] {
        for key in world.keys_of(bucket, kind).await {
            world
                .s3
                .delete_object()
                .bucket(bucket)
                .key(key)
                .send()
                .await
                .unwrap();
        }
    }
    let archived = |snapshot: std::collections::BTreeMap<String, String>| {
        let of = |key: &String| key.contains("/archives/") || key.contains("/catalog/");
        snapshot
            .into_iter()
            .filter(|(key, _)| of(key))
            .collect::<Vec<_>>()
    };
    let before = archived(world.snapshot(bucket).await);
    let another = world.another_inventory().await;
    let done = world.program_of(&another, bucket, RUN).run().await.unwrap();
    assert_eq!(done.code, Some(6), "{done}");
    assert_eq!(archived(world.snapshot(bucket).await), before);
    assert_eq!(world.keys_of(bucket, "receipts").await, [""; 0]);
    assert_eq!(world.open_uploads(bucket).await, []);
}

// 9. Copies overwritten.

#[tokio::test(flavor = "multi_thread")]
async fn copies_overwritten_neither_by_the_next_run_nor_by_metadata_of_another_object() {
    let keys = ["x", "x.metadata", "x~metadata"];
    let mut world =
        World::of_objects(keys.map(|key| (key.to_owned(), Bytes::from(vec![1; 2000])))).await;
    world.max_object_size = Some(1000);
    let Proxied {
        world,
        bucket,
        proxy,
    } = Proxied::of(world).await;
    proxy.fault_nth(Operation::CopyObject, 1, Fault::DropAfter);
    let done = world
        .program(&bucket)
        .access(proxy.access())
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(&world, &bucket).await;
    let before = world.snapshot(&bucket).await;
    client::put_object(&world.s3, SOURCE, "x", vec![2; 3000])
        .await
        .unwrap();
    let next = world.another_inventory().await;
    let done = world
        .program_of(&next, &bucket, "next-month")
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    let after = world.snapshot(&bucket).await;
    assert_eq!(
        before
            .iter()
            .filter(|(key, md5)| after.get(*key) != Some(md5))
            .collect::<Vec<_>>(),
        []
    );
    let copies = after
        .keys()
        .filter(|key| key.starts_with(&format!("{PREFIX}/objects/")));
    assert_eq!(
        copies.count(),
        2 * (keys.len() + 1),
        "copies and their metadata, those that did not change only once"
    );
}

// 10. A store that ignores conditions.

/// Answers the second PUT of the probe as a store that does not know If-None-Match.
fn ignores_conditions(seen: &Seen) -> Fault {
    let second = puts(seen, "runs") && seen.key().contains("/probe-") && seen.nth == 2;
    if second {
        put_that_says_200()
    } else {
        Fault::Forward
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ignores_conditions_is_refused_unless_there_is_a_single_writer() {
    let scene = Proxied::of_groups(1).await;
    scene.proxy.rule(ignores_conditions);
    let done = scene.run().await;
    assert_eq!(done.code, Some(6), "{done}");
    assert!(done.stderr.contains("--single-writer"), "{done}");
    assert!(
        scene.world.snapshot(&scene.bucket).await.is_empty(),
        "{done}"
    );
    scene.proxy.clear_log();
    let done = scene.program().arg("--single-writer").run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(&scene.world, &scene.bucket).await;
}

// The sweep.

#[tokio::test(flavor = "multi_thread")]
async fn what_dead_attempts_left_is_swept_and_what_only_looks_like_it_is_not() {
    let scene = Proxied::of_groups(1).await;
    let Proxied { world, bucket, .. } = &scene;
    let layout = Layout::new(PREFIX, KeyLayout::Hashed).unwrap();
    let stem = layout.archive_stem(SOURCE, &own_group(0));
    let keys = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("{stem}{name}"))
            .collect::<Vec<_>>()
    };
    let dead = keys(&[
        "aaaaaaaa.tar",
        "aaaaaaaa.index",
        "bbbbbbbb.tar.gz",
        "cccccccc.tar.zst",
    ]);
    let mut others = keys(&[
        "b-aaaaaaaa.tar",
        "aaaaaaa.tar",
        "aaaaaaaa.zip",
        "AAAAAAAA.tar",
        "aaaaaaaa.tar.old",
    ]);
    others.push(format!(
        "{PREFIX}/archives/000000/{SOURCE}/{RUN}.000000-aaaaaaaa.tar"
    ));
    client::put_objects(
        &world.s3,
        bucket,
        dead.iter().chain(&others).map(|key| (key, "left behind")),
    )
    .await
    .unwrap();
    let looks_alike = keys(&["b-dddddddd.tar"]);
    for key in keys(&["dddddddd.tar", "eeeeeeee.tar"])
        .iter()
        .chain(&looks_alike)
    {
        world
            .s3
            .create_multipart_upload()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .unwrap();
    }
    world.run(bucket).await;
    Whole::of(world, bucket)
        .beside(others)
        .open(looks_alike)
        .check()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_is_denied_or_not_implemented_does_not_keep_a_group_from_its_receipt() {
    let scene = Proxied::of_groups(2).await;
    let Proxied {
        world,
        bucket,
        proxy,
    } = &scene;
    let layout = Layout::new(PREFIX, KeyLayout::Hashed).unwrap();
    let dead: Vec<_> = (0..2)
        .map(|n| format!("{}aaaaaaaa.tar", layout.archive_stem(SOURCE, &own_group(n))))
        .collect();
    client::put_objects(
        &world.s3,
        bucket,
        dead.iter().map(|key| (key, "left behind")),
    )
    .await
    .unwrap();
    proxy.rule(|seen| match seen.operation {
        Operation::DeleteObject if seen.key().contains("/archives/") => Fault::FailBefore {
            status: 403,
            code: "AccessDenied",
        },
        Operation::ListMultipartUploads => Fault::FailBefore {
            status: 501,
            code: "NotImplemented",
        },
        _ => Fault::Forward,
    });
    let done = scene.run().await;
    assert_eq!(done.code, Some(0), "{done}");
    Whole::of(world, bucket).beside(dead).check().await;
    for warning in [
        "what other attempts left is not removed",
        "ListMultipartUploads",
    ] {
        assert_eq!(
            done.stderr
                .lines()
                .filter(|line| line.contains(warning))
                .count(),
            1,
            "{warning}: {done}"
        );
    }
}

/// A page of open uploads that has none, and says that another one follows.
fn page_of_uploads(next: &str) -> Fault {
    let body = format!(
        "<?xml version=\"1.0\"?><ListMultipartUploadsResult><IsTruncated>true</IsTruncated>{next}\
         </ListMultipartUploadsResult>"
    );
    let headers = vec![("content-type".to_owned(), "application/xml".to_owned())];
    Fault::Respond {
        status: 200,
        headers,
        body: body.into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_uploads_is_read_to_its_end_or_not_believed() {
    let scene = Proxied::of_groups(1).await;
    let Proxied {
        world,
        bucket,
        proxy,
    } = &scene;
    let stem = Layout::new(PREFIX, KeyLayout::Hashed)
        .unwrap()
        .archive_stem(SOURCE, &own_group(0));
    let left = format!("{stem}aaaaaaaa.tar");
    world
        .s3
        .create_multipart_upload()
        .bucket(bucket)
        .key(&left)
        .send()
        .await
        .unwrap();
    // The page says that there is more, and not where.
    proxy.fault_every(Operation::ListMultipartUploads, page_of_uploads(""));
    let done = scene.run().await;
    assert_eq!(done.code, Some(0), "{done}");
    assert!(
        done.stderr
            .contains("there is no NextKeyMarker to go on with"),
        "{done}"
    );
    Whole::of(world, bucket)
        .open(vec![left.clone()])
        .check()
        .await;
    let to = format!("s3://{bucket}/{PREFIX}");
    let verify = async || {
        let program = world::s3bundler().access(proxy.access());
        program
            .args(["verify", "--name", RUN, "--destination", &to])
            .run()
            .await
            .unwrap()
    };
    let done = verify().await;
    assert!(
        done.stderr
            .contains("open uploads cannot be listed, and are not in the report"),
        "{done}"
    );
    // It says where.
    proxy.rule(|seen| match seen.operation {
        Operation::ListMultipartUploads if !seen.query.contains("key-marker=") => {
            page_of_uploads("<NextKeyMarker>a</NextKeyMarker>")
        }
        _ => Fault::Forward,
    });
    let done = verify().await;
    assert!(done.stdout.contains(&left), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_lost_to_a_catalog_without_its_archive_keeps_its_own() {
    let scene = Proxied::of_groups(1).await;
    let Proxied {
        world,
        bucket,
        proxy,
    } = &scene;
    world.run(bucket).await;
    let catalog = world.keys_of(bucket, "catalog").await.remove(0);
    let bytes = client::get_bytes(&world.s3, bucket, &catalog)
        .await
        .unwrap();
    let archive = world
        .keys_of(bucket, "archives")
        .await
        .into_iter()
        .find(|key| key.ends_with(".tar"))
        .unwrap();
    for kind in ["archives", "catalog", "receipts"] {
        for key in world.keys_of(bucket, kind).await {
            world
                .s3
                .delete_object()
                .bucket(bucket)
                .key(key)
                .send()
                .await
                .unwrap();
        }
    }
    // While its own archive is there and its commit is under way, the catalog of the other attempt
    // appears.
    let (s3, to, key) = (world.s3.clone(), bucket.clone(), catalog.clone());
    proxy.rule(move |seen| {
        if puts(seen, "catalog") {
            let put = client::put_object(&s3, &to, &key, bytes.clone());
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(put))
                .unwrap();
        }
        Fault::Forward
    });
    let done = scene.run().await;
    assert_eq!(done.code, Some(3), "{done}");
    let kept = world.keys_of(bucket, "archives").await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(
        kept[0] != archive && done.stderr.contains(&kept[0]) && done.stderr.contains(&archive),
        "{done}"
    );
    assert_eq!(world.keys_of(bucket, "receipts").await, [""; 0]);
    // A later worker has no archive of its own to keep, and no reason to delete that one.
    let again = world.program(bucket).run().await.unwrap();
    assert_eq!(again.code, Some(3), "{again}");
    assert_eq!(
        (
            world.keys_of(bucket, "archives").await,
            world.keys_of(bucket, "receipts").await.len()
        ),
        (kept, 0)
    );
}

// The source.

/// Which GET of its object a request is, from 1: faults of one object, whatever the others do.
#[derive(Default)]
struct Tries(Mutex<std::collections::BTreeMap<String, u64>>);

impl Tries {
    /// `None` for requests that are no GET of this object.
    fn of(&self, seen: &Seen, key: &str) -> Option<u64> {
        if !gets_source(seen) || seen.key() != key {
            return None;
        }
        let mut tries = self.0.lock().unwrap();
        let count = tries.entry(seen.key()).or_default();
        *count += 1;
        Some(*count)
    }
}

/// Runs with these faults of the GETs of one object: a large one, in several chunks.
async fn with_faults_of_a_source_object(
    fault: impl Fn(u64) -> Fault + Send + Sync + 'static,
) -> Proxied {
    let scene = Proxied::of_groups(1).await;
    let tries = Tries::default();
    scene
        .proxy
        .rule(move |seen| tries.of(seen, &key(4)).map_or(Fault::Forward, &fault));
    let done = scene.run().await;
    assert_eq!(done.code, Some(0), "{done}");
    scene
}

fn gets_of(scene: &Proxied, key: &str) -> Vec<Option<String>> {
    let log = scene.proxy.log();
    let gets = log
        .iter()
        .filter(|it| gets_source(&it.request) && it.request.key() == key);
    gets.map(|it| {
        it.request
            .headers
            .get("range")
            .map(|range| range.to_str().unwrap().to_owned())
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_body_that_breaks_is_resumed_where_it_broke() {
    let broken = |tries| {
        if tries <= 2 {
            Fault::TruncateBody(tries * 10_000)
        } else {
            Fault::Forward
        }
    };
    let scene = with_faults_of_a_source_object(broken).await;
    assert_whole(&scene.world, &scene.bucket).await;
    let ranges = ["bytes=10000-99999", "bytes=30000-99999"].map(|range| Some(range.to_owned()));
    assert_eq!(gets_of(&scene, &key(4)), [&[None][..], &ranges].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_body_that_was_corrupted_once_is_read_again() {
    let corrupt = |tries| {
        if tries == 1 {
            Fault::CorruptBody(50_000)
        } else {
            Fault::Forward
        }
    };
    let scene = with_faults_of_a_source_object(corrupt).await;
    assert_whole(&scene.world, &scene.bucket).await;
    assert_eq!(gets_of(&scene, &key(4)).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_body_that_is_always_corrupted_is_a_dead_letter() {
    let scene = with_faults_of_a_source_object(|_| Fault::CorruptBody(50_000)).await;
    Whole::of(&scene.world, &scene.bucket)
        .failed(&key(4), "ChecksumMismatch")
        .check()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_throttles_is_asked_again() {
    let throttled = |tries| {
        if tries <= 3 {
            Fault::Throttle
        } else {
            Fault::Forward
        }
    };
    let scene = with_faults_of_a_source_object(throttled).await;
    assert_whole(&scene.world, &scene.bucket).await;
    assert_eq!(gets_of(&scene, &key(4)).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_object_replaced_while_it_is_read_is_archived_as_it_is_then_or_is_a_dead_letter() {
    for (replaced, fails) in [(1, false), (u64::MAX, true)] {
        let scene = Proxied::of_groups(1).await;
        let (s3, tries) = (scene.world.s3.clone(), Tries::default());
        let replacements = AtomicU64::new(0);
        scene.proxy.rule(move |seen| {
            if tries.of(seen, &key(4)).is_none() {
                return Fault::Forward;
            }
            if !seen.headers.contains_key("range") {
                return Fault::TruncateBody(10_000);
            }
            let n = replacements.fetch_add(1, Ordering::SeqCst);
            if n < replaced {
                let body = Bytes::from(vec![u8::try_from(n).unwrap(); 100_000]);
                let replaced = seen.key();
                let put = client::put_object(&s3, SOURCE, &replaced, body);
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(put))
                    .unwrap();
            }
            Fault::Forward
        });
        let done = scene.run().await;
        assert_eq!(done.code, Some(0), "{done}");
        let whole = Whole::of(&scene.world, &scene.bucket);
        if fails {
            whole.failed(&key(4), "Changed").check().await;
        } else {
            whole.check().await;
        }
    }
}

/// GETs of source objects that wait for each other, so that as many are under way together as the
/// program lets be, however slowly it starts them.
struct Turnstile {
    /// Their number in all.
    objects: u64,
    /// After that long without another one none is expected before some are let go. Too short a
    /// time, or a machine that stands still, can only make the peak lower.
    quiet: Duration,
    arrived: u64,
    last: Instant,
    /// How many of those that arrived may go.
    released: u64,
    over: u64,
    /// The most that were under way together, once the first ones are over.
    peak: u64,
}

impl Turnstile {
    /// What a program starts with: so many are let go without waiting for more.
    const ENOUGH: u64 = 8;

    fn of(objects: u64, quiet: Duration) -> Self {
        Self {
            objects,
            quiet,
            arrived: 0,
            last: Instant::now(),
            released: 0,
            over: 0,
            peak: 0,
        }
    }

    /// Gives the number of the one that arrives.
    fn arrive(&mut self) -> u64 {
        self.arrived += 1;
        self.last = Instant::now();
        if self.over >= Self::ENOUGH {
            self.peak = self.peak.max(self.arrived - self.over);
        }
        self.arrived
    }

    fn may_go(&mut self, number: u64) -> bool {
        let together = self.arrived - self.released >= Self::ENOUGH;
        if together || self.arrived >= self.objects || self.last.elapsed() > self.quiet {
            self.released = self.arrived;
        }
        number <= self.released
    }
}

/// The GETs in flight that a run comes to, if its first `throttled` ones are throttled.
async fn concurrency(throttled: u64) -> u64 {
    const OBJECTS: usize = 20;
    let mut world =
        World::of_objects((0..OBJECTS).map(|n| (key(n), Bytes::from(vec![1; 1000])))).await;
    world.group_rows = OBJECTS;
    let scene = Proxied::of(world).await;
    // Where nothing is throttled there are always enough.
    let quiet = Duration::from_secs(if throttled > 0 { 2 } else { 60 });
    let turnstile = Arc::new(Mutex::new(Turnstile::of(OBJECTS as u64, quiet)));
    let (shared, refused) = (Arc::clone(&turnstile), AtomicU64::new(0));
    scene.proxy.rule(move |seen| {
        if !gets_source(seen) {
            return Fault::Forward;
        }
        if refused.fetch_add(1, Ordering::SeqCst) < throttled {
            return Fault::Throttle;
        }
        let number = shared.lock().unwrap().arrive();
        tokio::task::block_in_place(|| {
            while !shared.lock().unwrap().may_go(number) {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Fault::Forward
    });
    let shared = Arc::clone(&turnstile);
    scene.proxy.after_response(move |seen, _| {
        if gets_source(seen) {
            shared.lock().unwrap().over += 1;
        }
    });
    scene.run_whole().await;
    turnstile.lock().unwrap().peak
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_lowers_the_number_of_gets_in_flight() {
    let (calm, throttled) = tokio::join!(concurrency(0), concurrency(8));
    assert!(calm >= Turnstile::ENOUGH, "{calm}");
    assert!(
        (1..calm - 1).contains(&throttled),
        "{throttled} in flight after throttling, {calm} without"
    );
}
