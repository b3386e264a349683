//! deploy/iam/abac.json: one role for all namespaces, whose pods differ by the tags of their sessions.

use super::queues::reaches;
use super::*;

const PLACES: [(&str, &str); 4] = [
    ("production", "team"),
    ("production", "team-a"),
    ("staging", "team"),
    ("production-team", "a"),
];

/// A user for each place, with the same policy and the tags of a session of EKS Pod Identity.
async fn tenants(world: &World) -> Vec<(&'static str, &'static str, Access)> {
    let policy = policy("abac.json");
    let mut tenants = Vec::new();
    for (cluster, namespace) in PLACES {
        let user = format!("{cluster}.{namespace}");
        let access = world.moto.user_with_policy(&user, policy.as_str()).await;
        let tags = [
            ("eks-cluster-name", cluster),
            ("kubernetes-namespace", namespace),
        ];
        world.moto.tag_user(&user, &tags).await.unwrap();
        tenants.push((cluster, namespace, access.unwrap()));
    }
    tenants
}

#[tokio::test]
async fn one_role_carries_out_runs_of_all_namespaces() {
    let world = World::start().await;
    let rows = (0..12).map(|n| (format!("small/{n:02}"), format!("object {n}")));
    client::put_objects(&world.s3, SOURCE, rows).await.unwrap();
    let inventory = world.inventory(SOURCE, Column::all_current()).await;
    for (cluster, namespace, access) in tenants(&world).await {
        let name = format!("s3bundler_{cluster}_{namespace}_logs_01234567");
        let queue = world.tagged_queue(&name, cluster, namespace).await;
        let destination = format!("s3://{VAULT}/{cluster}/{namespace}");
        let program = |command: &str| {
            world::s3bundler().access(&access).args([
                command,
                "--destination",
                &destination,
                "--name",
                "logs",
                "--queue",
                &queue,
                "--output",
                "json",
            ])
        };
        let grouped = program("group").args(["--inventory", &inventory.manifest]);
        assert_eq!(report(&grouped.run().await.unwrap())["objects"], 12);
        let bundled = program("bundle").args(["--idle-exit", "1"]);
        assert_eq!(report(&bundled.run().await.unwrap())["archived"], 12);
    }
    assert_eq!(world.denied(), Vec::<String>::new());
}

#[tokio::test]
async fn one_role_reaches_only_what_is_of_the_pods_cluster_and_namespace() {
    let world = World::start().await;
    let tenants = tenants(&world).await;
    for (cluster, namespace) in PLACES {
        let queues = [
            format!("s3bundler_{cluster}_{namespace}_logs_01234567"),
            format!("s3bundler-{namespace}-logs-{cluster}"),
        ];
        let mut urls = Vec::new();
        for name in &queues {
            urls.push(world.tagged_queue(name, cluster, namespace).await);
        }
        let key = format!("{cluster}/{namespace}/runs/logs.json");
        client::put_object(&world.s3, VAULT, &key, "{}")
            .await
            .unwrap();
        for (of_cluster, of_namespace, access) in &tenants {
            let is_own = (*of_cluster, *of_namespace) == (cluster, namespace);
            let who = format!("{of_namespace} in {of_cluster}");
            for url in &urls {
                assert_eq!(reaches(access, url).await, is_own, "{who}: {url}");
            }
            let s3 = client::s3(access);
            let read = is_denied(s3.get_object().bucket(VAULT).key(&key).send().await);
            let written = is_denied(s3.put_object().bucket(VAULT).key(&key).send().await);
            assert_eq!([read, written], [!is_own; 2], "{who}: {key}");
        }
    }
}

#[tokio::test]
async fn a_session_without_tags_reaches_nothing_that_is_told_apart_by_them() {
    let world = World::start().await;
    let access = world
        .moto
        .user_with_policy("untagged", policy("abac.json").as_str())
        .await
        .unwrap();
    let queue = world.queue("logs").await;
    client::put_object(&world.s3, VAULT, "production/team-a/runs/logs.json", "{}")
        .await
        .unwrap();
    assert!(!reaches(&access, &queue).await);
    let s3 = client::s3(&access);
    for key in [
        "production/team-a/runs/logs.json",
        "//runs/logs.json",
        "runs/logs.json",
    ] {
        assert!(
            is_denied(s3.get_object().bucket(VAULT).key(key).send().await),
            "{key}"
        );
        assert!(
            is_denied(s3.put_object().bucket(VAULT).key(key).send().await),
            "{key}"
        );
    }
}
