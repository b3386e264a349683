//! Prometheus' configuration from the chart's PodMonitors, written as the Prometheus operator writes
//! it ("Prometheus Operator: API reference, PodMonitor"), but for the discovery of pods: Debian's
//! Prometheus is built without that of Kubernetes. So the trial writes a file of targets, with the
//! labels that `kubernetes_sd_config` gives them.

use std::path::Path;

use serde_json::{Value, json};

/// How often rules are evaluated.
const EVALUATION: &str = "2s";

/// The configuration that scrapes those of the targets that these PodMonitors select, and evaluates a
/// file of rules.
pub(super) fn configuration(monitors: &[Value], targets: &Path, rules: &Path) -> Value {
    let jobs: Vec<_> = monitors
        .iter()
        .flat_map(|monitor| {
            let endpoints = items(&monitor["spec"]["podMetricsEndpoints"]);
            let endpoints = endpoints.iter().enumerate();
            endpoints.map(move |(n, endpoint)| job(monitor, n, endpoint, targets))
        })
        .collect();
    json!({
        "global": {"evaluation_interval": EVALUATION},
        "rule_files": [rules],
        "scrape_configs": jobs,
    })
}

/// A target for each port of each pod that has an address.
pub(super) fn targets(pods: &Value) -> Value {
    let mut targets = Vec::new();
    for pod in items(&pods["items"]) {
        let (metadata, status) = (&pod["metadata"], &pod["status"]);
        let mut labels = json!({
            "__meta_kubernetes_namespace": metadata["namespace"],
            "__meta_kubernetes_pod_name": metadata["name"],
            "__meta_kubernetes_pod_phase": status["phase"],
        });
        for (label, value) in metadata["labels"].as_object().into_iter().flatten() {
            labels[of_pod(label)] = value.clone();
        }
        let Some(address) = status["podIP"].as_str() else {
            continue;
        };
        for container in items(&pod["spec"]["containers"]) {
            for port in items(&container["ports"]) {
                let mut labels = labels.clone();
                labels["__meta_kubernetes_pod_container_name"] = container["name"].clone();
                labels["__meta_kubernetes_pod_container_port_name"] = json!(text(&port["name"]));
                let target = format!("{address}:{}", port["containerPort"]);
                targets.push(json!({"targets": [target], "labels": labels}));
            }
        }
    }
    json!(targets)
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn job(monitor: &Value, number: usize, endpoint: &Value, targets: &Path) -> Value {
    let (metadata, spec) = (&monitor["metadata"], &monitor["spec"]);
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let keep = |label: &str, value: &str| json!({"action": "keep", "source_labels": [label], "regex": value});
    let copy = |from: &str, to: &str| json!({"source_labels": [from], "target_label": to});
    let mut relabelings = vec![json!({
        "action": "drop",
        "source_labels": ["__meta_kubernetes_pod_phase"],
        "regex": "(Failed|Succeeded)",
    })];
    let selector = &spec["namespaceSelector"];
    if selector["any"] != true {
        let named = items(&selector["matchNames"]).iter().map(text);
        let mut names: Vec<_> = named.collect();
        if names.is_empty() {
            names.push(namespace.clone());
        }
        relabelings.push(keep("__meta_kubernetes_namespace", &names.join("|")));
    }
    for (label, value) in spec["selector"]["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
    {
        relabelings.push(keep(&of_pod(label), &text(value)));
    }
    let port = text(&endpoint["port"]);
    relabelings.extend([
        keep("__meta_kubernetes_pod_container_port_name", &port),
        copy("__meta_kubernetes_namespace", "namespace"),
        copy("__meta_kubernetes_pod_container_name", "container"),
        copy("__meta_kubernetes_pod_name", "pod"),
    ]);
    for label in items(&spec["podTargetLabels"]) {
        let label = text(label);
        relabelings.push(json!({
            "source_labels": [of_pod(&label)],
            "target_label": sanitized(&label),
            "regex": "(.+)",
        }));
    }
    relabelings.extend([
        json!({"target_label": "job", "replacement": format!("{namespace}/{name}")}),
        json!({"target_label": "endpoint", "replacement": port}),
    ]);
    for relabeling in items(&endpoint["relabelings"]) {
        relabelings.push(json!({
            "source_labels": relabeling["sourceLabels"],
            "target_label": relabeling["targetLabel"],
        }));
    }
    json!({
        "job_name": format!("podMonitor/{namespace}/{name}/{number}"),
        "honor_labels": endpoint["honorLabels"] == true,
        "file_sd_configs": [{"files": [targets], "refresh_interval": "1s"}],
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint["interval"],
        "metrics_path": endpoint["path"],
        "relabel_configs": relabelings,
    })
}

/// The label that Prometheus' discovery gives a pod for one of its own.
fn of_pod(label: &str) -> String {
    format!("__meta_kubernetes_pod_label_{}", sanitized(label))
}

/// Other characters become underscores ("kubernetes_sd_config", Prometheus documentation).
fn sanitized(label: &str) -> String {
    let is_kept = |c: char| c.is_ascii_alphanumeric();
    label
        .chars()
        .map(|c| if is_kept(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests;
