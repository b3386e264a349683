//! The chart, as Helm renders it: what the operator would be started with, and what it would be
//! allowed to do.

mod monitoring;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::{CommandFactory as _, Parser as _};
use s3bundler_operator::args::{Args, Invocation};
use s3bundler_operator::policy::PolicyFile;
use serde_json::{Value, json};

/// The oldest Kubernetes that the chart is for.
const KUBERNETES: &str = "1.31.0";
const NAMESPACE: &str = "s3bundler-system";
/// What every installation has to set, unless its own values have rules.
const REQUIRED: &str = "{global: {imageRegistry: registry.example}, policy: {allowAll: true}}";
/// Something in every value that makes a difference.
const FULL: &str = r#"
global: {imageRegistry: mirror.example:5000}
commonLabels: {team: storage}
commonAnnotations: {owner: "x"}
caBundle: {configMapName: company, key: bundle.pem}
imagePullSecrets: [registry]
operator:
  image: {digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
  replicas: 2
  clusterName: production-1
  watchNamespaces: [team-a, team-b]
  maxWorkers: 1000000
  region: eu-west-1
  log: "info,s3bundler_operator=debug"
  logFormat: json
  env: {AWS_ENDPOINT_URL: "http://aws.example:9000", NUMBER: 1000000, TRUTH: true}
  credentialsSecretName: keys
  extraVolumes: [{name: profiles, configMap: {name: profiles}}]
  extraVolumeMounts: [{name: profiles, mountPath: /etc/aws, readOnly: true}]
  extraArgs: ["--identity=$(x)"]
  podAnnotations: {a: b}
  podLabels: {team: other, c: d}
  nodeSelector: {kubernetes.io/os: linux}
  tolerations: [{key: a, operator: Exists}]
  affinity: {nodeAffinity: {}}
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
  priorityClassName: high
serviceAccount: {annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/operator"}}
worker:
  fsGroup: null
  env: {AWS_ENDPOINT_URL: "http://aws.example:9000", ODD: "a \"$(b)\" = $$c", NUMBER: 3000000}
  serviceAccounts:
    - {namespace: team-a, annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/a"}}
    - {namespace: team-b, name: other}
policy:
  allowAll: false
  rules:
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: team-a}
        matchExpressions: [{key: stage, operator: In, values: [live]}]
      sourceBuckets: [inventories]
      destinations: ["team-a-archive/*"]
      queues: ["arn:aws:sqs:eu-west-1:111122223333:team-a-*"]
      serviceAccounts: [s3bundler-worker]
      maxReplicas: 1000000
      scratchTypes: [EmptyDir, HostPath]
      hostPaths: [/mnt/nvme]
    - {namespaceSelector: {matchExpressions: [{key: tenant, operator: Exists}]}}
keda: {enabled: true}
metrics:
  service: {annotations: {x: "y"}}
  podMonitor: {operator: {enabled: true, labels: {release: p}}, workers: {enabled: true}}
  prometheusRule: {enabled: true, runbookUrl: "https://docs.example/runbook.md", labels: {release: p}}
  dashboard: {enabled: true, annotations: {folder: Storage}}
notifications:
  sinks:
    - {name: ops, url: "https://events.example/s3bundler?team=$(x)", headersSecretName: ops-sink}
    - {name: broker, url: "http://broker.knative-eventing.svc/default"}
networkPolicy:
  enabled: true
  metricsFrom: [{namespaceSelector: {matchLabels: {a: b}}}]
  extraEgress: [{to: [{ipBlock: {cidr: 169.254.170.23/32}}], ports: [{port: 80}]}]
admissionPolicy:
  enabled: true
  refuseExistingQueues: true
  namespaceSelector: {matchLabels: {a: b}}
  validations: [{expression: "true", message: m}]
extraObjects:
  - {apiVersion: v1, kind: Secret, metadata: {name: "{{ .Release.Name }}-a", labels: {team: storage}, annotations: {owner: "x"}}}
  - |
    apiVersion: v1
    kind: LimitRange
    metadata: {name: b, namespace: "{{ .Release.Namespace }}", labels: {team: storage}, annotations: {owner: "x"}}
"#;

/// Helm from the PATH, or as the testbed installs it.
fn helm() -> PathBuf {
    let folders = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default();
    let cache = s3bundler_testbed::install::cache_folder().unwrap();
    let installed = std::fs::read_dir(cache)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let installed = installed.filter(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("helm-"))
    });
    let found = folders
        .into_iter()
        .chain(installed)
        .map(|folder| folder.join("helm"))
        .find(|path| path.is_file());
    found.expect(
        "helm is neither on the PATH nor in the cache: `s3bundler-testbed install` puts it there",
    )
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Runs a helm command over the chart with these values and those that are required.
fn run(command: &[&str], values: &str, more: &[&str]) -> Output {
    let has_rules = values.contains("rules:");
    let required = REQUIRED.replace("allowAll: true", &format!("allowAll: {}", !has_rules));
    run_alone(command, &[&required, values], more)
}

/// Runs a helm command over the chart with these values, the last winning, and without anybody's
/// configuration.
fn run_alone(command: &[&str], values: &[&str], more: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut helm = Command::new(helm());
    helm.args(command)
        .arg(root().join("charts/s3bundler"))
        .args(["--namespace", NAMESPACE]);
    for (n, values) in values.iter().enumerate() {
        let file = home.path().join(format!("values-{n}.yaml"));
        std::fs::write(&file, values).unwrap();
        helm.arg("--values").arg(&file);
    }
    helm.args(["--kube-version", KUBERNETES])
        .args(more)
        .env("HOME", home.path())
        .env_remove("KUBECONFIG")
        .output()
        .unwrap()
}

/// The objects that a release has with these values.
fn render(values: &str) -> Vec<Value> {
    rendered(run(&["template", "s3bundler"], values, &[])).unwrap_or_else(|error| panic!("{error}"))
}

/// Why there is no release with these values.
fn refusal(values: &str, more: &[&str]) -> String {
    rendered(run(&["template", "s3bundler"], values, more)).expect_err(values)
}

/// The objects of a release with these values and no others, or why there is none.
fn render_alone(values: &str) -> Result<Vec<Value>, String> {
    rendered(run_alone(&["template", "s3bundler"], &[values], &[]))
}

fn rendered(output: Output) -> Result<Vec<Value>, String> {
    if output.status.success() {
        Ok(documents(&String::from_utf8(output.stdout).unwrap()))
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

fn documents(yaml: &str) -> Vec<Value> {
    let parts = yaml
        .split("\n---")
        .map(|part| part.trim_start_matches("---"));
    let parts = parts.filter(|part| {
        part.lines()
            .any(|line| !line.is_empty() && !line.starts_with('#'))
    });
    parts
        .map(|part| {
            serde_saphyr::from_str(part).unwrap_or_else(|error| panic!("{error} in {part}"))
        })
        .collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}

fn the<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|item| item.as_str().unwrap())
        .collect()
}

fn container(objects: &[Value]) -> &Value {
    &the(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
}

/// The operator's settings, as it would read them in its pod.
fn settings(objects: &[Value]) -> Args {
    let policies = tempfile::tempdir().unwrap();
    let args = strings(&container(objects)["args"]).into_iter().map(|arg| {
        if let Some(file) = arg.strip_prefix("--policy=/etc/s3bundler/policy/") {
            let path = policies.path().join(file);
            let policy = of_kind(objects, "ConfigMap")
                .into_iter()
                .find_map(|it| it["data"][file].as_str());
            std::fs::write(&path, policy.unwrap()).unwrap();
            return format!("--policy={}", path.display());
        }
        // As the kubelet does ("Define Dependent Environment Variables").
        assert!(
            !arg.replace("$$", "").contains("$("),
            "{arg} would be expanded for the operator already"
        );
        arg.replace("$$", "$")
    });
    let args: Vec<_> = std::iter::once("s3bundler-operator".to_owned())
        .chain(args)
        .collect();
    Args::try_parse_from(&args).unwrap_or_else(|error| panic!("{error}: {args:?}"))
}

/// Helm takes 53 characters for a release; a Service's name is a DNS label of 63.
#[test]
fn the_longest_name_of_a_release_is_not_too_long() {
    let longest = "r".repeat(53);
    let output = run(&["template", &longest], FULL, &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let objects = documents(&String::from_utf8(output.stdout).unwrap());
    let names = objects
        .iter()
        .filter(|object| object["kind"] != "CustomResourceDefinition");
    let names: Vec<_> = names
        .map(|object| object["metadata"]["name"].as_str().unwrap())
        .collect();
    assert!(
        names.iter().any(|name| name.ends_with("-operator-metrics")),
        "{names:?}"
    );
    assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
}

#[test]
fn helm_has_nothing_to_say_against_it() {
    for values in ["", FULL] {
        let output = run(&["lint", "--strict"], values, &[]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn the_operator_understands_all_that_it_is_started_with() {
    let args = settings(&render(""));
    assert_eq!(
        (
            args.worker_image.as_str(),
            args.worker_service_account.as_str()
        ),
        (
            "registry.example/s3bundler/worker:0.1.0",
            "s3bundler-worker"
        )
    );
    assert!(
        args.policy.is_none()
            && args.worker_ca_bundle.is_none()
            && args.watch_namespaces.is_empty()
            && args.worker_env.is_empty()
    );
    assert_eq!(args.worker_fs_group, Some(65532), "the user of the images");

    let objects = render(FULL);
    let args = settings(&objects);
    assert_eq!(
        args.worker_image,
        "mirror.example:5000/s3bundler/worker:0.1.0"
    );
    assert_eq!(args.watch_namespaces, ["team-a", "team-b"]);
    assert_eq!(args.worker_fs_group, None);
    assert_eq!(
        (args.max_workers, args.cluster_name.as_str()),
        (1_000_000, "production-1")
    );
    assert_eq!(
        (args.region.as_deref(), args.log_format.as_str()),
        (Some("eu-west-1"), "json")
    );
    for (name, value) in [("ODD", "a \"$(b)\" = $$c"), ("NUMBER", "3000000")] {
        assert!(
            args.worker_env
                .contains(&(name.to_owned(), value.to_owned())),
            "{name}: {:?}",
            args.worker_env
        );
    }
    let variables = container(&objects)["env"].as_array().unwrap();
    for (name, value) in [("NUMBER", "1000000"), ("TRUTH", "true")] {
        assert!(
            variables.contains(&json!({"name": name, "value": value})),
            "{name}: {variables:?}"
        );
    }
    for resources in [&args.worker_resources, &args.grouper_resources] {
        let resources: Value = serde_json::from_str(resources).unwrap();
        assert_eq!(
            resources,
            json!({"requests": {"cpu": "2", "memory": "2Gi"}, "limits": {"memory": "2Gi"}})
        );
    }
    let PolicyFile { rules } = args.policy.unwrap();
    assert_eq!(
        (rules.len(), rules[0].max_replicas, rules[1].max_replicas),
        (2, Some(1_000_000), None)
    );
    assert_eq!(rules[0].scratch_types, ["EmptyDir", "HostPath"]);
    assert_eq!(rules[0].host_paths, ["/mnt/nvme"]);
    assert_eq!(
        rules[0].namespace_selector.to_string(),
        "kubernetes.io/metadata.name=team-a,stage in (live)"
    );
    assert_eq!(rules[1].namespace_selector.to_string(), "tenant");
}

#[test]
fn images_come_from_a_registry_that_somebody_named() {
    let images = |values: &str| {
        let objects = render_alone(&format!("policy: {{allowAll: true}}\n{values}"))?;
        let operator = container(&objects)["image"].as_str().unwrap().to_owned();
        Ok::<_, String>([operator, settings(&objects).worker_image])
    };
    for (values, registry) in [
        (
            "global: {imageRegistry: mirror.example:5000}",
            "mirror.example:5000/s3bundler",
        ),
        (
            "global: {imageRegistry: mirror.example/team/}",
            "mirror.example/team/s3bundler",
        ),
        (
            "operator: {image: {registry: one.example}}\nworker: {image: {registry: one.example}}",
            "one.example/s3bundler",
        ),
        (
            "operator: {image: {repository: one.example/a/operator}}\nworker: {image: {repository: one.example/a/worker}}",
            "one.example/a",
        ),
        (
            "operator: {image: {repository: localhost/operator}}\nworker: {image: {repository: localhost/worker}}",
            "localhost",
        ),
        (
            "operator: {image: {repository: mirror:5000/operator}}\nworker: {image: {repository: mirror:5000/worker}}",
            "mirror:5000",
        ),
    ] {
        let expected = ["operator", "worker"].map(|name| format!("{registry}/{name}:0.1.0"));
        assert_eq!(images(values), Ok(expected), "{values}");
    }
    for (values, named) in [
        ("", "operator.image.repository"),
        (
            "worker: {image: {repository: one.example/a/worker}}",
            "operator.image.repository",
        ),
        (
            "operator: {image: {repository: one.example/a/operator}}",
            "worker.image.repository",
        ),
        (
            "operator: {image: {repository: operator.v1}}",
            "operator.image.repository",
        ),
        (
            "operator: {image: {repository: team/operator.v1}}",
            "operator.image.repository",
        ),
    ] {
        let told = images(values).unwrap_err();
        assert!(
            told.contains("global.imageRegistry is required") && told.contains(named),
            "{values}: {told}"
        );
    }
}

#[test]
fn namespaces_that_share_an_operator_need_a_policy() {
    let rendered = |values: &str| {
        render_alone(&format!(
            "global: {{imageRegistry: registry.example}}\n{values}"
        ))
    };
    for values in [
        "",
        "operator: {watchNamespaces: [team-a, team-b]}",
        "policy: {allowAll: false, rules: []}",
    ] {
        let told = rendered(values).unwrap_err();
        assert!(
            told.contains("policy.rules is required"),
            "{values}: {told}"
        );
    }
    for values in [
        "operator: {watchNamespaces: [team-a]}",
        "policy: {allowAll: true}",
        "policy: {allowAll: true}\noperator: {watchNamespaces: [team-a, team-b]}",
    ] {
        let objects = rendered(values).unwrap_or_else(|error| panic!("{error}: {values}"));
        assert!(settings(&objects).policy.is_none(), "{values}");
    }
    let ruled = rendered("policy: {rules: [{}]}").unwrap();
    assert!(settings(&ruled).policy.is_some());
    let told = rendered("policy: {allowAll: true, rules: [{}]}").unwrap_err();
    assert!(told.contains("exclude each other"), "{told}");
}

#[test]
fn its_variables_are_the_operators() {
    let command = Args::command();
    let known: BTreeSet<_> = command
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str())
        .collect();
    for values in ["", FULL] {
        let objects = render(values);
        let names: Vec<_> = container(&objects)["env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["name"].as_str().unwrap())
            .collect();
        assert!(
            ["S3BUNDLER_IDENTITY", "S3BUNDLER_LEASE_NAMESPACE"]
                .iter()
                .all(|name| names.contains(name)),
            "{names:?}"
        );
        let unknown: Vec<_> = names
            .iter()
            .filter(|name| name.starts_with("S3BUNDLER_") && !known.contains(**name))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}

#[test]
fn the_operator_and_the_pods_of_runs_trust_the_same_certificates() {
    let objects = render(FULL);
    let bundle = settings(&objects).worker_ca_bundle.unwrap();
    assert_eq!(
        (bundle.config_map.as_str(), bundle.key.as_str()),
        ("company", "bundle.pem")
    );
    let container = container(&objects);
    let file = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "AWS_CA_BUNDLE")
        .unwrap();
    let (folder, name) = file["value"].as_str().unwrap().rsplit_once('/').unwrap();
    let mount = container["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["mountPath"] == folder)
        .unwrap();
    let volumes = &the(&objects, "Deployment")["spec"]["template"]["spec"]["volumes"];
    let volume = volumes
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == mount["name"])
        .unwrap();
    let items = json!([{"key": "bundle.pem", "path": name}]);
    assert_eq!(
        volume["configMap"],
        json!({"name": "company", "items": items})
    );
    assert!(
        !render("")
            .iter()
            .any(|object| object.to_string().contains("AWS_CA_BUNDLE"))
    );
}

#[test]
fn everything_has_the_labels_and_annotations_that_all_have() {
    for object in render(FULL) {
        let metadata = &object["metadata"];
        if object["kind"] == "CustomResourceDefinition" {
            continue;
        }
        assert_eq!(metadata["labels"]["team"], "storage", "{object}");
        assert_eq!(metadata["annotations"]["owner"], "x", "{object}");
    }
    let objects = render("serviceAccount: {annotations: {a: b}}");
    let account = the(&objects, "ServiceAccount");
    assert_eq!(account["metadata"]["annotations"], json!({"a": "b"}));
    let deployment = &the(&objects, "Deployment")["metadata"];
    assert!(deployment["annotations"].is_null());
}

#[test]
fn more_arguments_and_objects_are_those_that_were_written() {
    let objects = render(FULL);
    assert_eq!(settings(&objects).identity, "$(x)");
    assert_eq!(the(&objects, "Secret")["metadata"]["name"], "s3bundler-a");
    let other = the(&objects, "LimitRange");
    assert_eq!(other["metadata"]["namespace"], NAMESPACE);
}

/// `helm test` starts it, and has succeeded if it exits with 0.
#[test]
fn the_test_pod_asks_the_operators_service() {
    for values in ["", FULL] {
        let objects = render(values);
        let (pod, service) = (the(&objects, "Pod"), the(&objects, "Service"));
        assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
        assert_eq!(pod["spec"]["restartPolicy"], "Never");
        let test = &pod["spec"]["containers"][0];
        assert_eq!(test["image"], container(&objects)["image"]);
        let args = std::iter::once("s3bundler-operator").chain(strings(&test["args"]));
        let Ok(Invocation::Ready(asked)) = Invocation::try_parse_from(args) else {
            panic!("{}", test["args"]);
        };
        let (name, port) = (&service["metadata"]["name"], &service["spec"]["ports"][0]);
        let host = format!("{}.{NAMESPACE}.svc", name.as_str().unwrap());
        assert_eq!(asked.address, format!("{host}:{}", port["port"]));
    }
    let without = render("metrics: {service: {enabled: false}}");
    assert!(of_kind(&without, "Pod").is_empty());
    let policy = render(FULL)
        .into_iter()
        .find(|it| it["kind"] == "NetworkPolicy" && it["metadata"]["namespace"] == NAMESPACE);
    let from = policy.unwrap()["spec"]["ingress"][0]["from"].clone();
    let pod = the(&render(FULL), "Pod")["metadata"]["labels"].clone();
    let is_let_in = from.as_array().unwrap().iter().any(|peer| {
        let wanted = peer["podSelector"]["matchLabels"].as_object();
        wanted.is_some_and(|wanted| wanted.iter().all(|(name, value)| &pod[name] == value))
    });
    assert!(is_let_in, "{from}");
}

#[test]
fn headers_of_sinks_are_mounted_from_their_secrets() {
    let objects = render(FULL);
    let args = settings(&objects);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        args.notify,
        [
            pair("ops", "https://events.example/s3bundler?team=$(x)"),
            pair("broker", "http://broker.knative-eventing.svc/default"),
        ]
    );
    let folder = "/etc/s3bundler/notifications/ops";
    assert_eq!(args.notify_headers, [pair("ops", folder)]);
    let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
    let named = |list: &Value| {
        let items = list.as_array().unwrap().iter();
        items
            .filter(|it| it["name"].as_str().unwrap().starts_with("notifications-"))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        named(&pod["volumes"]),
        [json!({"name": "notifications-ops", "secret": {"secretName": "ops-sink"}})]
    );
    assert_eq!(
        named(&pod["containers"][0]["volumeMounts"]),
        [json!({"name": "notifications-ops", "mountPath": folder, "readOnly": true})]
    );
    let without = render("");
    assert_eq!(settings(&without).notify, []);
}

#[test]
fn a_new_policy_starts_the_operator_anew() {
    let checksum = |values: &str| {
        the(&render(values), "Deployment")["spec"]["template"]["metadata"]["annotations"].clone()
    };
    let (one, other) = (
        checksum("policy: {rules: [{destinations: [a]}]}"),
        checksum("policy: {rules: [{destinations: [b]}]}"),
    );
    assert!(one["checksum/policy"].is_string());
    assert_ne!(one, other);
}

/// Policies go by labels of the run's namespace. A Role may grant reading the namespace that it is
/// in.
#[test]
fn namespaces_are_read_only_where_there_is_a_policy() {
    let policy = "policy: {rules: [{}]}";
    let listed = format!("{policy}\noperator: {{watchNamespaces: [team-a, team-b]}}");
    for (values, kind, roles) in [
        ("", "ClusterRole", 0),
        (policy, "ClusterRole", 1),
        (&listed, "Role", 2),
    ] {
        let objects = render(values);
        let may_read = |role: &&Value| {
            let mut rules = role["rules"].as_array().unwrap().iter();
            rules.any(|rule| {
                strings(&rule["resources"]) == ["namespaces"] && strings(&rule["verbs"]) == ["get"]
            })
        };
        assert_eq!(
            of_kind(&objects, kind).into_iter().filter(may_read).count(),
            roles,
            "{values}"
        );
    }
}

#[test]
fn no_rule_has_a_wildcard_or_reads_secrets() {
    for values in ["", FULL] {
        let mut rules = 0;
        let objects = render(values);
        for role in of_kind(&objects, "Role")
            .into_iter()
            .chain(of_kind(&objects, "ClusterRole"))
        {
            for rule in role["rules"].as_array().unwrap() {
                let words: Vec<_> = ["apiGroups", "resources", "verbs"]
                    .iter()
                    .flat_map(|list| strings(&rule[list]))
                    .collect();
                assert!(
                    !words.contains(&"*") && !words.contains(&"secrets"),
                    "{rule}"
                );
                for verb in ["escalate", "bind", "impersonate"] {
                    assert!(!words.contains(&verb), "{rule}");
                }
                rules += 1;
            }
        }
        assert!(rules > 10, "{rules}");
    }
}

#[test]
fn listed_namespaces_have_roles_and_no_cluster_role() {
    let operators = |objects: &[Value], kind: &str| -> Vec<String> {
        let roles = of_kind(objects, kind)
            .into_iter()
            .filter(|role| role["metadata"]["name"] == "s3bundler-operator");
        roles
            .map(|role| {
                role["metadata"]["namespace"]
                    .as_str()
                    .unwrap_or("all")
                    .to_owned()
            })
            .collect()
    };
    let objects = render("");
    for (kind, namespaces) in [
        ("ClusterRole", 1),
        ("ClusterRoleBinding", 1),
        ("Role", 0),
        ("RoleBinding", 0),
    ] {
        assert_eq!(operators(&objects, kind).len(), namespaces, "{kind}");
    }
    let objects = render("operator: {watchNamespaces: [team-a, team-b]}");
    for kind in ["Role", "RoleBinding"] {
        assert_eq!(operators(&objects, kind), ["team-a", "team-b"], "{kind}");
    }
    assert!(of_kind(&objects, "ClusterRoleBinding").is_empty());
    assert!(operators(&objects, "ClusterRole").is_empty());
    assert!(
        of_kind(
            &render("rbac: {create: false, aggregate: false}"),
            "ClusterRole"
        )
        .is_empty()
    );
}

#[test]
fn the_lease_is_the_only_one_that_can_be_taken() {
    let objects = render("");
    let role = the(&objects, "Role");
    assert_eq!(role["metadata"]["namespace"], NAMESPACE);
    let args = settings(&objects);
    for rule in role["rules"].as_array().unwrap() {
        assert_eq!(rule["resources"], json!(["leases"]));
        assert!(
            rule["verbs"] == json!(["create"]) || rule["resourceNames"] == json!([args.lease_name]),
            "{rule}"
        );
    }
}

#[test]
fn scaled_objects_are_written_only_where_keda_is_enabled() {
    let groups = |values: &str| {
        render(values)
            .iter()
            .any(|object| object.to_string().contains("scaledobjects"))
    };
    assert_eq!(
        (
            groups("crds: {install: false}"),
            groups("{crds: {install: false}, keda: {enabled: true}}")
        ),
        (false, true)
    );
}

#[test]
fn pods_keep_to_restricted_pod_security() {
    for values in ["", FULL] {
        let objects = render(values);
        let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
        let test = &the(&objects, "Pod")["spec"];
        for field in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
            assert!(pod[field].is_null() && test[field].is_null(), "{field}");
        }
        let container = container(&objects);
        assert_eq!(test["securityContext"], pod["securityContext"]);
        assert_eq!(
            test["containers"][0]["securityContext"],
            container["securityContext"]
        );
        for context in [&pod["securityContext"], &container["securityContext"]] {
            assert_eq!(context["runAsNonRoot"], true);
            assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
            assert!(
                context["runAsUser"].is_null(),
                "OpenShift gives user ids of its own"
            );
        }
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
        let allowed = [
            "configMap",
            "secret",
            "emptyDir",
            "projected",
            "downwardAPI",
            "csi",
            "persistentVolumeClaim",
            "ephemeral",
        ];
        for volume in pod["volumes"].as_array().into_iter().flatten() {
            assert!(
                allowed.iter().any(|kind| volume.get(kind).is_some()),
                "{volume}"
            );
        }
        assert!(container["resources"]["requests"]["memory"].is_string());
        for account in of_kind(&objects, "ServiceAccount") {
            assert_eq!(
                account["automountServiceAccountToken"], false,
                "{}",
                account["metadata"]["name"]
            );
        }
    }
}

#[test]
fn selectors_find_the_pods_whatever_labels_are_added() {
    for values in ["", FULL] {
        let objects = render(values);
        let deployment = the(&objects, "Deployment");
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        let mut selectors = vec![
            &deployment["spec"]["selector"]["matchLabels"],
            &the(&objects, "Service")["spec"]["selector"],
        ];
        selectors.extend(
            of_kind(&objects, "PodDisruptionBudget")
                .iter()
                .map(|it| &it["spec"]["selector"]["matchLabels"]),
        );
        for (name, value) in selectors
            .iter()
            .flat_map(|selector| selector.as_object().unwrap())
        {
            assert_eq!(&labels[name], value, "{name}");
        }
        assert_ne!(
            labels["app.kubernetes.io/managed-by"], "s3bundler-operator",
            "it is no pod of a run"
        );
    }
}

#[test]
fn worker_service_accounts_are_where_they_are_asked_for() {
    let objects = render(FULL);
    let workers: Vec<_> = of_kind(&objects, "ServiceAccount")
        .into_iter()
        .map(|account| &account["metadata"])
        .filter(|metadata| metadata["labels"]["app.kubernetes.io/component"] == "worker")
        .map(|metadata| {
            (
                metadata["namespace"].as_str().unwrap(),
                metadata["name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        workers,
        [("team-a", "s3bundler-worker"), ("team-b", "other")]
    );
}

#[test]
fn pods_of_runs_are_closed_off_where_runs_are() {
    let objects = render(FULL);
    let policies: Vec<_> = of_kind(&objects, "NetworkPolicy")
        .iter()
        .map(|it| it["metadata"]["namespace"].clone())
        .collect();
    assert_eq!(
        policies,
        [json!(NAMESPACE), json!("team-a"), json!("team-b")]
    );
    let told = refusal("networkPolicy: {enabled: true}", &[]);
    assert!(
        told.contains("networkPolicy.runNamespaces is needed"),
        "{told}"
    );
}

/// In a release of the name that demos and documents give it.
#[test]
fn the_operators_deployment_is_where_its_logs_are_looked_for() {
    let objects = render("");
    assert_eq!(
        the(&objects, "Deployment")["metadata"]["name"],
        s3bundler_testbed::demo::OPERATOR
    );
}

#[test]
fn replicas_prefer_nodes_of_their_own() {
    let affinity = |values: &str| {
        the(&render(values), "Deployment")["spec"]["template"]["spec"]["affinity"].clone()
    };
    for values in ["", "operator: {affinity: {nodeAffinity: {}}}"] {
        let preferred = &affinity(values)["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
            [0];
        let term = &preferred["podAffinityTerm"];
        assert_eq!(term["topologyKey"], "kubernetes.io/hostname", "{values}");
        assert_eq!(
            term["labelSelector"]["matchLabels"],
            the(&render(values), "Deployment")["spec"]["selector"]["matchLabels"]
        );
    }
    assert_eq!(
        affinity("operator: {affinity: {nodeAffinity: {}}}")["nodeAffinity"],
        json!({})
    );
    assert_eq!(
        affinity("operator: {affinity: {podAntiAffinity: {}}}"),
        json!({"podAntiAffinity": {}})
    );
}

#[test]
fn one_replica_has_no_disruption_budget() {
    assert!(of_kind(&render(""), "PodDisruptionBudget").is_empty());
    the(&render("operator: {replicas: 2}"), "PodDisruptionBudget");
}

#[test]
fn the_crd_survives_the_release() {
    let objects = render("");
    let crd = the(&objects, "CustomResourceDefinition");
    assert_eq!(
        crd["metadata"]["annotations"]["helm.sh/resource-policy"],
        "keep"
    );
    let keep = render("crds: {keep: false}");
    assert!(the(&keep, "CustomResourceDefinition")["metadata"]["annotations"].is_null());
    assert!(
        of_kind(
            &render("crds: {install: false}"),
            "CustomResourceDefinition"
        )
        .is_empty()
    );
}

#[test]
fn older_clusters_are_refused() {
    let told = refusal("", &["--kube-version", "1.30.9"]);
    assert!(told.contains("kubeVersion"), "{told}");
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for values in [
        "surprise: 1",
        "operator: {replica: 2}",
        "operator: {image: {name: x}}",
        "worker: {serviceAccounts: [{namespace: a, annotation: {}}]}",
        "policy: {rules: [{namespace: [a]}]}",
        "policy: {rules: [{destinations: []}]}",
        "policy: {rules: [{queues: []}]}",
        "policy: {rules: [{scratchTypes: []}]}",
        "policy: {rules: [{hostPaths: [/mnt]}]}",
        "policy: {rules: [{scratchTypes: [EmptyDir], hostPaths: [/mnt]}]}",
        "policy: {rules: [{scratchTypes: [HostPath], hostPaths: []}]}",
        "policy: {rules: [{scratchTypes: [HostPath], hostPaths: [mnt]}]}",
        "policy: {rules: [{scratchTypes: [HostPath], hostPaths: ['/mnt/*']}]}",
        "policy: {rules: [{namespaceSelector: {matchLabel: {a: b}}}]}",
        "policy: {rules: [{namespaceSelector: {matchExpressions: [{key: a, operator: Is}]}}]}",
        "operator: {image: {digest: sha256:0}}",
        "operator: {logFormat: xml}",
        "operator: {clusterName: production 1}",
        "operator: {clusterName: prod_1}",
        "operator: {clusterName: a-name-of-21-letters-}",
        "operator: {clusterName: a-name-of-21-letters1}",
        "operator: {env: {'A-B': c}}",
        "commonLabels: {app.kubernetes.io/name: other}",
        "caBundle: {secretName: x}",
        "metrics: {port: 80}",
        "metrics: {prometheusRule: {disabled: [S3BundlerNoSuchAlert]}}",
        "metrics: {prometheusRule: {runbookUrl: docs/runbook.md}}",
        "metrics: {prometheusRule: {noProgressSeconds: 1}}",
        "operator: {extraArgs: [policy]}",
        "notifications: {url: 'https://events.example'}",
        "notifications: {sinks: [{name: ops}]}",
        "notifications: {sinks: [{name: Ops, url: 'https://events.example'}]}",
        "notifications: {sinks: [{name: ops, url: 'ftp://events.example'}]}",
        "notifications: {sinks: [{name: ops, url: 'https://user:password@events.example'}]}",
        "admissionPolicy: {validations: [{message: m}]}",
    ] {
        let told = refusal(values, &[]);
        assert!(
            told.contains("don't meet the specifications of the schema"),
            "{values}: {told}"
        );
    }
}

/// A value that the schema does not know cannot be set, and one that values.yaml does not have
/// cannot be found.
#[test]
fn schema_and_values_have_the_same_keys() {
    fn compare(schema: &Value, definitions: &Value, value: &Value, path: &str) {
        let schema = match schema["$ref"].as_str() {
            Some(reference) => &definitions[reference.strip_prefix("#/definitions/").unwrap()],
            None => schema,
        };
        let (Some(known), Some(value)) = (schema["properties"].as_object(), value.as_object())
        else {
            return;
        };
        if path != ".global" {
            assert_eq!(schema["additionalProperties"], false, "{path}");
        }
        // Absent unless somebody sets them.
        let optional = [
            ".operator.affinity",
            ".admissionPolicy.namespaceSelector",
            ".metrics.prometheusRule.alertLabels",
        ];
        for (name, schema) in known {
            let path = format!("{path}.{name}");
            match value.get(name) {
                Some(value) => compare(schema, definitions, value, &path),
                None => assert!(
                    optional.iter().any(|parent| path.starts_with(parent)),
                    "{path} is not in values.yaml"
                ),
            }
        }
        for name in value.keys() {
            assert!(
                known.contains_key(name),
                "{path}.{name} is not in values.schema.json"
            );
        }
    }
    let read =
        |name: &str| std::fs::read_to_string(root().join("charts/s3bundler").join(name)).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    compare(&schema, &schema["definitions"], &values, "");
}

#[test]
fn examples_can_be_read_and_local_values_rendered() {
    let examples = root().join("deploy/examples");
    for entry in std::fs::read_dir(&examples).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for document in documents(&text) {
            let is_values = path
                .file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("values-");
            assert!(
                is_values || document["kind"].is_string(),
                "{}",
                path.display()
            );
        }
    }
    let local = std::fs::read_to_string(examples.join("values-local.yaml")).unwrap();
    let args = settings(&render_alone(&local).unwrap());
    assert_eq!(
        (
            args.worker_image.as_str(),
            args.worker_image_pull_policy.as_str()
        ),
        ("localhost/s3bundler/worker:dev", "Never")
    );
    assert_eq!(args.worker_env.len(), 2);
}

#[test]
fn values_in_examples_and_documents_are_whole() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let within = |path: &str, pointer: &str| {
        let documents = documents(&read(path));
        let values = documents.iter().find_map(|it| it.pointer(pointer));
        serde_saphyr::to_string(values.unwrap()).unwrap()
    };
    let page = read("docs/kubernetes/install.md");
    let (_, block) = page.split_once("```yaml\nglobal:").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    for values in [
        within("deploy/examples/flux.yaml", "/spec/values"),
        within(
            "deploy/examples/argocd.yaml",
            "/spec/source/helm/valuesObject",
        ),
        format!("global:{block}"),
    ] {
        let objects = render_alone(&values).unwrap_or_else(|error| panic!("{error}: {values}"));
        assert_eq!(
            settings(&objects).cluster_name.as_str(),
            "production",
            "{values}"
        );
    }
}

#[test]
fn iam_policies_name_their_actions() {
    let folder = root().join("deploy/iam");
    let page = std::fs::read_to_string(root().join("docs/kubernetes/roles.md")).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(page.contains(&name), "{name} is not in roles.md");
        let policy: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for statement in policy["Statement"].as_array().unwrap() {
            assert!(
                !statement["Action"].to_string().contains('*'),
                "{name}: {statement}"
            );
            assert!(statement["Resource"] != "*", "{name}: {statement}");
            let words = statement.to_string();
            // Names of queues have underscores of their own.
            let words = words.replace("CLUSTER_NAMESPACE", "");
            let placeholders = words
                .split(|c: char| !c.is_ascii_uppercase() && c != '_')
                .map(|word| word.trim_matches('_'))
                .filter(|word| word.contains('_'));
            for word in placeholders {
                assert!(
                    page.contains(&format!("`{word}`")),
                    "{word} of {name} is not in roles.md"
                );
            }
        }
    }
}
