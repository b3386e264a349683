//! `s3bundler run` ended at every moment that can be told apart from outside, by a signal or by
//! kill -9, and run again: the second run ends with everything archived exactly once and nothing
//! left over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::world::{Freezer, Victim, World, assert_whole, puts, until};
use futures_util::{StreamExt as _, stream};
use s3bundler_testbed::cli::{Outcome, Running, Signal};
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};

/// Runs side by side in a sweep.
const LANES: usize = 2;
/// Time for the parts of a program that were told to end to notice, before the program gets the
/// answer it waits for.
const TELLING: Duration = Duration::from_millis(40);

/// On which side of the server a request is when the program is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The server never sees it.
    Before,
    /// The server has answered it; the program never sees the answer.
    After,
}

/// Requests of one whole run, to end the next ones at.
async fn requests_of_a_run(world: &World) -> u64 {
    let bucket = world.destination("undisturbed").await;
    let proxy = Proxy::start(world.access()).unwrap();
    let done = world
        .program(&bucket)
        .access(proxy.access())
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(world, &bucket).await;
    proxy.requests()
}

/// A run that is killed at its kth request.
async fn killed(world: &World, bucket: &str, side: Side, k: u64) -> Outcome {
    let proxy = Proxy::start(world.access()).unwrap();
    let victim = Victim::default();
    let target = victim.clone();
    match side {
        Side::Before => proxy.rule(move |seen| {
            if seen.number == k {
                target.kill();
                return Fault::DropBefore;
            }
            Fault::Forward
        }),
        Side::After => proxy.after_response(move |seen, _| {
            if seen.number == k {
                target.kill();
            }
        }),
    }
    victim
        .spawn(world.program(bucket).access(proxy.access()))
        .wait()
        .await
        .unwrap()
}

/// Kills a run at every request it makes, and runs again each time.
async fn kill_at_every_request(world: &World, side: Side) {
    let requests = requests_of_a_run(world).await;
    stream::iter(1..=requests)
        .map(|k| async move {
            let bucket = world.destination(&format!("killed-at-{k}")).await;
            let ended = killed(world, &bucket, side, k).await;
            // Requests run side by side, so another run may make fewer.
            assert!(
                ended.signal == Some(9) || ended.code == Some(0),
                "{bucket}: {ended}"
            );
            assert_eq!(world.scratch_files(), [""; 0], "{bucket}: {ended}");
            world.run(&bucket).await;
            assert_whole(world, &bucket).await;
        })
        .buffer_unordered(LANES)
        .collect::<()>()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_any_request_of_one_group() {
    kill_at_every_request(&World::of_groups(1).await, Side::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_request_of_one_group() {
    kill_at_every_request(&World::of_groups(1).await, Side::After).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_any_request_of_two_groups() {
    kill_at_every_request(&World::of_groups(2).await, Side::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_request_of_two_groups() {
    kill_at_every_request(&World::of_groups(2).await, Side::After).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_request_of_a_group_with_copies() {
    let mut world = World::of_groups(1).await;
    world.max_object_size = Some(600);
    kill_at_every_request(&world, Side::After).await;
}

/// A run that is frozen with its first part on the way, and what thaws it.
async fn frozen_while_uploading(world: &World, bucket: &str) -> (Running, Freezer, Proxy) {
    let bucket = world.destination(bucket).await;
    let proxy = Proxy::start(world.access()).unwrap();
    let victim = Victim::default();
    let freezer = Freezer::of(&victim);
    let freezing = freezer.clone();
    proxy.on_request(move |seen| {
        if seen.operation == Operation::UploadPart {
            freezing.freeze();
        }
    });
    let running = victim.spawn(world.program(&bucket).access(proxy.access()));
    freezer.frozen().await;
    (running, freezer, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_no_file_in_scratch_and_a_living_one_beside_it_keeps_its_own() {
    let world = &World::of_groups(1).await;
    let (living, freezer, _proxy) = frozen_while_uploading(world, "living").await;
    let (killed, _, _) = frozen_while_uploading(world, "killed").await;
    for running in [&living, &killed] {
        // The group's manifest and its unfinished catalog.
        assert!(
            world.nameless_in_scratch(running.pid()) >= 2,
            "{}",
            running.stderr()
        );
    }
    assert_eq!(world.scratch_files(), [""; 0]);
    killed.signal(Signal::Kill).unwrap();
    assert_eq!(killed.wait().await.unwrap().signal, Some(9));
    assert_eq!(world.scratch_files(), [""; 0]);

    world.run("killed").await;
    assert_whole(world, "killed").await;
    freezer.thaw();
    let done = living.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(world, "living").await;
    assert_eq!(world.scratch_files(), [""; 0]);
}

/// A run that gets a signal at its kth request, with the request under way, and the number of its
/// requests.
async fn signalled(
    world: &World,
    bucket: &str,
    signal: Signal,
    side: Side,
    k: u64,
) -> (Outcome, u64) {
    let proxy = Proxy::start(world.access()).unwrap();
    let victim = Victim::default();
    let target = victim.clone();
    match side {
        Side::Before => proxy.rule(move |seen| {
            if seen.number == k {
                target.tell(signal);
                return Fault::Delay(TELLING);
            }
            Fault::Forward
        }),
        Side::After => proxy.after_response(move |seen, _| {
            if seen.number == k {
                target.tell(signal);
                std::thread::sleep(TELLING);
            }
        }),
    }
    let running = victim.spawn(world.program(bucket).access(proxy.access()));
    let ended = running.wait().await.unwrap();
    (ended, proxy.requests())
}

/// Tells a run to end at every request it makes: no upload is left open, and the next run does the
/// rest.
async fn end_at_every_request(signal: Signal, code: i32, side: Side) {
    let world = &World::of_groups(1).await;
    let requests = requests_of_a_run(world).await;
    stream::iter(1..=requests)
        .map(|k| async move {
            let bucket = world.destination(&format!("ended-at-{k}")).await;
            let (ended, made) = signalled(world, &bucket, signal, side, k).await;
            // Once all is done there is nothing left to end but the counting of receipts. Requests
            // run side by side, so this run may have made fewer than the first.
            assert!(
                ended.code == Some(code) || ended.code == Some(0) && k + 1 >= made,
                "{bucket}: {made} requests: {ended}"
            );
            assert_eq!(world.open_uploads(&bucket).await, [], "{bucket}: {ended}");
            world.run(&bucket).await;
            assert_whole(world, &bucket).await;
        })
        .buffer_unordered(LANES)
        .collect::<()>()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminated_before_any_request() {
    end_at_every_request(Signal::Terminate, 143, Side::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_after_any_request() {
    end_at_every_request(Signal::Interrupt, 130, Side::After).await;
}

/// Ends a run of four groups, one at a time, after `groups` of them: while the next one is
/// uploaded.
async fn ended_after_groups(signal: Signal, code: Option<i32>) {
    let world = &World::of_groups(4).await;
    for groups in [0, 1, 2, 3] {
        let bucket = world.destination(&format!("ended-after-{groups}")).await;
        let proxy = Proxy::start(world.access()).unwrap();
        let (victim, receipts) = (Victim::default(), Arc::new(AtomicU64::new(0)));
        let (target, counted) = (victim.clone(), Arc::clone(&receipts));
        proxy.after_response(move |seen, _| {
            counted.fetch_add(u64::from(puts(seen, "receipts")), Ordering::SeqCst);
        });
        let counted = Arc::clone(&receipts);
        proxy.rule(move |seen| {
            if seen.operation != Operation::UploadPart || counted.load(Ordering::SeqCst) != groups {
                return Fault::Forward;
            }
            target.signal(signal);
            Fault::Hang
        });
        let program = world
            .program(&bucket)
            .access(proxy.access())
            .args(["--groups", "1"]);
        let ended = victim.spawn(program).wait().await.unwrap();
        assert_eq!(
            (ended.code, ended.signal.is_some()),
            (code, code.is_none()),
            "{bucket}: {ended}"
        );
        assert_eq!(
            world.keys_of(&bucket, "receipts").await.len() as u64,
            groups,
            "{bucket}: {ended}"
        );
        let open = world.open_uploads(&bucket).await;
        assert_eq!(
            open.len(),
            usize::from(code.is_none()),
            "{bucket}: {open:?}"
        );
        world.run(&bucket).await;
        assert_whole(world, &bucket).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_after_none_one_half_and_all_but_one_of_its_groups() {
    ended_after_groups(Signal::Interrupt, Some(130)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminated_after_none_one_half_and_all_but_one_of_its_groups() {
    ended_after_groups(Signal::Terminate, Some(143)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_none_one_half_and_all_but_one_of_its_groups() {
    ended_after_groups(Signal::Kill, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_with_two_groups_under_way() {
    let world = &World::of_groups(4).await;
    for (signal, code) in [(Signal::Interrupt, 130), (Signal::Terminate, 143)] {
        let bucket = world.destination(&format!("ended-with-{code}")).await;
        let proxy = Proxy::start(world.access()).unwrap();
        let victim = Victim::default();
        let target = victim.clone();
        proxy.rule(move |seen| {
            if seen.operation != Operation::UploadPart {
                return Fault::Forward;
            }
            if seen.nth == 2 {
                target.signal(signal);
            }
            Fault::Hang
        });
        let ended = victim
            .spawn(world.program(&bucket).access(proxy.access()))
            .wait()
            .await
            .unwrap();
        assert_eq!(ended.code, Some(code), "{bucket}: {ended}");
        assert_eq!(
            proxy.count(Operation::AbortMultipartUpload),
            2,
            "{bucket}: {ended}"
        );
        assert_eq!(world.open_uploads(&bucket).await, [], "{bucket}: {ended}");
        world.run(&bucket).await;
        assert_whole(world, &bucket).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let world = &World::of_groups(1).await;
    let bucket = world.destination("twice").await;
    let proxy = Proxy::start(world.access()).unwrap();
    // Nothing of S3 answers any more, the abort included.
    proxy.rule(|seen| {
        if seen.operation == Operation::UploadPart {
            Fault::Hang
        } else {
            Fault::Forward
        }
    });
    let running = world
        .program(&bucket)
        .access(proxy.access())
        .spawn()
        .unwrap();
    until(async || proxy.count(Operation::UploadPart) > 0).await;
    proxy.rule(|_| Fault::Hang);
    running.signal(Signal::Terminate).unwrap();
    until(async || proxy.count(Operation::AbortMultipartUpload) > 0).await;
    running.signal(Signal::Interrupt).unwrap();
    // Of the first signal it would be 143.
    let ended = running.wait().await.unwrap();
    assert_eq!(ended.code, Some(130), "{ended}");
    world.run(&bucket).await;
    assert_whole(world, &bucket).await;
}

/// A run killed while it uploads, a second one killed at the nth request after its commit, a third
/// one.
async fn killed_twice(world: &World, n: u64) {
    let bucket = world.destination(&format!("killed-twice-{n}")).await;
    let proxy = Proxy::start(world.access()).unwrap();
    let victim = Victim::default();
    let target = victim.clone();
    proxy.rule(move |seen| {
        if seen.operation == Operation::CompleteMultipartUpload {
            target.kill();
            return Fault::DropBefore;
        }
        Fault::Forward
    });
    let ended = victim
        .spawn(world.program(&bucket).access(proxy.access()))
        .wait()
        .await
        .unwrap();
    assert_eq!(ended.signal, Some(9), "{bucket}: {ended}");
    assert_eq!(world.open_uploads(&bucket).await.len(), 1, "{bucket}");

    let proxy = Proxy::start(world.access()).unwrap();
    let victim = Victim::default();
    let (target, since_commit) = (victim.clone(), AtomicU64::new(0));
    proxy.after_response(move |seen, _| {
        let committed = puts(seen, "catalog") || since_commit.load(Ordering::SeqCst) > 0;
        if committed && since_commit.fetch_add(1, Ordering::SeqCst) == n {
            target.kill();
        }
    });
    let ended = victim
        .spawn(world.program(&bucket).access(proxy.access()))
        .wait()
        .await
        .unwrap();
    assert!(
        ended.signal == Some(9) || ended.code == Some(0),
        "{bucket}: {ended}"
    );
    world.run(&bucket).await;
    assert_whole(world, &bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_uploading_and_again_after_the_commit_of_the_next_run() {
    let world = &World::of_groups(1).await;
    // Catalog twice, index, dead letters, receipt, two listings, an abort, the receipts.
    stream::iter(0..9)
        .map(|n| killed_twice(world, n))
        .buffer_unordered(LANES)
        .collect::<()>()
        .await;
}
