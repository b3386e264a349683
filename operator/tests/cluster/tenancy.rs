//! Runs that name what is not theirs: the operator may read it, their pods may not.

use kube::ResourceExt as _;
use s3bundler_testbed::client;
use s3bundler_testbed::servers::Policy;
use serde_json::json;

use super::asked;
use super::scene::{Scene, program, secret};
use super::team::{Team, message, told};

/// A team whose pods have what deploy/iam gives them, and nothing else.
async fn confined(scene: &Scene, team: &Team<'_>) {
    let [source, inventory, archive] =
        ["source", "inventory", "archive"].map(|kind| team.bucket(kind));
    let words = [
        ("INVENTORY_BUCKET", inventory.as_str()),
        ("SOURCE_BUCKET", source.as_str()),
        ("DESTINATION_BUCKET", archive.as_str()),
        ("PREFIX", "arch"),
        ("CLUSTER", "testbed"),
        ("NAMESPACE", team.name.as_str()),
        ("ACCOUNT", "123456789012"),
    ];
    let policies = ["grouper.json", "worker.json"].map(|file| Policy::of_deployment(file, &words));
    let policies = policies.each_ref().map(Policy::as_str);
    let moto = scene.cluster.moto().unwrap();
    let user = moto
        .user_with_policies(&team.name, &policies)
        .await
        .unwrap();
    scene.apply(&secret(&team.name, &user)).await;
}

pub async fn a_destination_of_another_team_is_neither_claimed_nor_read(scene: &Scene) {
    let (team, other) = (scene.team("trespasser").await, scene.team("owner").await);
    confined(scene, &team).await;
    let (manifest, theirs) = (team.inventory(15).await, other.inventory(15).await);
    // A run of the other team, of which this operator knows nothing.
    let destination = format!("s3://{}/arch", other.bucket("archive"));
    let run = scene.cluster.program(program("s3bundler")).args([
        "run",
        "--inventory",
        &theirs,
        "--destination",
        &destination,
        "--name",
        "archived",
    ]);
    let archived = run.run().await.unwrap();
    assert_eq!(archived.code, Some(0), "{archived}");

    let trespass = json!({"destination": {"bucket": other.bucket("archive")}});
    for name in ["archived", "free"] {
        team.apply(&team.archive_run(name, &manifest, trespass.clone()))
            .await;
    }
    for name in ["archived", "free"] {
        let status = team
            .condition(name, "Stalled", "True", "AccessDenied")
            .await;
        assert!(
            message(&status, "Stalled").contains(&other.bucket("archive")),
            "{status:?}"
        );
        assert_eq!(status.acknowledged_at, None);
        let counts = (&status.groups, &status.objects, &status.bytes);
        assert_eq!(counts, (&None, &None, &None), "{name}");
        assert_eq!(status.progress, None, "{name}");
        assert_eq!(told(&status, "Grouped").unwrap().0, "False");
    }
    // All that the operator has asked of that bucket: whether these very runs may be there.
    let runs = team.runs();
    let mut allowed = Vec::new();
    for name in ["archived", "free"] {
        let uid = asked::api(|| runs.get(name)).await.unwrap().uid().unwrap();
        let key = format!(
            "{}/arch/runs/{name}.ack.{uid}.json",
            other.bucket("archive")
        );
        allowed.push(format!("s3:GetObject of arn:aws:s3:::{key}"));
    }
    let decisions = scene.cluster.moto().unwrap().decisions().unwrap();
    let bucket = format!("arn:aws:s3:::{}", other.bucket("archive"));
    let of_operator = decisions
        .into_iter()
        .filter(|it| it.is_of("operator") && it.resource.starts_with(&bucket))
        .map(|it| format!("{} of {}", it.action, it.resource));
    let (looks, others): (Vec<_>, Vec<_>) = of_operator.partition(|it| allowed.contains(it));
    assert!(!looks.is_empty());
    // S3 asks for that once with each GET of what is not there.
    let existence = format!("s3:ListBucket of {bucket}");
    let (existence, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|it| *it == existence);
    assert_eq!(others, [""; 0]);
    assert!(
        existence.len() <= looks.len(),
        "{existence:?} and {looks:?}"
    );
    let records = client::list_keys(&scene.s3, &other.bucket("archive"), "arch/runs/")
        .await
        .unwrap();
    assert_eq!(
        records,
        ["arch/runs/archived.done.json", "arch/runs/archived.json"],
        "no name is taken"
    );
    for name in ["archived", "free"] {
        team.delete(name).await;
    }

    other
        .apply(&other.archive_run("free", &theirs, json!({})))
        .await;
    other
        .condition("free", "Complete", "True", "Complete")
        .await;
}

/// The pods of such a run do not know how to acknowledge it: its claim names the resource.
pub async fn a_run_that_an_earlier_release_began_goes_on_by_its_claim(scene: &Scene) {
    let team = scene.team("earlier-claim").await;
    let manifest = team.inventory(45).await;
    team.fail_from(40);
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    team.archiving("logs").await;
    team.grouped("logs").await;
    team.patch("logs", json!({"spec": {"suspend": true}})).await;
    let status = team
        .condition("logs", "Suspended", "True", "Suspended")
        .await;
    // As that release left it, and in the destination, too.
    let mut conditions = status.conditions.clone();
    for condition in &mut conditions {
        if condition.type_ == "Grouped" {
            "False".clone_into(&mut condition.status);
            "Pending".clone_into(&mut condition.reason);
        }
    }
    team.patch_status(
        "logs",
        json!({"acknowledgedAt": null, "conditions": conditions}),
    )
    .await;
    let (runs, bucket) = (team.runs(), team.bucket("archive"));
    let uid = asked::api(|| runs.get("logs"))
        .await
        .unwrap()
        .uid()
        .unwrap();
    let delete = scene.s3.delete_object().bucket(bucket);
    let key = format!("arch/runs/logs.ack.{uid}.json");
    delete.key(key).send().await.unwrap();
    scene
        .kubectl(&["delete", "job", "logs-grouper", "-n", &team.name])
        .await
        .unwrap();
    team.heal();
    team.patch("logs", json!({"spec": {"suspend": false}}))
        .await;
    let status = team.condition("logs", "Complete", "True", "Complete").await;
    assert!(status.acknowledged_at.is_some(), "{status:?}");
    team.assert_verified("logs").await;
}
