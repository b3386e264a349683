//! What the API server itself takes and refuses: every rule of the definition, on the real thing.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::ApiResource;
use kube::{Api, Client, Config};
use s3bundler_operator::crd::ArchiveRun;
use s3bundler_testbed::api_server::ApiServer;
use serde_json::{Value, json};

use super::admission::cases;
use super::asked;
use super::patience::PATIENCE;
use super::scene::Scene;
use super::team::message;

pub async fn what_the_api_server_takes_and_refuses(scene: &Scene) {
    let team = scene.team("admission").await;
    let api: Api<DynamicObject> = Api::namespaced_with(
        scene.client.clone(),
        &team.name,
        &ApiResource::erase::<ArchiveRun>(&()),
    );
    let object = |value: &Value| serde_json::from_value::<DynamicObject>(value.clone()).unwrap();
    let mut wrong = Vec::new();
    for case in cases() {
        // Nothing is to be carried out: nobody waits for these.
        let params = PostParams {
            dry_run: case.update.is_none(),
            field_manager: None,
        };
        let asked_for = object(&case.object);
        let created = asked::api(|| api.create(&params, &asked_for)).await;
        let answer = match (created, &case.update) {
            (Ok(found), Some(update)) => {
                let (mut update, name) = (object(update), found.metadata.name.unwrap());
                let replacing = PostParams::default();
                // Replaced and not patched, so that what is left out is gone; the operator writes
                // its status meanwhile.
                let updated = loop {
                    let found = asked::api(|| api.get(&name)).await.unwrap();
                    update.metadata.resource_version = found.metadata.resource_version;
                    match asked::api(|| api.replace(&name, &replacing, &update)).await {
                        Err(kube::Error::Api(status)) if status.code == 409 => {}
                        replaced => break replaced.map(|_| ()),
                    }
                };
                let deleting = DeleteParams::default();
                let _ = asked::api(|| api.delete(&name, &deleting)).await;
                updated
            }
            (created, _) => created.map(|_| ()),
        };
        match (answer, case.refused) {
            (Ok(()), None) => {}
            (Err(error), Some(expected)) if error.to_string().contains(expected) => {}
            (answer, expected) => {
                wrong.push(format!("{}: {answer:?}, expected {expected:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Other tests have an API server in memory: it decides about requests as the real one does.
pub async fn an_api_server_in_memory_answers_as_the_real_one(scene: &Scene) {
    let team = scene.team("in-memory").await;
    let real = answers(&scene.client, &team.name).await;
    let server = ApiServer::start().unwrap();
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let client = Client::try_from(config.unwrap()).unwrap();
    assert_eq!(answers(&client, &team.name).await, real);
    assert!(real.iter().any(|(_, status)| *status == 404), "{real:?}");
}

/// The status of each of some requests for a Deployment: 0 for one that is carried out.
async fn answers(client: &Client, namespace: &str) -> Vec<(&'static str, u16)> {
    const NAME: &str = "web";
    fn status<T>(answer: Result<T, kube::Error>) -> u16 {
        match answer {
            Ok(_) => 0,
            Err(kube::Error::Api(status)) => status.code,
            Err(error) => panic!("{error}"),
        }
    }
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let labels = json!({"app": NAME});
    let desired = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        }},
    });
    let object: Deployment = serde_json::from_value(desired.clone()).unwrap();
    let (apply, plain) = (PatchParams::apply("tests").force(), PatchParams::default());
    let (posting, deleting) = (PostParams::default(), DeleteParams::default());
    let wanted = Patch::Apply(desired);
    let of_version = Patch::Merge(json!({"metadata": {"resourceVersion": "1"}}));
    let of_status = Patch::Merge(json!({"status": {"observedGeneration": 1}}));
    let of_scale = Patch::Merge(json!({"spec": {"replicas": 0}}));
    let of_another = deleting.clone().preconditions(Preconditions {
        uid: Some("4b0a6f0e-0000-4000-8000-000000000000".to_owned()),
        resource_version: None,
    });
    let mut answers = Vec::new();
    macro_rules! ask {
        ($what:literal, $request:expr) => {
            answers.push(($what, status(asked::api(|| $request).await)))
        };
    }
    ask!("get of nothing", api.get(NAME));
    ask!("merge into nothing", api.patch(NAME, &plain, &of_scale));
    ask!(
        "status of nothing",
        api.patch_status(NAME, &plain, &of_status)
    );
    ask!("scale of nothing", api.patch_scale(NAME, &plain, &of_scale));
    ask!("deletion of nothing", api.delete(NAME, &deleting));
    ask!("apply that creates", api.patch(NAME, &apply, &wanted));
    ask!("creation of what exists", api.create(&posting, &object));
    ask!(
        "apply that changes nothing",
        api.patch(NAME, &apply, &wanted)
    );
    ask!(
        "merge into another version",
        api.patch(NAME, &plain, &of_version)
    );
    ask!("merge", api.patch(NAME, &plain, &of_scale));
    ask!("status", api.patch_status(NAME, &plain, &of_status));
    ask!("scale", api.patch_scale(NAME, &plain, &of_scale));
    ask!("deletion of another", api.delete(NAME, &of_another));
    answers
}

/// The chart adds ArchiveRuns to the roles that every cluster has.
pub async fn the_clusters_own_roles_may_what_they_should(scene: &Scene) {
    let team = scene.team("roles").await;
    for role in ["view", "edit"] {
        let user = format!("{role}er");
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding",
            "metadata": {"name": user, "namespace": team.name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        });
        scene.apply(&binding).await;
    }
    for (user, verb, part, allowed) in [
        ("viewer", "list", "", true),
        ("viewer", "get", "status", true),
        ("viewer", "create", "", false),
        ("editer", "create", "", true),
        ("editer", "patch", "", true),
        ("editer", "patch", "status", false),
        ("editer", "delete", "", true),
        ("stranger", "get", "", false),
    ] {
        let (who, part) = (format!("--as={user}"), format!("--subresource={part}"));
        let runs = "archiveruns.archive.s3bundler.dev";
        let asked = scene
            .kubectl(&["auth", "can-i", verb, runs, &part, &who, "-n", &team.name])
            .await;
        assert_eq!(asked.is_ok(), allowed, "{user} {verb} {part}: {asked:?}");
    }
}

/// The policy of this release is for namespaces under restricted Pod Security.
pub async fn a_namespace_without_a_policy_of_its_own_is_told(scene: &Scene) {
    let team = scene.team("outsiders").await;
    let label = async |label| {
        let label = ["label", "--overwrite", "namespace", "outsiders", label];
        scene.kubectl(&label).await.unwrap();
    };
    label("pod-security.kubernetes.io/enforce-").await;
    let run = team.archive_run(
        "logs",
        "s3://outsiders-inventory/manifest.json",
        json!({"suspend": true}),
    );
    team.create(&run).await;
    let status = team
        .condition("logs", "Accepted", "False", "NotAllowed")
        .await;
    assert!(
        message(&status, "Accepted").contains("namespace outsiders"),
        "{status:?}"
    );
    label("pod-security.kubernetes.io/enforce=restricted").await;
    // A change has it looked at again at once.
    team.patch(
        "logs",
        json!({"metadata": {"annotations": {"again": "now"}}}),
    )
    .await;
    team.condition("logs", "Accepted", "True", "Valid").await;
}

/// A name says nothing about whose an object is.
pub async fn a_deployment_of_somebody_else_is_told_and_left_alone(scene: &Scene) {
    let team = scene.team("neighbours").await;
    let manifest = team.inventory(20).await;
    let application = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "logs-worker", "namespace": team.name},
        "spec": {
            "replicas": 2, "paused": true, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}},
        },
    });
    scene.apply(&application).await;
    let deployments: Api<Deployment> = Api::namespaced(scene.client.clone(), &team.name);
    let look = async || {
        let found = asked::api(|| deployments.get("logs-worker")).await.unwrap();
        (
            found.metadata.uid,
            found.metadata.generation,
            found.metadata.labels,
            found.metadata.deletion_timestamp,
        )
    };
    let before = look().await;
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    let status = team.condition("logs", "Accepted", "False", "Invalid").await;
    assert!(
        message(&status, "Accepted").contains("Deployment logs-worker"),
        "{status:?}"
    );
    assert!(
        status.queue.is_none() && team.queues().await.is_empty(),
        "nothing is made: {status:?}"
    );

    // What the operator's writes rely on: none goes to an object of the name that is not the one
    // they mean.
    let uid = json!({"metadata": {"uid": "00000000-0000-4000-8000-000000000000"}});
    let old = Patch::Merge(json!({"metadata": {"resourceVersion": "1"}}));
    let (merge, params) = (Patch::Merge(&uid), PatchParams::default());
    let mut applied = application.clone();
    applied["metadata"]["uid"] = uid["metadata"]["uid"].clone();
    let (applied, applying) = (Patch::Apply(&applied), PatchParams::apply("test").force());
    let runs = team.runs();
    for (what, answer) in [
        // Nobody minds a uid here, only a resourceVersion.
        (
            "status",
            asked::api(|| runs.patch_status("logs", &params, &old))
                .await
                .map(drop),
        ),
        (
            "run",
            asked::api(|| runs.patch("logs", &params, &merge))
                .await
                .map(drop),
        ),
        (
            "scale",
            asked::api(|| deployments.patch_scale("logs-worker", &params, &merge))
                .await
                .map(drop),
        ),
        (
            "merged",
            asked::api(|| deployments.patch("logs-worker", &params, &merge))
                .await
                .map(drop),
        ),
        (
            "applied",
            asked::api(|| deployments.patch("logs-worker", &applying, &applied))
                .await
                .map(drop),
        ),
    ] {
        let Err(kube::Error::Api(status)) = answer else {
            panic!("{what}: {answer:?}")
        };
        let causes: Vec<_> = status
            .details
            .iter()
            .flat_map(|it| &it.causes)
            .map(|cause| cause.field.as_str())
            .collect();
        println!("{what} of another object: {} {causes:?}", status.code);
        assert!(
            status.code == 409 || (status.code == 422 && causes.contains(&"metadata.uid")),
            "{what}: {status:?}"
        );
    }

    team.delete("logs").await;
    team.gone("logs", PATIENCE).await;
    assert_eq!(look().await, before, "it has never been touched");

    // One of a run of this name that is gone is waited for: garbage collection takes it.
    let mut former = application;
    former["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "archive.s3bundler.dev/v1alpha1", "kind": "ArchiveRun", "name": "logs",
        "uid": "00000000-0000-4000-8000-000000000000", "controller": true,
    }]);
    scene.apply(&former).await;
    team.apply(&team.archive_run("logs", &manifest, json!({})))
        .await;
    team.condition("logs", "Complete", "True", "Complete").await;
}
