//! Runs without keys: their pods have the role of their service account, as with IRSA on EKS.
//!
//! ```text
//! ServiceAccount, annotated with a role ──► admission policy (EKS: a webhook) ──► pod with a projected token
//!                              STS: token's claims = role's trust policy ──► keys for an hour ──► S3, SQS
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::ListParams;
use s3bundler_testbed::servers::Policy;
use serde_json::{Value, json};

use super::asked;
use super::patience::{PATIENCE, POLL, Patience};
use super::scene::{CLUSTER, Scene};
use super::team::{Team, told};

/// The service account's annotation that names its role ("IAM roles for service accounts", EKS user
/// guide).
const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";
const ROLE: &str = "team-identity";
const TOKENS: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
/// Of all roles of all pods, as the kubelet and the API server write them.
const ISSUER: &str = "kubernetes.default.svc";

pub async fn pods_without_keys_archive_with_the_role_of_their_service_account(scene: &Scene) {
    let team = scene.team("identity").await;
    scene
        .kubectl(&[
            "delete",
            "secret",
            "aws",
            "-n",
            &team.name,
            "--ignore-not-found",
        ])
        .await
        .unwrap();
    let arn = role(scene, &team).await;
    let annotation = format!("{ROLE_ANNOTATION}={arn}");
    let account = [
        "annotate",
        "--overwrite",
        "serviceaccount",
        "s3bundler-worker",
        "-n",
        &team.name,
        &annotation,
    ];
    scene.kubectl(&account).await.unwrap();
    scene.apply(&webhook(&team)).await;
    mutates(scene, &team).await;

    let manifest = team.inventory(45).await;
    let mut run = team.archive_run("logs", &manifest, json!({}));
    run["spec"]
        .as_object_mut()
        .unwrap()
        .remove("credentialsSecretRef");
    team.apply(&run).await;
    let pods = pods_until_complete(scene, &team).await;
    for component in ["grouper", "worker"] {
        assert!(pods.values().any(
            |pod| pod.metadata.labels.as_ref().unwrap()["app.kubernetes.io/component"] == component
        ));
    }
    for (name, pod) in &pods {
        assert_has_no_keys(name, pod);
    }
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), &team.name);
    let all = ListParams::default();
    assert_eq!(asked::api(|| secrets.list(&all)).await.unwrap().items, []);
    team.assert_verified("logs").await;

    // With nothing but the role: what was asked, was asked by it, and allowed.
    let decisions = scene.cluster.moto().unwrap().decisions().unwrap();
    // Whether a bucket answers is asked with HeadBucket, for which a denial is an answer.
    let own: Vec<_> = decisions
        .iter()
        .filter(|it| it.is_of(ROLE) && it.action != "s3:HeadBucket")
        .collect();
    assert!(own.iter().all(|it| it.by.is_some()), "{own:#?}");
    let actions: BTreeSet<_> = own.iter().map(|it| it.action.as_str()).collect();
    for action in [
        "s3:PutObject",
        "sqs:SendMessage",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
    ] {
        assert!(actions.contains(action), "{actions:?}");
    }
    let denied = decisions
        .iter()
        .filter(|it| it.is_of("operator") && it.by.is_none());
    // One scenario takes a permission away from it.
    let denied: Vec<_> = denied
        .filter(|it| !it.resource.contains(":s3bundler_testbed_orphaned_"))
        .collect();
    assert!(
        denied.is_empty(),
        "operator.json is not enough: {denied:#?}"
    );
    assert_other_service_accounts_do_not_have_it(scene, &team, &arn).await;
}

/// The role of this team, with the policies of deploy/iam and the trust policy for IRSA.
async fn role(scene: &Scene, team: &Team<'_>) -> String {
    let [source, inventory, archive] =
        ["source", "inventory", "archive"].map(|kind| team.bucket(kind));
    let words = [
        ("OIDC_PROVIDER", ISSUER),
        ("CLUSTER", CLUSTER),
        ("NAMESPACE", team.name.as_str()),
        ("SERVICE_ACCOUNT", "s3bundler-worker"),
        ("INVENTORY_BUCKET", inventory.as_str()),
        ("SOURCE_BUCKET", source.as_str()),
        ("DESTINATION_BUCKET", archive.as_str()),
        ("PREFIX", "arch"),
        ("ACCOUNT", "123456789012"),
    ];
    let [trust, grouper, worker] = ["trust-irsa.json", "grouper.json", "worker.json"]
        .map(|file| Policy::of_deployment(file, &words));
    let policies = [grouper.as_str(), worker.as_str()];
    scene
        .cluster
        .moto()
        .unwrap()
        .role_with_policies(ROLE, trust.as_str(), &policies)
        .await
        .unwrap()
}

/// What EKS's webhook does to pods whose service account names a role, in this namespace.
fn webhook(team: &Team<'_>) -> Value {
    let env = |name: &str, value: &str| {
        format!(
            r#"JSONPatch{{op: "add", path: "/spec/containers/0/env/-",
                value: Object.spec.containers.env{{name: "{name}", value: {value}}}}}"#
        )
    };
    let patches = [
        r#"JSONPatch{op: "add", path: "/spec/volumes/-", value: Object.spec.volumes{name: "aws-iam-token",
            projected: Object.spec.volumes.projected{sources: [Object.spec.volumes.projected.sources{
                serviceAccountToken: Object.spec.volumes.projected.sources.serviceAccountToken{
                    audience: "sts.amazonaws.com", expirationSeconds: 86400, path: "token"}}]}}}"#
            .to_owned(),
        format!(
            r#"JSONPatch{{op: "add", path: "/spec/containers/0/volumeMounts/-",
                value: Object.spec.containers.volumeMounts{{name: "aws-iam-token", mountPath: "{TOKENS}", readOnly: true}}}}"#
        ),
        env("AWS_ROLE_ARN", &format!("params.metadata.annotations['{ROLE_ANNOTATION}']")),
        env("AWS_WEB_IDENTITY_TOKEN_FILE", &format!("'{TOKENS}/token'")),
    ];
    let (api, name) = ("admissionregistration.k8s.io/v1beta1", "pod-identity");
    let created_pods = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    let policy = json!({
        "apiVersion": api, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "paramKind": {"apiVersion": "v1", "kind": "ServiceAccount"},
            "matchConstraints": {"resourceRules": [created_pods]},
            "matchConditions": [
                {"name": "its-account", "expression": "object.spec.serviceAccountName == \
                    params.metadata.name"},
            ],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": format!("[{}]", patches.join(","))}}],
        },
    });
    let binding = json!({
        "apiVersion": api, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "paramRef": {"name": "s3bundler-worker", "parameterNotFoundAction": "Deny"},
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": team.name}}},
        },
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [policy, binding]})
}

/// Waits until the API server follows the policy: it learns of it by a watch.
async fn mutates(scene: &Scene, team: &Team<'_>) {
    let restricted = json!({"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": {
        "serviceAccountName": "s3bundler-worker", "volumes": [{"name": "a", "emptyDir": {}}],
        "containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "b"}], "securityContext": restricted,
            "volumeMounts": [{"name": "a", "mountPath": "/a"}]}],
    }});
    let (api, pod): (Api<Pod>, Pod) = (
        Api::namespaced(scene.client.clone(), &team.name),
        serde_json::from_value(pod).unwrap(),
    );
    let begun = Instant::now();
    loop {
        let params = kube::api::PostParams {
            dry_run: true,
            field_manager: None,
        };
        let made = asked::api(|| api.create(&params, &pod)).await;
        if made
            .as_ref()
            .is_ok_and(|pod| variables(pod).contains("AWS_ROLE_ARN"))
        {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "pods are as they were: {made:?}"
        );
        tokio::time::sleep(POLL).await;
    }
}

fn variables(pod: &Pod) -> BTreeSet<&str> {
    let containers = &pod.spec.as_ref().unwrap().containers;
    containers
        .iter()
        .flat_map(|it| it.env.iter().flatten())
        .map(|it| it.name.as_str())
        .collect()
}

/// Every pod that the run ever had.
async fn pods_until_complete(scene: &Scene, team: &Team<'_>) -> BTreeMap<String, Pod> {
    let api: Api<Pod> = Api::namespaced(scene.client.clone(), &team.name);
    let (mut pods, all) = (BTreeMap::new(), ListParams::default());
    let mut patience = Patience::default();
    loop {
        for pod in asked::api(|| api.list(&all)).await.unwrap() {
            pods.insert(pod.metadata.name.clone().unwrap(), pod);
        }
        let status = team.status("logs").await;
        if told(&status, "Complete") == Some(("True", "Complete")) {
            return pods;
        }
        patience.wait(status, "not complete").await;
    }
}

fn assert_has_no_keys(name: &str, pod: &Pod) {
    let variables = variables(pod);
    for key in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ] {
        assert!(!variables.contains(key), "{name} has {key}");
    }
    for needed in ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"] {
        assert!(variables.contains(needed), "{name}: {variables:?}");
    }
    let spec = pod.spec.as_ref().unwrap();
    let refers = spec
        .containers
        .iter()
        .flat_map(|it| it.env.iter().flatten())
        .filter_map(|it| it.value_from.as_ref());
    assert!(
        refers.into_iter().all(|it| it.secret_key_ref.is_none()),
        "{name}: {spec:#?}"
    );
    assert!(
        spec.containers.iter().all(|it| it.env_from.is_none()),
        "{name}: {spec:#?}"
    );
    assert!(
        spec.volumes.iter().flatten().all(|it| it.secret.is_none()),
        "{name}: {spec:#?}"
    );
}

/// The role is this service account's, not the namespace's.
async fn assert_other_service_accounts_do_not_have_it(scene: &Scene, team: &Team<'_>, arn: &str) {
    let token = scene.cluster.folder().join("another-token");
    for (account, code) in [("default", 7), ("s3bundler-worker", 0)] {
        let made = [
            "create",
            "token",
            account,
            "-n",
            &team.name,
            "--audience",
            "sts.amazonaws.com",
        ];
        let made = scene.kubectl(&made).await.unwrap();
        std::fs::write(&token, made.trim()).unwrap();
        let verify = team
            .verifying("logs")
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY");
        let verify = verify
            .env("AWS_ROLE_ARN", arn)
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", &token);
        let verified = verify.run().await.unwrap();
        assert_eq!(verified.code, Some(code), "{account}: {verified}");
    }
}
