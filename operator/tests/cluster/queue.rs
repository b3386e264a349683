//! Queues that were there before, and those who scale instead of the operator.

use std::time::Instant;

use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter,
    QueueConfiguration, S3KeyFilter,
};
use aws_sdk_sqs::types::QueueAttributeName;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use s3bundler_contract::message::{self, ManifestRef};
use s3bundler_operator::queues::earlier_queue_name;
use s3bundler_testbed::client;
use serde_json::{Value, json};

use super::asked;
use super::examples::define;
use super::patience::eventually;
use super::scene::{CLUSTER, Scene};
use super::team::{SHOWN, Team, told};

pub async fn a_queue_that_was_there_is_used_and_stays(scene: &Scene) {
    let team = scene.team("existing").await;
    let url = client::create_queue(&scene.sqs, "the-teams-own")
        .await
        .unwrap();
    let manifest = team.inventory(25).await;
    let queue = json!({"queue": {"type": "Existing", "existing": {"url": url}}});
    team.apply(&team.archive_run("logs", &manifest, queue))
        .await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(told(&status, "QueueReady"), Some(("True", "Existing")));
    team.assert_verified("logs").await;
    // A worker that is asked to end between the receipt of its last group and the deletion of its
    // message may leave it.
    let left = scene
        .sqs
        .receive_message()
        .queue_url(&url)
        .max_number_of_messages(10)
        .send()
        .await
        .unwrap();
    for message in left.messages() {
        let named = message::parse(message.body().unwrap()).unwrap();
        let is_own = |it: &ManifestRef| it.key.starts_with("arch/groups/logs/logs.");
        assert!(!named.is_empty() && named.iter().all(is_own), "{named:?}");
    }
    // Somewhere else the operator signs nothing.
    let queue = json!({"queue": {"type": "Existing", "existing": {"url": "http://169.254.169.254/latest/meta-data"}}});
    team.apply(&team.archive_run("elsewhere", &manifest, queue))
        .await;
    team.condition("elsewhere", "Accepted", "False", "NotAllowed")
        .await;
}

pub async fn events_of_s3_bring_the_groups(scene: &Scene) {
    let team = scene.team("events").await;
    let url = client::create_queue(&scene.sqs, "events-of-groups")
        .await
        .unwrap();
    let asked = scene
        .sqs
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await;
    let arn = asked.unwrap().attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
    let rule = |name, value: &str| FilterRule::builder().name(name).value(value).build();
    let filter = S3KeyFilter::builder()
        .filter_rules(rule(FilterRuleName::Prefix, "arch/groups/"))
        .filter_rules(rule(FilterRuleName::Suffix, ".index"))
        .build();
    let notify = QueueConfiguration::builder()
        .queue_arn(arn)
        .events(Event::from("s3:ObjectCreated:*"))
        .filter(
            NotificationConfigurationFilter::builder()
                .key(filter)
                .build(),
        )
        .build()
        .unwrap();
    let configuration = NotificationConfiguration::builder()
        .queue_configurations(notify)
        .build();
    let put = scene
        .s3
        .put_bucket_notification_configuration()
        .bucket(team.bucket("archive"));
    put.notification_configuration(configuration)
        .send()
        .await
        .unwrap();
    let manifest = team.inventory(25).await;
    let queue =
        json!({"queue": {"type": "Existing", "delivery": "S3Event", "existing": {"url": url}}});
    team.apply(&team.archive_run("logs", &manifest, queue))
        .await;
    team.condition("logs", "Complete", "True", "Complete").await;
    team.assert_verified("logs").await;
}

pub async fn a_queue_that_somebody_deletes_is_made_again_and_its_messages_are_sent_again(
    scene: &Scene,
) {
    let team = scene.team("queueless").await;
    let manifest = team.inventory(100).await;
    team.fail_from(90);
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    team.archiving("logs").await;
    for url in team.queues().await {
        scene
            .sqs
            .delete_queue()
            .queue_url(url)
            .send()
            .await
            .unwrap();
    }
    let deleted = Instant::now();
    // The condition is gone as soon as there is a queue again, which is at once here. The event
    // stays.
    let told = team.event("logs", "QueueMissing").await;
    let taken = deleted.elapsed();
    println!(
        "queueless/logs: event QueueMissing after {:.1} s",
        taken.as_secs_f64()
    );
    assert!(taken < SHOWN, "{taken:?}");
    assert!(told.contains("GetQueueAttributes"), "{told}");
    team.heal();
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    println!(
        "queueless/logs: complete {:.1} s after its queues were deleted",
        deleted.elapsed().as_secs_f64()
    );
    assert_eq!(status.objects.unwrap().archived, 100);
    team.condition("logs", "QueueReady", "False", "Deleted")
        .await;
    team.assert_verified("logs").await;
}

/// Runs of an earlier release have queues of another name, one of which its operator may have made
/// without coming to the status.
pub async fn queues_that_an_earlier_release_named_are_used_and_deleted(scene: &Scene) {
    let team = scene.team("earlier").await;
    let manifest = team.inventory(40).await;
    team.fail_from(30);
    for run in ["known", "unknown"] {
        team.apply(&team.archive_run(run, &manifest, json!({})))
            .await;
        team.archiving(run).await;
    }
    team.patch("known", json!({"spec": {"suspend": true}}))
        .await;
    team.condition("known", "Suspended", "True", "Suspended")
        .await;
    for url in team.queues_of("known").await {
        scene
            .sqs
            .delete_queue()
            .queue_url(url)
            .send()
            .await
            .unwrap();
    }
    let [url, dead] = earlier_queues(&team, "known").await;
    earlier_queues(&team, "unknown").await;
    team.patch_status(
        "known",
        json!({"queue": {"url": url, "deadLetterURL": dead}}),
    )
    .await;
    team.patch("known", json!({"spec": {"suspend": false}}))
        .await;
    team.heal();
    for run in ["known", "unknown"] {
        let status = team.condition(run, "Complete", "True", "Complete").await;
        assert_eq!(status.objects.unwrap().archived, 40, "{run}");
        let status = team.condition(run, "QueueReady", "False", "Deleted").await;
        let kept = status.queue.and_then(|queue| queue.url);
        assert_eq!(kept.as_ref() == Some(&url), run == "known", "{kept:?}");
        team.assert_verified(run).await;
    }
    assert_eq!(team.queues().await, Vec::<String>::new());
    let listed = scene
        .sqs
        .list_queues()
        .queue_name_prefix("s3bundler-earlier-")
        .send();
    let left = listed.await.unwrap().queue_urls.unwrap_or_default();
    assert_eq!(left, Vec::<String>::new());
}

/// The queue and the dead-letter queue of a run, named and tagged as earlier releases did.
async fn earlier_queues(team: &Team<'_>, run: &str) -> [String; 2] {
    let runs = team.runs();
    let uid = asked::api(|| runs.get(run)).await.unwrap().uid().unwrap();
    let name = earlier_queue_name(&team.name, &run.parse().unwrap(), &uid);
    let dead_name = format!("{name}-dlq");
    let region = &team.scene.cluster.access().region;
    let policy = json!({
        "deadLetterTargetArn": format!("arn:aws:sqs:{region}:123456789012:{dead_name}"),
        "maxReceiveCount": 10,
    });
    let create = |name: &str| {
        let queue = team.scene.sqs.create_queue().queue_name(name);
        queue
            .tags("s3bundler-namespace", &team.name)
            .tags("s3bundler-cluster", CLUSTER)
    };
    let dead = create(&dead_name).send().await.unwrap();
    let queue = create(&name)
        .attributes(QueueAttributeName::VisibilityTimeout, "300")
        .attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
    let queue = queue.send().await.unwrap();
    [queue, dead].map(|made| made.queue_url.unwrap())
}

pub async fn whoever_else_scales_is_let_to_until_the_end(scene: &Scene) {
    let team = scene.team("external").await;
    let manifest = team.inventory(30).await;
    team.fail_from(29);
    let external = json!({"workers": {"scaling": {"mode": "External"}}});
    team.apply(&team.archive_run("logs", &manifest, external))
        .await;
    let deployment = "deployment/logs-worker";
    eventually("external: there is no Deployment", async || {
        let scale = ["scale", deployment, "-n", &team.name, "--replicas=2"];
        scene.kubectl(&scale).await.ok()
    })
    .await;
    team.until("logs", "at work with both", |status| {
        status.workers.is_some_and(|workers| workers.running == 2)
    })
    .await;
    team.heal();
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert_eq!(status.objects.unwrap().archived, 30);
    team.condition("logs", "QueueReady", "False", "Deleted")
        .await;
}

pub async fn keda_is_told_what_to_do(scene: &Scene) {
    // KEDA's own definition; KEDA itself is not here.
    define(scene, &["scaledobjects.keda.sh"]).await;
    let team = scene.team("keda").await;
    let manifest = team.inventory(5).await;
    // What the operator writes stays as it is until the run is over.
    team.fail_from(4);
    let scaling = json!({"mode": "Keda", "minReplicas": 0, "maxReplicas": 7, "targetGroupsPerWorker": 2,
        "keda": {"authenticationRef": {"name": "sqs"}, "pollingIntervalSeconds": 20}});
    team.apply(&team.archive_run("logs", &manifest, json!({"workers": {"scaling": scaling}})))
        .await;
    let status = team
        .until("logs", "making groups", |status| status.queue.is_some())
        .await;
    let get = [
        "get",
        "scaledobject",
        "logs-worker",
        "-n",
        "keda",
        "-o",
        "json",
    ];
    let text = eventually("keda: there is no ScaledObject", async || {
        scene.kubectl(&get).await.ok()
    })
    .await;
    let object: Value = serde_json::from_str(&text).unwrap();
    team.heal();
    // The operator writes by server-side apply, which is refused if the definition lacks a field of
    // it.
    let unknown = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": {"name": "logs-worker"}, "spec": {"maxReplicas": 7},
    });
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "keda.sh",
        "v1alpha1",
        "ScaledObject",
    ));
    let objects: Api<DynamicObject> = Api::namespaced_with(scene.client.clone(), "keda", &resource);
    let (applying, unknown) = (PatchParams::apply("test"), Patch::Apply(&unknown));
    let applied = asked::api(|| objects.patch("logs-worker", &applying, &unknown)).await;
    let refused = applied.unwrap_err().to_string();
    assert!(
        refused.contains(".spec.maxReplicas: field not declared in schema"),
        "{refused}"
    );
    let spec = &object["spec"];
    assert_eq!(spec["scaleTargetRef"]["name"], "logs-worker");
    assert_eq!(
        (&spec["minReplicaCount"], &spec["maxReplicaCount"]),
        (&json!(0), &json!(1)),
        "no worker has shown yet that it works"
    );
    assert_eq!(
        (&spec["pollingInterval"], &spec["fallback"]["behavior"]),
        (&json!(20), &json!("currentReplicas"))
    );
    let trigger = &spec["triggers"][0];
    assert_eq!(
        (&trigger["type"], &trigger["authenticationRef"]["name"]),
        (&json!("aws-sqs-queue"), &json!("sqs"))
    );
    assert_eq!(
        trigger["metadata"]["queueURL"],
        json!(status.queue.unwrap().url.unwrap())
    );
    assert_eq!(
        trigger["metadata"]["awsEndpoint"],
        json!(scene.cluster.access().endpoint)
    );
    assert_eq!(
        (
            &trigger["metadata"]["queueLength"],
            &trigger["metadata"]["scaleOnInFlight"]
        ),
        (&json!("2"), &json!("true"))
    );
    // A Deployment without KEDA has one replica, which is enough.
    team.condition("logs", "Complete", "True", "Complete").await;
    team.condition("logs", "QueueReady", "False", "Deleted")
        .await;
    assert!(scene.kubectl(&get).await.is_err(), "it goes with the run");
}
