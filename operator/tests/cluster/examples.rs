//! The examples in deploy/examples, created in an API server that has the definitions of those they
//! are for: Karpenter's as its package embeds them, the others made of their types
//! (`testbed/crds`). So is what the chart has for Prometheus' operator. Of Argo CD's example only the ConfigMap is tried: the package of its API needs
//! all of Kubernetes and 38 replacements in go.mod, so its Application is read as YAML alone
//! (`testbed/tests/integration/chart.rs`).

use s3bundler_testbed::install::{Recipe, installed};
use s3bundler_testbed::kube::KubeError;
use serde_json::{Value, json};

use super::scene::{RELEASE, Scene, repository};

const ARCHIVE_RUNS: [&str; 2] = [
    include_str!("../../../deploy/examples/archiverun-minimal.yaml"),
    include_str!("../../../deploy/examples/archiverun-full.yaml"),
];
const ARGO_CD: &str = include_str!("../../../deploy/examples/argocd.yaml");
const FLUX: &str = include_str!("../../../deploy/examples/flux.yaml");
const KARPENTER: &str = include_str!("../../../deploy/examples/karpenter.yaml");
const MOTO: &str = include_str!("../../../deploy/examples/moto.yaml");
const KEDA: &str = include_str!("../../../deploy/examples/keda.yaml");

/// What the examples are written for.
const DEFINITIONS: [&str; 9] = [
    "nodepools.karpenter.sh",
    "ec2nodeclasses.karpenter.k8s.aws",
    "triggerauthentications.keda.sh",
    "gitrepositories.source.toolkit.fluxcd.io",
    "helmreleases.helm.toolkit.fluxcd.io",
    "kustomizations.kustomize.toolkit.fluxcd.io",
    "prometheusrules.monitoring.coreos.com",
    "servicemonitors.monitoring.coreos.com",
    "podmonitors.monitoring.coreos.com",
];

/// Makes the API server take objects of these definitions.
pub async fn define(scene: &Scene, definitions: &[&str]) {
    let folder = tokio::task::spawn_blocking(|| installed(Recipe::Crds))
        .await
        .unwrap()
        .unwrap();
    for definition in definitions {
        let (plural, group) = definition.split_once('.').unwrap();
        let file = folder
            .join(format!("{group}_{plural}.yaml"))
            .display()
            .to_string();
        // The text of some is too long for the annotation of an apply on the client's side.
        scene
            .kubectl(&["apply", "--server-side", "--filename", &file])
            .await
            .unwrap();
        scene.cluster.established(definition).await.unwrap();
    }
}

pub async fn examples_are_what_others_understand(scene: &Scene) {
    define(scene, &DEFINITIONS).await;
    for namespace in ["team-a", "flux-system", "argocd", "storage"] {
        let metadata = json!({"name": namespace});
        scene
            .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
            .await;
    }
    let (_, config_map) = ARGO_CD.split_once("\n---\n").unwrap();
    for (example, objects) in [(KARPENTER, 2), (KEDA, 1), (FLUX, 3), (config_map, 1)] {
        let created = create(scene, example, &[]).await.unwrap();
        assert_eq!(created.lines().count(), objects, "{created}");
    }
    nodes_are_pinned_and_fall_back();
    for example in ARCHIVE_RUNS.into_iter().chain([MOTO]) {
        // The operator, and the kubelet, would begin with it.
        create(scene, example, &["--dry-run=server"]).await.unwrap();
    }
    let monitoring = monitoring(scene).await;
    let created = create(scene, &monitoring, &["--dry-run=server"]).await;
    assert_eq!(created.unwrap().lines().count(), 4);
    let of_chart = monitoring.as_str();
    // Whatever is written wrong is refused: a name, a value, and what rules forbid.
    let wrong = [
        (
            KARPENTER,
            "consolidateAfter",
            "consolidateAfterwards",
            "unknown field",
        ),
        (
            KARPENTER,
            "reasons: [Drifted]",
            "reasons: [Drift]",
            "Unsupported value",
        ),
        (
            KARPENTER,
            "al2023@v20260828",
            "al2023",
            "improperly formatted",
        ),
        (
            KARPENTER,
            "instanceStorePolicy: RAID0",
            "instanceStorePolicy: RAID5",
            "Unsupported value",
        ),
        (
            KARPENTER,
            "karpenter.k8s.aws/instance-local-nvme",
            "karpenter.k8s.aws/nvme",
            "restricted",
        ),
        (
            KEDA,
            "identityOwner: keda",
            "identityOwner: nobody",
            "Unsupported value",
        ),
        (FLUX, "sourceRef", "sourceReference", "unknown field"),
        (
            FLUX,
            "healthCheckExprs",
            "healthCheckExpressions",
            "unknown field",
        ),
        (of_chart, "honorLabels", "honourLabels", "unknown field"),
        (of_chart, "for: 5m", "for: 5", "Invalid value"),
    ];
    for (example, right, wrong, why) in wrong {
        let refused = create(
            scene,
            &example.replacen(right, wrong, 1),
            &["--dry-run=server"],
        )
        .await
        .unwrap_err();
        assert!(refused.to_string().contains(why), "{wrong}: {refused}");
    }
}

/// What the definitions of Karpenter do not ask for.
fn nodes_are_pinned_and_fall_back() {
    let documents = KARPENTER.split("\n---\n");
    let [pool, class]: [Value; 2] = documents
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let requirements = pool["spec"]["template"]["spec"]["requirements"].as_array();
    let values = |key: &str| {
        let mut found = requirements.unwrap().iter().filter(|it| it["key"] == key);
        found.next().unwrap()["values"].clone()
    };
    assert_eq!(
        values("karpenter.sh/capacity-type"),
        json!(["spot", "on-demand"])
    );
    assert_eq!(
        values("kubernetes.io/arch").as_array().unwrap().len(),
        1,
        "an image of one build has one architecture"
    );
    let budgets = pool["spec"]["disruption"]["budgets"].as_array().unwrap();
    assert!(
        budgets.iter().all(|it| it["reasons"].is_array()),
        "{budgets:?}"
    );
    let alias = class["spec"]["amiSelectorTerms"][0]["alias"].as_str();
    let (_, version) = alias.unwrap().split_once("@v").unwrap();
    assert!(version.parse::<u32>().is_ok(), "{alias:?} is not pinned");
}

/// What the chart has for Prometheus' operator and for Grafana, all of it.
async fn monitoring(scene: &Scene) -> String {
    let chart = repository().join("charts/s3bundler").display().to_string();
    let values = [
        "serviceMonitor.enabled=true",
        "podMonitor.workers.enabled=true",
        "dashboard.enabled=true",
        "prometheusRule.enabled=true",
        "prometheusRule.runbookUrl=https://docs.example/runbook.md",
    ];
    let objects = [
        "servicemonitor",
        "podmonitors",
        "dashboard",
        "prometheusrule",
    ];
    let mut arguments: Vec<String> = ["template", "s3bundler", &chart, "--namespace", RELEASE]
        .map(str::to_owned)
        .into();
    // Otherwise Helm takes the cluster for one of its own age.
    arguments.push("--kube-version=1.31.0".to_owned());
    let required = [
        "global.imageRegistry=registry.example",
        "policy.allowAll=true",
    ];
    arguments.extend(required.map(|value| format!("--set={value}")));
    arguments.extend(values.map(|value| format!("--set=metrics.{value}")));
    arguments.extend(objects.map(|name| format!("--show-only=templates/{name}.yaml")));
    scene.cluster.helm(arguments).await.unwrap()
}

/// Creates objects, which must have no field that their definitions do not have; gives a line for
/// each.
async fn create(scene: &Scene, documents: &str, more: &[&str]) -> Result<String, KubeError> {
    let file = scene.cluster.folder().join("example.yaml");
    std::fs::write(&file, documents).unwrap();
    let file = file.display().to_string();
    let create = [&["create", "--validate=strict", "--filename", &file], more].concat();
    let is_there = |line: &str| line.ends_with(" created") || line.contains("(AlreadyExists)");
    match scene.kubectl(&create).await {
        // Created by a request whose answer was lost.
        Err(KubeError::Command { output, .. }) if output.lines().all(is_there) => Ok(output),
        created => created,
    }
}
