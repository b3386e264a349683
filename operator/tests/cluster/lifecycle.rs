//! From `kubectl apply` to the end, and whatever a user does to a run in between.

use std::time::{Duration, Instant, SystemTime};

use futures_util::{StreamExt as _, stream};
use s3bundler_testbed::client;
use s3bundler_testbed::metrics::{documented, exposed};
use s3bundler_testbed::proxy::Fault;
use serde_json::json;

use super::asked;
use super::patience::{PATIENCE, Patience};
use super::scene::{RELEASE, Scene};
use super::team::{FAILING, SHOWN, Team, message, told};

pub async fn a_run_goes_all_the_way(scene: &Scene) {
    let team = scene.team("whole").await;
    let manifest = team.inventory(95).await;
    // Otherwise it may complete between two polls of the operator.
    team.fail_from(94);
    let begun = Instant::now();
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    team.archiving("logs").await;
    println!(
        "kubectl apply to the first archive in the status: {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    // Until there is a receipt, most of the time is the kubelet's.
    let taken = first_receipt(&team).await.elapsed().unwrap();
    assert!(taken < SHOWN, "in the status after {taken:?}");
    // The group that fails may have ended its first pass.
    let working = ["Bundling", "Retrying"];
    let is_working = |it: &_| told(it, "Ready").is_some_and(|(_, it)| working.contains(&it));
    let status = team.until("logs", "bundling", is_working).await;
    let phase = told(&status, "Ready").unwrap().1.to_owned();
    team.heal();
    let status = team.condition("logs", "Complete", "True", "Complete").await;

    let (groups, objects) = (status.groups.unwrap(), status.objects.unwrap());
    assert_eq!(
        (groups.total, groups.committed, groups.dead_lettered),
        (Some(10), 10, 0)
    );
    assert_eq!(
        (
            objects.total,
            objects.archived,
            objects.copied,
            objects.failed
        ),
        (Some(95), 95, 0, 0)
    );
    assert_eq!(
        status.bytes.unwrap().total,
        Some(status.bytes.unwrap().archived)
    );
    assert_eq!(status.progress.as_deref(), Some("10/10"));
    assert_eq!(told(&status, "Ready"), Some(("True", "Complete")));
    assert_eq!(told(&status, "Grouped"), Some(("True", "AllGroupsMade")));
    assert_eq!(
        (
            told(&status, "Failed").unwrap().0,
            told(&status, "Stalled").unwrap().0
        ),
        ("False", "False")
    );
    assert!(status.completion_time.is_some() && status.start_time.is_some());
    assert!(status.acknowledged_at.is_some(), "{status:?}");
    team.assert_verified("logs").await;

    // Nothing is left but the archives.
    team.condition("logs", "QueueReady", "False", "Deleted")
        .await;
    assert!(team.queues().await.is_empty());
    // Nor does it keep its namespace from going when the operator is gone.
    team.without_finalizer("logs").await;
    team.cleared(&["deployments", "poddisruptionbudgets", "pods", "jobs"])
        .await;
    let shown = scene.kubectl(&["get", "ar", "-n", "whole"]).await.unwrap();
    assert!(
        shown.contains("Complete") && shown.contains("10/10"),
        "{shown}"
    );
    let described = scene
        .kubectl(&["describe", "ar", "logs", "-n", "whole"])
        .await
        .unwrap();
    for event in ["Made", "AllGroupsMade", &phase, "Complete"] {
        assert!(described.contains(event), "{event}\n{described}");
    }
    scene
        .kubectl(&[
            "wait",
            "--for=condition=Complete",
            "ar/logs",
            "-n",
            "whole",
            "--timeout=60s",
        ])
        .await
        .unwrap();
    let metrics = scene.operators_metrics().await;
    for figure in [
        "s3bundler_leader 1",
        r#"s3bundler_groups_committed{namespace="whole",run="logs"} 10"#,
    ] {
        assert!(
            metrics.lines().any(|line| line == figure),
            "{figure}\n{metrics}"
        );
    }
    let documented = documented("operator");
    for (name, metric) in exposed(&metrics) {
        assert_eq!(
            documented.get(&name),
            Some(&metric),
            "{name} in docs/metrics.md"
        );
    }
}

/// The cluster of the testbed has no DNS: the pod asks the address of the operator's pod instead of
/// its Service.
pub async fn the_pod_of_helm_test_says_that_the_operator_is_ready(scene: &Scene) {
    let hooks = ["get", "hooks", "s3bundler", "--namespace", RELEASE];
    let hooks = scene.cluster.helm(hooks).await.unwrap();
    let operator = [
        "get",
        "pods",
        "-n",
        RELEASE,
        "-l",
        "app.kubernetes.io/component=operator",
        "-o",
        "jsonpath={.items[0].status.podIP}",
    ];
    let address = scene.kubectl(&operator).await.unwrap();
    let service = format!("s3bundler-operator-metrics.{RELEASE}.svc");
    assert!(hooks.contains(&service), "{hooks}");
    let pod = hooks.replace(&service, &address);
    asked::kubectl(|| scene.cluster.apply(&pod)).await.unwrap();
    scene
        .kubectl(&[
            "wait",
            "pod/s3bundler-operator-test",
            "-n",
            RELEASE,
            "--for=jsonpath={.status.phase}=Succeeded",
            "--timeout=120s",
        ])
        .await
        .unwrap();
    let logs = ["logs", "s3bundler-operator-test", "-n", RELEASE];
    let said = scene.kubectl(&logs).await.unwrap();
    assert!(said.contains("is ready"), "{said}");
}

/// When the first receipt of a run was written.
async fn first_receipt(team: &Team<'_>) -> SystemTime {
    let list = team.scene.s3.list_objects_v2();
    let list = list
        .bucket(team.bucket("archive"))
        .prefix("arch/receipts/logs/");
    let listed = list.send().await.unwrap();
    let written = listed.contents().iter().filter_map(|it| it.last_modified);
    written.min().unwrap().try_into().unwrap()
}

pub async fn a_run_takes_what_its_spec_says_and_writes_it_so(scene: &Scene) {
    let team = scene.team("said").await;
    // The n-th is of 17 + n bytes, from the tenth on of one more.
    let manifest = team.inventory(40).await;
    let spec = json!({
        "source": {
            "includePrefixes": ["logs/"], "excludePrefixes": ["logs/0000"], "storageClasses": ["STANDARD"],
            "modifiedBefore": "2100-01-01T00:00:00Z", "minSize": "30", "maxSize": "1Ki",
        },
        "destination": {
            "storageClass": "STANDARD_IA", "encryption": {"type": "SSES3"}, "tags": {"team": "a=b c"}, "keyLayout": "Plain",
        },
        "group": {"maxObjects": 10, "maxSize": "1Mi"},
        "archive": {"format": "TarGzip", "maxObjectSize": "50"},
        "workers": {"recycleAfterGroups": 1},
    });
    team.apply(&team.archive_run("logs", &manifest, spec)).await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    let (objects, bytes) = (status.objects.unwrap(), status.bytes.unwrap());
    let size = |n: u64| 18 + n;
    let (archived, copied): (Vec<_>, Vec<_>) = (10..40)
        .map(size)
        .filter(|size| *size >= 30)
        .partition(|size| *size <= 50);
    let count = |sizes: &[u64]| i64::try_from(sizes.len()).unwrap();
    let sum = |sizes: &[u64]| i64::try_from(sizes.iter().sum::<u64>()).unwrap();
    assert_eq!(
        (objects.total, objects.left_out, objects.failed),
        (Some(40), 40 - count(&archived) - count(&copied), 0)
    );
    assert_eq!(
        (objects.archived, objects.copied),
        (count(&archived), count(&copied))
    );
    assert_eq!(
        (bytes.archived, bytes.copied),
        (sum(&archived), sum(&copied))
    );
    assert_eq!(bytes.total, Some(sum(&archived) + sum(&copied)));
    team.assert_verified("logs").await;

    let bucket = team.bucket("archive");
    let archives = client::list_keys(&scene.s3, &bucket, "arch/archives/")
        .await
        .unwrap();
    let archive = archives
        .iter()
        .find(|key| key.ends_with(".tar.gz"))
        .unwrap_or_else(|| panic!("{archives:?}"));
    let head = scene
        .s3
        .head_object()
        .bucket(&bucket)
        .key(archive)
        .send()
        .await
        .unwrap();
    let written = (
        head.storage_class().unwrap().as_str(),
        head.server_side_encryption().unwrap().as_str(),
    );
    assert_eq!(written, ("STANDARD_IA", "AES256"), "{archive}");
    let tags = scene
        .s3
        .get_object_tagging()
        .bucket(&bucket)
        .key(archive)
        .send()
        .await
        .unwrap();
    let tags: Vec<_> = tags
        .tag_set()
        .iter()
        .map(|tag| (tag.key(), tag.value()))
        .collect();
    assert_eq!(tags, [("team", "a=b c")], "{archive}");
}

pub async fn a_suspended_run_rests_and_goes_on_without_the_messages_that_it_had(scene: &Scene) {
    let team = scene.team("resting").await;
    let manifest = team.inventory(240).await;
    // All groups but the first: three workers need minutes until all of these have failed.
    team.fail_from(10);
    team.apply(&team.archive_run("logs", &manifest, json!({"suspend": true})))
        .await;
    let status = team
        .condition("logs", "Suspended", "True", "Suspended")
        .await;
    assert!(
        status.queue.is_none() && team.queues().await.is_empty(),
        "made suspended is nothing made: {status:?}"
    );
    team.patch("logs", json!({"spec": {"suspend": false}}))
        .await;
    team.archiving("logs").await;
    // A grouper that is interrupted sends its groups again by itself.
    team.grouped("logs").await;
    team.patch("logs", json!({"spec": {"suspend": true}})).await;
    let status = team
        .condition("logs", "Suspended", "True", "Suspended")
        .await;
    assert!(status.groups.unwrap().committed < 24, "{status:?}");
    let running = [
        "get",
        "pods",
        "-n",
        "resting",
        "--field-selector=status.phase=Running",
        "-o",
        "name",
    ];
    assert_eq!(
        scene.kubectl(&running).await.unwrap(),
        "",
        "no pod is left at work"
    );
    team.lose_messages().await;
    team.heal();
    team.patch("logs", json!({"spec": {"suspend": false}}))
        .await;
    team.event("logs", "MessagesLost").await;
    team.condition("logs", "Complete", "True", "Complete").await;
    team.assert_verified("logs").await;
}

pub async fn a_run_that_is_deleted_leaves_its_archives_and_nothing_else(scene: &Scene) {
    let team = scene.team("deleted").await;
    let manifest = team.inventory(60).await;
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    team.archiving("logs").await;
    team.delete("logs").await;
    let begun = Instant::now();
    team.gone("logs", Duration::from_mins(1)).await;
    assert!(team.queues().await.is_empty());
    team.leaving(&["deployments", "jobs", "pods"]).await;
    assert!(
        begun.elapsed() < Duration::from_secs(90),
        "{:?}",
        begun.elapsed()
    );
    team.cleared(&["deployments", "jobs", "pods"]).await;
    let archives = client::list_keys(&scene.s3, &team.bucket("archive"), "arch/archives/")
        .await
        .unwrap();
    assert!(!archives.is_empty());
    // GitOps may make it again: it goes on where it was.
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    team.condition("logs", "Complete", "True", "Complete").await;
    team.assert_verified("logs").await;
}

/// While it rests or is tried again, and from the moment that it is made, while its name is
/// claimed, its queue and its grouper are made.
pub async fn a_run_is_deleted_at_any_moment(scene: &Scene) {
    let team = scene.team("any-moment").await;
    let manifest = team.inventory(20).await;
    // One object fails for as long as it is tried.
    team.rule("source", |seen| match seen.key().as_str() {
        "logs/00003.json" => FAILING,
        _ => Fault::Forward,
    });
    let spec = json!({"retry": {"maxObjectPasses": 1}});
    for name in ["retrying", "resting"] {
        team.apply(&team.archive_run(name, &manifest, spec.clone()))
            .await;
    }
    // The other group is archived while that object is still tried.
    team.until("resting", "archiving", |status| {
        status.groups.is_some_and(|groups| groups.committed > 0)
    })
    .await;
    team.patch("resting", json!({"spec": {"suspend": true}}))
        .await;
    team.condition("resting", "Suspended", "True", "Suspended")
        .await;
    team.delete("resting").await;
    team.until("retrying", "tried again", |status| {
        status.retry_pass == Some(1)
    })
    .await;
    team.delete("retrying").await;
    for name in ["retrying", "resting"] {
        team.gone(name, Duration::from_mins(1)).await;
    }
    let (team, manifest) = (&team, &manifest);
    let moments = (0..16).map(|moment| async move {
        let name = format!("moment-{moment}");
        team.create(&team.archive_run(&name, manifest, json!({})))
            .await;
        tokio::time::sleep(moment * Duration::from_millis(150)).await;
        team.delete(&name).await;
        team.gone(&name, Duration::from_mins(1)).await;
    });
    stream::iter(moments)
        .buffer_unordered(4)
        .collect::<()>()
        .await;
    // One that is gone before the operator knows leaves queues that are made and deleted after it.
    team.without_queues(Duration::from_mins(1)).await;
    team.cleared(&["deployments", "poddisruptionbudgets", "jobs", "pods"])
        .await;
}

pub async fn the_same_run_made_again_is_resumed_and_another_is_refused(scene: &Scene) {
    let team = scene.team("again").await;
    let manifest = team.inventory(20).await;
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    team.condition("logs", "Complete", "True", "Complete").await;
    team.delete("logs").await;
    team.gone("logs", PATIENCE).await;
    let other = team.archive_run("logs", &manifest, json!({"archive": {"format": "TarGzip"}}));
    team.apply(&other).await;
    let status = team
        .condition("logs", "Accepted", "False", "RunNameTaken")
        .await;
    assert!(
        message(&status, "Accepted").contains("other archive options"),
        "{status:?}"
    );
    // No queue is kept for a name that is taken, and no pod.
    team.without_queues(PATIENCE).await;
    let pods = ["get", "pods", "-n", "again", "--no-headers"];
    let pods = scene.kubectl(&pods).await.unwrap();
    let waits = |line: &str| line.contains("Running") || line.contains("Pending");
    assert!(!pods.lines().any(waits), "{pods}");
    let patch = r#"{"spec":{"archive":{"format":"Tar"}}}"#;
    let refused = scene
        .kubectl(&[
            "patch",
            "ar",
            "logs",
            "-n",
            "again",
            "--type=merge",
            "-p",
            patch,
        ])
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("ArchiveRun"), "{refused}");

    // The name becomes free.
    let bucket = team.bucket("archive");
    for key in client::list_keys(&scene.s3, &bucket, "").await.unwrap() {
        let delete = scene.s3.delete_object().bucket(&bucket).key(key);
        delete.send().await.unwrap();
    }
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(told(&status, "Accepted"), Some(("True", "Valid")));
    team.assert_verified("logs").await;
}

pub async fn a_finished_run_is_deleted_after_its_time(scene: &Scene) {
    let team = scene.team("short").await;
    let manifest = team.inventory(5).await;
    team.apply(&team.archive_run("logs", &manifest, json!({"ttlSecondsAfterFinished": 3})))
        .await;
    let (runs, mut patience) = (team.runs(), Patience::default());
    while let Some(run) = asked::api(|| runs.get_opt("logs")).await.unwrap() {
        patience.wait(run.status, "it is still there").await;
    }
    team.assert_verified("logs").await;
}
