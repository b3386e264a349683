//! What the API server itself takes and refuses: every rule of the definition, on the real thing.

use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::discovery::ApiResource;
use s3bundler_operator::crd::ArchiveRun;
use serde_json::{Value, json};

use super::admission::cases;
use super::asked;
use super::scene::Scene;
use super::team::message;

pub async fn what_the_api_server_takes_and_refuses(scene: &Scene) {
    let team = scene.team("admission").await;
    let api: Api<DynamicObject> =
        Api::namespaced_with(scene.client.clone(), &team.name, &ApiResource::erase::<ArchiveRun>(&()));
    let object = |value: &Value| serde_json::from_value::<DynamicObject>(value.clone()).unwrap();
    let mut wrong = Vec::new();
    for case in cases() {
        // Nothing is to be carried out: nobody waits for these.
        let params = PostParams { dry_run: case.update.is_none(), field_manager: None };
        let asked_for = object(&case.object);
        let created = asked::api(|| api.create(&params, &asked_for)).await;
        let answer = match (created, &case.update) {
            (Ok(found), Some(update)) => {
                let (mut update, name) = (object(update), found.metadata.name.unwrap());
                let replacing = PostParams::default();
                // Replaced and not patched, so that what is left out is gone; the operator writes its status meanwhile.
                let updated = loop {
                    let found = asked::api(|| api.get(&name)).await.unwrap();
                    update.metadata.resource_version = found.metadata.resource_version;
                    match asked::api(|| api.replace(&name, &replacing, &update)).await {
                        Err(kube::Error::Api(status)) if status.code == 409 => {}
                        replaced => break replaced.map(|_| ()),
                    }
                };
                let _ = api.delete(&name, &kube::api::DeleteParams::default()).await;
                updated
            }
            (created, _) => created.map(|_| ()),
        };
        match (answer, case.refused) {
            (Ok(()), None) => {}
            (Err(error), Some(expected)) if error.to_string().contains(expected) => {}
            (answer, expected) => wrong.push(format!("{}: {answer:?}, expected {expected:?}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The policy of this release is for namespaces under restricted Pod Security.
pub async fn a_namespace_without_a_policy_of_its_own_is_told(scene: &Scene) {
    let team = scene.team("outsiders").await;
    let label = |label| scene.cluster.kubectl(["label", "namespace", "outsiders", label]);
    label("pod-security.kubernetes.io/enforce-").await.unwrap();
    let run = team.archive_run("logs", "s3://outsiders-inventory/manifest.json", json!({"suspend": true}));
    team.create(&run).await;
    let status = team.condition("logs", "Accepted", "False", "NotAllowed").await;
    assert!(message(&status, "Accepted").contains("namespace outsiders"), "{status:?}");
    label("pod-security.kubernetes.io/enforce=restricted").await.unwrap();
    // A change has it looked at again at once.
    team.patch("logs", json!({"metadata": {"annotations": {"again": "now"}}})).await;
    team.condition("logs", "Accepted", "True", "Valid").await;
}
