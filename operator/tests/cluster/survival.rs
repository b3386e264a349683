//! Pods that go in the middle of their work, and an operator that does.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::asked;
use super::scene::{RELEASE, Scene};
use super::team::told;

/// Pods to kill.
const KILLS: usize = 20;
/// A group whose worker was killed with its message comes back when that is visible again, after 5 minutes.
const PATIENCE: Duration = Duration::from_mins(9);

pub async fn a_run_survives_the_killing_of_its_pods(scene: &Scene) {
    let team = scene.team("killed").await;
    let manifest = team.inventory(120).await;
    let spec = json!({"group": {"maxObjects": 2}, "workers": {"scaling": {"minReplicas": 3, "maxReplicas": 3}}});
    team.apply(&team.archive_run("logs", &manifest, spec)).await;
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), &team.name);
    let workers = ListParams::default().labels("app.kubernetes.io/component=worker");
    let (mut killed, begun) = (0, Instant::now());
    while killed < KILLS {
        let done = matches!(told(&team.status("logs").await, "Complete"), Some(("True", _)));
        assert!(!done, "complete after {killed} kills: it takes more groups");
        assert!(begun.elapsed() < PATIENCE, "{killed} kills");
        let running = asked::api(|| pods.list(&workers)).await.unwrap().items.into_iter().filter(|pod| {
            let status = pod.status.as_ref();
            let phase = status.and_then(|status| status.phase.as_deref());
            pod.metadata.deletion_timestamp.is_none() && phase == Some("Running")
        });
        for pod in running.take(KILLS - killed) {
            // Every other one has no time to give anything back.
            let grace = if killed % 2 == 0 { 0 } else { 30 };
            let params = DeleteParams { grace_period_seconds: Some(grace), ..DeleteParams::default() };
            if pods.delete(&pod.name_any(), &params).await.is_ok() {
                killed += 1;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("{killed} pods were killed in {:.1} s", begun.elapsed().as_secs_f64());
    loop {
        let status = team.status("logs").await;
        if told(&status, "Complete") == Some(("True", "Complete")) {
            assert_eq!(status.objects.unwrap().archived, 120);
            assert_eq!(status.groups.unwrap().committed, 60);
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{status:#?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("and it was complete after {:.1} s", begun.elapsed().as_secs_f64());
    team.assert_verified("logs").await;
}

pub async fn one_operator_of_two_works_and_the_other_takes_over(scene: &Scene) {
    let operator = "deployment/s3bundler-operator";
    scene.kubectl(&["scale", operator, "-n", RELEASE, "--replicas=2"]).await.unwrap();
    let team = scene.team("handover").await;
    let manifest = team.inventory(80).await;
    team.apply(&team.archive_run("logs", &manifest, json!({}))).await;
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), RELEASE);
    let holder = async || {
        let lease = ["get", "lease", "s3bundler-operator", "-n", RELEASE, "-o", "jsonpath={.spec.holderIdentity}"];
        scene.kubectl(&lease).await.unwrap()
    };
    let mut holders = Vec::new();
    for grace in [30, 0] {
        let before = holder().await;
        let params = DeleteParams { grace_period_seconds: Some(grace), ..DeleteParams::default() };
        match asked::api(|| pods.delete(&before, &params)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            deleted => drop(deleted.unwrap()),
        }
        let begun = Instant::now();
        while [before.as_str(), ""].contains(&holder().await.as_str()) {
            assert!(begun.elapsed() < Duration::from_mins(1), "nobody took the lease of {before}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        println!(
            "the lease of an operator that ended with {grace} s of grace was taken after {:.1} s",
            begun.elapsed().as_secs_f64()
        );
        holders.push(before);
    }
    assert_ne!(holders[0], holders[1]);
    team.condition("logs", "Complete", "True", "Complete").await;
    team.assert_verified("logs").await;
}
