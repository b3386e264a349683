use super::*;

fn monitor() -> Value {
    json!({
        "metadata": {"namespace": "system", "name": "workers"},
        "spec": {
            "namespaceSelector": {"any": true},
            "selector": {"matchLabels": {"app.kubernetes.io/name": "s3bundler"}},
            "podTargetLabels": ["example.dev/run"],
            "podMetricsEndpoints": [{
                "port": "http", "path": "/metrics", "interval": "2s",
                "relabelings": [{"sourceLabels": ["__meta_x"], "targetLabel": "run"}],
            }],
        },
    })
}

fn only_job(monitor: Value) -> Value {
    let (targets, rules) = (Path::new("/targets.json"), Path::new("/rules.yaml"));
    configuration(&[monitor], targets, rules)["scrape_configs"][0].clone()
}

#[test]
fn a_job_keeps_the_pods_and_the_port_of_its_monitor() {
    let job = only_job(monitor());
    assert_eq!(job["job_name"], "podMonitor/system/workers/0");
    assert_eq!(job["scrape_interval"], "2s");
    let relabelings = job["relabel_configs"].to_string();
    for part in [
        r#"{"action":"keep","regex":"s3bundler","source_labels":["__meta_kubernetes_pod_label_app_kubernetes_io_name"]}"#,
        r#"{"action":"keep","regex":"http","source_labels":["__meta_kubernetes_pod_container_port_name"]}"#,
        r#""target_label":"example_dev_run""#,
        r#"{"source_labels":["__meta_x"],"target_label":"run"}"#,
    ] {
        assert!(relabelings.contains(part), "{part}: {relabelings}");
    }
}

#[test]
fn a_monitor_without_namespaces_is_for_its_own() {
    let of_namespace = r#""source_labels":["__meta_kubernetes_namespace"]}"#;
    let kept = format!(r#"{{"action":"keep","regex":"system",{of_namespace}"#);
    let relabelings = |monitor| only_job(monitor)["relabel_configs"].to_string();
    assert!(!relabelings(monitor()).contains(&kept));
    let mut own = monitor();
    own["spec"]["namespaceSelector"] = Value::Null;
    assert!(relabelings(own).contains(&kept));
}

#[test]
fn each_port_of_a_pod_with_an_address_is_a_target() {
    let pod = |address: Option<&str>| {
        let ports = json!([{"name": "http", "containerPort": 8081}, {"containerPort": 9090}]);
        json!({
            "metadata": {"namespace": "team", "name": "pod", "labels": {"example.dev/run": "logs"}},
            "spec": {"containers": [{"name": "worker", "ports": ports}]},
            "status": {"phase": "Running", "podIP": address},
        })
    };
    let targets = targets(&json!({"items": [pod(None), pod(Some("10.0.0.1"))]}));
    assert_eq!(items(&targets).len(), 2);
    assert_eq!(targets[0]["targets"], json!(["10.0.0.1:8081"]));
    let labels = &targets[0]["labels"];
    assert_eq!(labels["__meta_kubernetes_pod_container_port_name"], "http");
    assert_eq!(
        labels["__meta_kubernetes_pod_label_example_dev_run"],
        "logs"
    );
}

#[test]
fn labels_are_honoured_if_the_monitor_asks_for_it() {
    assert_eq!(only_job(monitor())["honor_labels"], false);
    let mut honest = monitor();
    honest["spec"]["podMetricsEndpoints"][0]["honorLabels"] = json!(true);
    assert_eq!(only_job(honest)["honor_labels"], true);
}
