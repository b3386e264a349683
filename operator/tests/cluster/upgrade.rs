//! Other values for a release whose operator is at work: fewer rights, fewer workers, other
//! defaults.

use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Resource as _, ResourceExt as _};
use s3bundler_operator::crd::ArchiveRunStatus;
use s3bundler_testbed::proxy::Fault;
use serde_json::{Value, json};

use super::asked;
use super::denied::ORPHAN;
use super::patience::{Patience, eventually};
use super::scene::Scene;
use super::team::{Team, told};

const MAX_WORKERS: i32 = 2;
/// Another region than the testbed's: queues of one are not seen from the other.
const REGION: &str = "eu-north-1";
const ACCOUNT: &str = "archiver";
/// 6 groups.
const OBJECTS: usize = 60;
/// For as long as there is something to look at.
const GROUP_TAKES: Duration = Duration::from_secs(2);

/// The definition of a later release knows more than the operator that is still there.
pub async fn a_run_of_a_later_version_stops_nobody_and_goes_when_asked(scene: &Scene) {
    let team = scene.team("later").await;
    let manifest = team.inventory(15).await;
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/archive/properties/format/enum";
    let definition = ["crd", "archiveruns.archive.s3bundler.dev"];
    let change = async |formats: &Value| {
        let change = json!([{"op": "replace", "path": path, "value": formats}]).to_string();
        let patch = [&["patch"], &definition[..], &["--type=json", "-p", &change]].concat();
        scene.kubectl(&patch).await.unwrap();
    };
    let get = [&["get"], &definition[..], &["-o", "json"]].concat();
    let known: Value = serde_json::from_str(&scene.kubectl(&get).await.unwrap()).unwrap();
    let formats = known.pointer(path).unwrap();
    let mut later = formats.clone();
    later.as_array_mut().unwrap().push(json!("TarXz"));
    change(&later).await;
    let mut unknown = team.archive_run(
        "unknown",
        &manifest,
        json!({"archive": {"format": "TarXz"}}),
    );
    unknown["metadata"]["finalizers"] = json!(["archive.s3bundler.dev/queues"]);
    let unknown = unknown.to_string();
    // The API server takes a moment for a definition.
    eventually("the new format is refused", async || {
        let applied = asked::kubectl(|| scene.cluster.apply(&unknown)).await;
        applied.ok()
    })
    .await;
    team.apply(&team.archive_run("known", &manifest, json!({})))
        .await;
    team.condition("known", "Complete", "True", "Complete")
        .await;
    let status = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}";
    let unread = scene
        .kubectl(&["get", "ar", "unknown", "-n", &team.name, "-o", status])
        .await
        .unwrap();
    assert_eq!(unread, "Pending", "nobody has touched it");

    // Nobody knows what there is of it: it stays until somebody says that it may go.
    scene
        .kubectl(&["delete", "ar", "unknown", "-n", &team.name, "--wait=false"])
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene
        .kubectl(&["get", "ar", "unknown", "-n", &team.name])
        .await
        .unwrap();
    let orphan = format!("{ORPHAN}=true");
    scene
        .kubectl(&["annotate", "ar", "unknown", "-n", &team.name, &orphan])
        .await
        .unwrap();
    scene
        .kubectl(&[
            "wait",
            "--for=delete",
            "ar/unknown",
            "-n",
            &team.name,
            "--timeout=60s",
        ])
        .await
        .unwrap();
    change(formats).await;
}

pub async fn an_upgrade_changes_what_begins_after_it_and_a_strict_one_holds(scene: &Scene) {
    let (team, other, unwatched) = (
        scene.team("strict").await,
        scene.team("strict-b").await,
        scene.team("free").await,
    );
    let manifest = team.inventory(OBJECTS).await;
    let theirs = other.inventory(OBJECTS).await;
    team.fail_from(OBJECTS - 10);
    other.rule("source", |_| Fault::Delay(GROUP_TAKES));
    team.apply(&team.archive_run("before", &manifest, json!({})))
        .await;
    team.until("before", "at work", |status| {
        status.workers.is_some_and(|workers| workers.running > 0)
    })
    .await;
    team.patch("before", json!({"spec": {"suspend": true}}))
        .await;
    let before = team
        .condition("before", "Suspended", "True", "Suspended")
        .await;
    let kept = (
        before.region.clone(),
        before.service_account_name.clone(),
        before.worker_image.clone(),
    );
    assert_eq!(
        before.region.as_deref(),
        Some(scene.cluster.access().region.as_str())
    );
    assert_eq!(
        before.service_account_name.as_deref(),
        Some("s3bundler-worker")
    );
    let pods = template(&team, "before").await;

    let namespaces = [&team.name, &other.name];
    for team in [&team, &other] {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": team.name}});
        scene.apply(&account).await;
    }
    let upgrade = json!({
        "operator": {"watchNamespaces": namespaces, "maxWorkers": MAX_WORKERS, "region": REGION},
        "worker": {"serviceAccountName": ACCOUNT},
        "networkPolicy": {"enabled": true},
        "admissionPolicy": {"enabled": true, "refuseExistingQueues": true},
    });
    scene.apply(&budget(&team, "before").await).await;
    scene.upgrade(upgrade).await;

    team.patch("before", json!({"spec": {"suspend": false}}))
        .await;
    team.cleared(&["poddisruptionbudgets"]).await;
    team.until("before", "at work again", |status| {
        status.workers.is_some_and(|workers| workers.running > 0)
    })
    .await;
    assert_eq!(
        template(&team, "before").await,
        pods,
        "its pods are those that it had"
    );
    team.apply(&team.archive_run("after", &manifest, json!({})))
        .await;
    other
        .apply(&other.archive_run("after", &theirs, json!({})))
        .await;
    unwatched
        .apply(&unwatched.archive_run("logs", &manifest, json!({})))
        .await;
    // Three runs of three workers each, with two for all of them: one has to wait, for as long
    // as two cannot complete.
    let runs = [(&team, "before"), (&team, "after"), (&other, "after")];
    let waits = |it: &_| told(it, "Degraded") == Some(("True", "WorkersExhausted"));
    within_the_cap(&runs, "no run waits", |all| all.iter().any(waits)).await;
    team.heal();
    let is_complete = |it: &_| told(it, "Complete") == Some(("True", "Complete"));
    within_the_cap(&runs, "not all are complete", |all| {
        all.iter().all(is_complete)
    })
    .await;

    // What was under way is as it was, and its queue was found where it was made.
    let ended = team
        .condition("before", "QueueReady", "False", "Deleted")
        .await;
    assert_eq!(
        (ended.region, ended.service_account_name, ended.worker_image),
        kept
    );
    let archived = ended.objects.unwrap().archived;
    assert_eq!(usize::try_from(archived), Ok(OBJECTS));
    team.assert_verified("before").await;
    assert!(team.queues().await.is_empty());
    let after = other.status("after").await;
    assert_eq!(
        (
            after.region.as_deref(),
            after.service_account_name.as_deref()
        ),
        (Some(REGION), Some(ACCOUNT))
    );

    // Nobody looks at what is outside of the watched namespaces, nor may.
    let pending = unwatched.status("logs").await;
    assert_eq!(
        (told(&pending, "Ready"), pending.conditions.len()),
        (Some(("Unknown", "Pending")), 1)
    );
    let roles = scene
        .kubectl(&["get", "clusterroles,clusterrolebindings", "-o", "name"])
        .await
        .unwrap();
    assert!(
        !roles
            .lines()
            .any(|role| role.ends_with("/s3bundler-operator")),
        "{roles}"
    );
    for name in namespaces {
        let policies = scene
            .kubectl(&["get", "networkpolicies", "-n", name, "-o", "name"])
            .await
            .unwrap();
        assert_eq!(
            policies.trim(),
            "networkpolicy.networking.k8s.io/s3bundler-runs"
        );
    }
    the_api_refuses_what_the_admission_policy_is_against(&team, &manifest).await;
}

/// The status of a run that an earlier release has started says nothing of revisions.
pub async fn a_run_of_an_earlier_release_keeps_its_pods_until_it_is_asked_to_be_upgraded(
    scene: &Scene,
) {
    const LATEST: i32 = 1;
    let team = scene.team("earlier-pods").await;
    let manifest = team.inventory(OBJECTS).await;
    team.fail_from(OBJECTS - 10);
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    team.archiving("logs").await;
    assert_eq!(team.status("logs").await.pod_revision, Some(LATEST));
    let runs = team.runs();
    let forget = json!([{"op": "remove", "path": "/status/podRevision"}]);
    let forget = Patch::Json::<()>(serde_json::from_value(forget).unwrap());
    // The operator may be writing a status that has it.
    eventually("it is one of an earlier release", async || {
        let status = team.status("logs").await;
        if status.pod_revision == Some(LATEST) {
            runs.patch_status("logs", &PatchParams::default(), &forget)
                .await
                .ok();
        }
        (status.pod_revision == Some(0)).then_some(())
    })
    .await;
    let reads_pauses = async || {
        let template = template(&team, "logs").await.to_string();
        template.contains("S3BUNDLER_PAUSE_FILE")
    };
    eventually("its pods are those of an earlier release", async || {
        (!reads_pauses().await).then_some(())
    })
    .await;

    let annotation = "archive.s3bundler.dev/upgrade-requested-at=monday";
    let annotate = ["annotate", "ar", "logs", "-n", &team.name, annotation];
    scene.kubectl(&annotate).await.unwrap();
    let upgraded = team
        .until("logs", "upgraded", |status| {
            status.upgrade_handled.as_deref() == Some("monday")
        })
        .await;
    assert_eq!(upgraded.pod_revision, Some(LATEST));
    assert!(reads_pauses().await);
    team.heal();
    team.condition("logs", "Complete", "True", "Complete").await;
    team.assert_verified("logs").await;
}

/// A release goes while a run is under way: the run and its definition stay, and so does what holds
/// it, until there is an operator again.
pub async fn a_release_that_is_uninstalled_leaves_runs_that_the_next_one_lets_go(scene: &Scene) {
    let team = scene.team("uninstalled").await;
    let manifest = team.inventory(OBJECTS).await;
    team.fail_from(OBJECTS - 10);
    // The release of the scenario before watches its own namespaces only.
    scene
        .upgrade(json!({"operator": {"watchNamespaces": []}}))
        .await;
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    team.archiving("logs").await;
    scene.uninstall().await;

    team.delete("logs").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let status = team.status("logs").await;
    assert!(
        status.queue.is_some(),
        "the definition stays, and the run with its finalizer: {status:?}"
    );
    assert!(!team.queues().await.is_empty());
    scene.install_again().await;
    team.gone("logs", Duration::from_mins(1)).await;
    assert!(team.queues().await.is_empty());
    team.cleared(&["deployments", "jobs", "pods"]).await;
}

/// Waits until the statuses of runs are as wanted and sees that they never ask for more workers than
/// there may be.
async fn within_the_cap(
    runs: &[(&Team<'_>, &str)],
    what: &str,
    wanted: impl Fn(&[ArchiveRunStatus]) -> bool,
) {
    let mut patience = Patience::default();
    loop {
        let asked = replicas(runs).await;
        assert!(
            asked.iter().map(|(_, replicas)| replicas).sum::<i32>() <= MAX_WORKERS,
            "{asked:?}"
        );
        let statuses = join_all(runs.iter().map(|(team, run)| team.status(run))).await;
        if wanted(&statuses) {
            return;
        }
        patience.wait(statuses, what).await;
    }
}

/// Workers that these runs ask for, all of them in one moment. Runs of other scenarios may be left
/// over: nobody watches them.
async fn replicas(runs: &[(&Team<'_>, &str)]) -> Vec<(String, i32)> {
    let deployments: Api<Deployment> = Api::all(runs[0].0.scene.client.clone());
    let listed = ListParams::default().labels("app.kubernetes.io/component=worker");
    let found = asked::api(|| deployments.list(&listed)).await.unwrap();
    let is_ours = |deployment: &&Deployment| {
        runs.iter()
            .any(|(team, _)| deployment.metadata.namespace.as_ref() == Some(&team.name))
    };
    let replicas = |deployment: &Deployment| {
        deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.replicas)
            .unwrap_or(1)
    };
    found
        .iter()
        .filter(is_ours)
        .map(|deployment| (deployment.name_any(), replicas(deployment)))
        .collect()
}

/// The budget that earlier releases created for the workers of a run.
async fn budget(team: &Team<'_>, run: &str) -> Value {
    let runs = team.runs();
    let owner = asked::api(|| runs.get(run)).await.unwrap();
    let selector =
        json!({"archive.s3bundler.dev/run": run, "app.kubernetes.io/component": "worker"});
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {
            "name": format!("{run}-worker"), "namespace": team.name,
            "ownerReferences": [owner.controller_owner_ref(&()).unwrap()],
        },
        "spec": {"maxUnavailable": "25%", "selector": {"matchLabels": selector}},
    })
}

/// The pods of a run's workers, as its Deployment makes them.
async fn template(team: &Team<'_>, run: &str) -> Value {
    let deployments: Api<Deployment> = Api::namespaced(team.scene.client.clone(), &team.name);
    let name = format!("{run}-worker");
    json!(
        asked::api(|| deployments.get(&name))
            .await
            .unwrap()
            .spec
            .unwrap()
            .template
    )
}

/// A policy is enforced a moment after it is made.
async fn the_api_refuses_what_the_admission_policy_is_against(team: &Team<'_>, manifest: &str) {
    let existing =
        json!({"type": "Existing", "existing": {"url": "https://sqs.eu-west-1.amazonaws.com/1/q"}});
    let host_path = json!({"type": "HostPath", "hostPath": {"path": "/mnt/nvme"}});
    for (spec, message) in [
        (
            json!({"queue": existing}),
            "only queues that the operator makes are allowed here",
        ),
        (
            json!({"workers": {"scratch": host_path}}),
            "directories of nodes are not allowed here",
        ),
    ] {
        let run = team.archive_run("refused", manifest, spec).to_string();
        let applied = asked::kubectl(|| team.scene.cluster.apply(&run)).await;
        let refused = applied.expect_err(message).to_string();
        assert!(refused.contains(message), "{refused}");
    }
    // Finished runs still go.
    team.delete("before").await;
    team.gone("before", Duration::from_mins(1)).await;
}
