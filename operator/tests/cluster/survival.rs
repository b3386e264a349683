//! Pods that go in the middle of their work, and an operator that does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams, ListParams};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use s3bundler_testbed::cli::kill_and_wait;
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation};
use serde_json::json;
use tokio::time::timeout;

use super::asked;
use super::patience::{PATIENCE, Patience, eventually};
use super::scene::{RELEASE, Scene};
use super::team::{FAILING, Team, object_key, told};

/// Pods to kill.
const KILLS: usize = 20;
const GROUPS: i64 = 60;
/// Workers that a drain evicts, each with a group.
const DRAINED_WORKERS: usize = 4;
const DRAINED_GROUPS: usize = 40;
/// How long they may go on with it.
const DRAIN: Duration = Duration::from_secs(5);
/// What a container exits with that the kubelet killed after its grace period: 128 + SIGKILL.
const KILLED: i32 = 137;
/// Longer than a group takes: if nothing is committed meanwhile, no worker has a group.
const QUIET: Duration = Duration::from_secs(15);

pub async fn a_run_survives_the_killing_of_its_pods(scene: &Scene) {
    let team = scene.team("killed").await;
    let manifest = team.inventory(120).await;
    // Long enough for a worker to be seen with a group: only those are killed. After the first third
    // there is always a group left, however long the kills take.
    team.rule("source", |seen| {
        if seen.key() < object_key(40) {
            Fault::Delay(Duration::from_secs(2))
        } else {
            FAILING
        }
    });
    let spec = json!({"group": {"maxObjects": 2}, "workers": {"scaling": {"minReplicas": 3, "maxReplicas": 3}}});
    team.apply(&team.archive_run("logs", &manifest, spec)).await;
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), &team.name);
    let workers = ListParams::default().labels("app.kubernetes.io/component=worker");
    let (mut killed, begun) = (0, Instant::now());
    let mut patience = Patience::default();
    while killed < KILLS {
        patience.wait(killed, "not all workers are killed").await;
        let running = asked::api(|| pods.list(&workers))
            .await
            .unwrap()
            .items
            .into_iter()
            .filter(is_ready);
        for pod in running.take(KILLS - killed) {
            // Every other one has no time to give anything back.
            let grace = if killed % 2 == 0 { 0 } else { 30 };
            let params = DeleteParams {
                grace_period_seconds: Some(grace),
                ..DeleteParams::default()
            };
            let name = pod.name_any();
            if asked::api(|| pods.delete(&name, &params)).await.is_ok() {
                killed += 1;
            }
        }
    }
    team.heal();
    println!(
        "{killed} pods were killed in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let mut patience = Patience::default();
    let mut progress = (0, Instant::now());
    loop {
        let status = team.status("logs").await;
        let committed = status.groups.as_ref().map_or(0, |groups| groups.committed);
        if committed > progress.0 {
            progress = (committed, Instant::now());
        } else if committed < GROUPS && progress.1.elapsed() > QUIET {
            // Workers that were killed without grace did not release their messages. SQS shows
            // those again after 5 minutes, which the test does not wait for.
            team.end_visibility().await;
            progress.1 = Instant::now();
        }
        if told(&status, "Complete") == Some(("True", "Complete")) {
            assert_eq!(status.objects.unwrap().archived, 120);
            assert_eq!(status.groups.unwrap().committed, GROUPS);
            break;
        }
        patience.wait(status, "not complete").await;
    }
    println!(
        "and it was complete after {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    team.assert_verified("logs").await;
}

/// A node drain evicts all workers of the node. Of some groups the rest takes longer than workers may
/// go on for.
pub async fn workers_of_a_drained_node_end_in_time_and_no_group_is_redone_twice(scene: &Scene) {
    let team = scene.team("drained").await;
    let manifest = team.inventory(2 * DRAINED_GROUPS).await;
    team.rule("source", |seen| {
        let key = seen.key();
        let is_slow = (0..DRAINED_GROUPS)
            .step_by(3)
            .any(|group| [2 * group, 2 * group + 1].map(object_key).contains(&key));
        Fault::Delay(if is_slow { DRAIN * 2 } else { DRAIN / 2 })
    });
    let reads: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let counted = Arc::clone(&reads);
    team.rule("archive", move |seen| {
        // A worker that starts may look at the first row of one.
        let is_whole = !seen.headers.contains_key("range");
        let is_read = seen.operation == Operation::GetObject && is_whole;
        if is_read && seen.key().starts_with("arch/groups/") {
            *counted.lock().unwrap().entry(seen.key()).or_default() += 1;
        }
        Fault::Forward
    });
    let scaling = json!({"minReplicas": DRAINED_WORKERS, "maxReplicas": DRAINED_WORKERS});
    let workers = json!({"scaling": scaling, "drainSeconds": DRAIN.as_secs()});
    let spec = json!({"group": {"maxObjects": 2}, "workers": workers});
    team.apply(&team.archive_run("logs", &manifest, spec)).await;

    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), &team.name);
    let workers = ListParams::default().labels("app.kubernetes.io/component=worker");
    let busy = eventually("not all workers are busy", async || {
        let found = asked::api(|| pods.list(&workers)).await.unwrap().items;
        let busy: Vec<_> = found.into_iter().filter(is_ready).collect();
        (busy.len() == DRAINED_WORKERS).then_some(busy)
    })
    .await;
    assert_eq!(
        team.names("poddisruptionbudgets").await,
        Vec::<String>::new(),
        "nothing holds up a drain"
    );
    let config = watcher::Config::default().labels("app.kubernetes.io/component=worker");
    let mut events = pin!(watcher(pods.clone(), config).default_backoff());
    while !matches!(events.next().await, Some(Ok(Event::InitDone))) {}
    let begun = Instant::now();
    let evict = EvictParams::default();
    for pod in &busy {
        let name = pod.name_any();
        asked::api(|| pods.evict(&name, &evict)).await.unwrap();
    }
    let mut left: BTreeSet<_> = busy.iter().filter_map(kube::ResourceExt::uid).collect();
    while !left.is_empty() {
        let event = timeout(PATIENCE, events.next()).await;
        let event = event.expect("evicted workers are still there");
        if let Some(Ok(Event::Delete(pod))) = event
            && left.remove(&pod.uid().unwrap())
        {
            let code = exit_code(&pod);
            assert!(
                code.is_some_and(|code| code != KILLED),
                "{} ends within its grace period: {code:?}",
                pod.name_any()
            );
        }
    }
    println!(
        "drained/logs: {DRAINED_WORKERS} workers were gone after {:.1} s",
        begun.elapsed().as_secs_f64()
    );

    team.heal();
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    let archived = usize::try_from(status.objects.unwrap().archived);
    assert_eq!(archived, Ok(2 * DRAINED_GROUPS));
    team.assert_verified("logs").await;
    let reads = reads.lock().unwrap();
    assert_eq!(reads.len(), DRAINED_GROUPS, "{reads:?}");
    assert!(
        reads.values().any(|times| *times == 2),
        "some group was not finished in the drain: {reads:?}"
    );
    assert!(
        reads.values().all(|times| *times <= 2),
        "a group is done, and done again at most once: {reads:?}"
    );
}

/// What the container of a pod exited with.
fn exit_code(pod: &Pod) -> Option<i32> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let state = containers.first()?.state.as_ref()?;
    Some(state.terminated.as_ref()?.exit_code)
}

/// Whether a pod is ready and stays: a worker is ready if it has a group.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().map(|status| &status.conditions);
    let mut conditions = conditions.into_iter().flatten().flatten();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.any(|it| it.type_ == "Ready" && it.status == "True")
}

/// Every run is in another phase when an operator goes: with leave, and twice without.
pub async fn runs_in_every_phase_outlive_the_operators_that_work_on_them(scene: &Scene) {
    let operator = "deployment/s3bundler-operator";
    scene
        .kubectl(&["scale", operator, "-n", RELEASE, "--replicas=2"])
        .await
        .unwrap();
    let [bundling, resting, retrying, pending, grouping] =
        ["bundling", "resting", "retrying", "pending", "grouping"]
            .map(|phase| format!("outlives-{phase}"));
    let (bundling, resting) = (scene.team(&bundling).await, scene.team(&resting).await);
    let (retrying, pending) = (scene.team(&retrying).await, scene.team(&pending).await);
    let grouping = scene.team(&grouping).await;
    let emptied = scene.team("outlives-emptied").await;

    let manifest = bundling.inventory(80).await;
    bundling
        .apply(&bundling.archive_run("logs", &manifest, json!({})))
        .await;
    let manifest = resting.inventory(40).await;
    resting
        .apply(&resting.archive_run("logs", &manifest, json!({})))
        .await;
    let manifest = pending.inventory(20).await;
    let (bucket, checksum) = (
        pending.bucket("inventory"),
        checksum_of(&pending, &manifest),
    );
    let hidden = client::get_bytes(&scene.s3, &bucket, &checksum)
        .await
        .unwrap();
    scene
        .s3
        .delete_object()
        .bucket(&bucket)
        .key(&checksum)
        .send()
        .await
        .unwrap();
    pending
        .apply(&pending.archive_run("logs", &manifest, json!({})))
        .await;
    // One object fails for as long as it is tried the first time.
    let manifest = retrying.inventory(20).await;
    let is_retried = Arc::new(AtomicBool::new(false));
    let retried = Arc::clone(&is_retried);
    retrying.rule("source", move |seen| {
        let fails = seen.key() == "logs/00003.json" && !retried.load(Ordering::Relaxed);
        if fails { FAILING } else { Fault::Forward }
    });
    retrying
        .apply(&retrying.archive_run("logs", &manifest, json!({})))
        .await;
    let manifest = emptied.inventory(240).await;
    // All groups but the first, so that some have no receipt when their messages are lost.
    emptied.fail_from(10);
    emptied
        .apply(&emptied.archive_run("logs", &manifest, json!({})))
        .await;
    let manifest = grouping.inventory(60).await;

    for team in [&bundling, &resting, &emptied] {
        team.archiving("logs").await;
    }
    emptied.grouped("logs").await;
    for team in [&resting, &emptied] {
        team.patch("logs", json!({"spec": {"suspend": true}})).await;
    }
    emptied
        .condition("logs", "Suspended", "True", "Suspended")
        .await;
    emptied.lose_messages().await;
    emptied.heal();
    let first = another_operator(scene, End::Asked).await;
    grouping
        .apply(&grouping.archive_run("logs", &manifest, json!({})))
        .await;
    for team in [&resting, &emptied] {
        team.patch("logs", json!({"spec": {"suspend": false}}))
            .await;
    }
    // The operator that saw the queue empty then is not the one that misses the messages.
    emptied
        .condition("logs", "Suspended", "False", "NotSuspended")
        .await;
    let second = another_operator(scene, End::PowerCut).await;
    assert_ne!(first, second);
    client::put_object(&scene.s3, &bucket, &checksum, hidden)
        .await
        .unwrap();
    retrying
        .until("logs", "tried again", |status| status.pass() > 0)
        .await;
    is_retried.store(true, Ordering::Relaxed);
    another_operator(scene, End::PowerCut).await;
    emptied.event("logs", "MessagesLost").await;
    emptied
        .condition("logs", "Complete", "True", "Complete")
        .await;
    emptied.assert_verified("logs").await;

    for (team, objects, groups) in [
        (&bundling, 80, 8),
        (&resting, 40, 4),
        (&retrying, 20, 2),
        (&pending, 20, 2),
        (&grouping, 60, 6),
    ] {
        let status = team.condition("logs", "Complete", "True", "Complete").await;
        assert_eq!(status.objects.unwrap().archived, objects, "{}", team.name);
        team.assert_verified("logs").await;
        let passes = status.pass();
        // A pass has one group. Only the one that could read its object has an archive.
        let (archives, groups) = (groups + passes.min(1), groups + passes);
        for (prefix, kind, expected) in [
            ("arch/archives/", ".tar", archives),
            ("arch/receipts/", "", groups),
            ("arch/catalog/", ".parquet", groups),
        ] {
            let keys = client::list_keys(&scene.s3, &team.bucket("archive"), prefix)
                .await
                .unwrap();
            let found = keys.iter().filter(|key| key.ends_with(kind)).count();
            assert_eq!(
                u32::try_from(found),
                Ok(expected),
                "{}: one for each group: {keys:#?}",
                team.name
            );
        }
    }
}

fn checksum_of(team: &Team<'_>, manifest: &str) -> String {
    let key = manifest
        .strip_prefix(&format!("s3://{}/", team.bucket("inventory")))
        .unwrap();
    key.replace("manifest.json", "manifest.checksum")
}

/// Ends the operator that works, once another is ready, and waits for that one; returns the name of
/// the one that ended.
async fn another_operator(scene: &Scene, end: End) -> String {
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), RELEASE);
    let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
    let holder = async || {
        let lease = [
            "get",
            "lease",
            "s3bundler-operator",
            "-n",
            RELEASE,
            "-o",
            "jsonpath={.spec.holderIdentity}",
        ];
        scene.kubectl(&lease).await.unwrap()
    };
    // Between the two the Lease may go to another, or the process end.
    let before = eventually(
        "no two operators are ready, of which one works",
        async || {
            let ready = asked::api(|| pods.list(&operators)).await.unwrap();
            let ready: Vec<_> = ready.into_iter().filter(is_ready).collect();
            let holder = holder().await;
            let pod = ready.iter().find(|pod| pod.name_any() == holder)?;
            let is_ended = ready.len() > 1 && (matches!(end, End::Asked) || kill(&pod.uid()?));
            is_ended.then_some(holder)
        },
    )
    .await;
    let grace = match end {
        End::Asked => 30,
        End::PowerCut => 0,
    };
    let params = DeleteParams {
        grace_period_seconds: Some(grace),
        ..DeleteParams::default()
    };
    match asked::api(|| pods.delete(&before, &params)).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        deleted => drop(deleted.unwrap()),
    }
    let begun = Instant::now();
    while [before.as_str(), ""].contains(&holder().await.as_str()) {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "nobody took the lease of {before}"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    println!(
        "{end:?}: the lease was taken by another operator after {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    before
}

#[derive(Debug, Clone, Copy)]
enum End {
    /// It finishes what it does and gives its lease back.
    Asked,
    /// It does not even know. A pod that is deleted without grace still is asked, and has two
    /// seconds.
    PowerCut,
}

/// Kills the operator in a pod, which the control groups of its processes are named after. Returns
/// whether it was there.
fn kill(uid: &str) -> bool {
    let processes = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|it| it.unwrap().file_name().to_str()?.parse().ok());
    let read = |process: u32, file: &str| {
        fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default()
    };
    let is_it = |process: &u32| {
        read(*process, "cgroup").contains(uid) && read(*process, "comm").starts_with("s3bundler")
    };
    let found: Vec<u32> = processes.filter(is_it).collect();
    assert!(found.len() < 2, "{found:?} are in pod {uid}");
    found.first().is_some_and(|it| kill_and_wait(*it).is_ok())
}
