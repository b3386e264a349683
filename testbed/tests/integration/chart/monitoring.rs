//! What the chart has for Prometheus and Grafana: every query asks for what the programs really
//! show, every alert fires when it should, and every alert leads to a section of the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use s3bundler_testbed::install::{Recipe, installed};
use s3bundler_testbed::metrics::{Metrics, documented};
use serde_json::{Value, json};

use super::{NAMESPACE, of_kind, refusal, render, root, strings, the};

const RUNBOOK: &str = "https://docs.example/runbook.md";
const ALL: &str = r#"
metrics:
  podMonitor: {workers: {enabled: true}}
  serviceMonitor: {enabled: true}
  prometheusRule: {enabled: true, runbookUrl: "https://docs.example/runbook.md"}
  dashboard: {enabled: true}
"#;
/// What Prometheus adds to the labels of a time series, by the monitors of the chart.
const OF_OPERATOR: [&str; 2] = ["namespace", "pod"];
const OF_WORKER: [&str; 3] = ["namespace", "pod", "run"];
/// Words of PromQL and of Grafana's variables that are no metrics.
const WORDS: [&str; 14] = [
    "absent",
    "and",
    "count",
    "histogram_quantile",
    "increase",
    "label_values",
    "max",
    "or",
    "rate",
    "sum",
    "time",
    "unless",
    // The second argument of label_values.
    "namespace",
    "run",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The alerts of a release with these values.
fn alerts(values: &str) -> Vec<Value> {
    let objects = render(values);
    let groups = the(&objects, "PrometheusRule")["spec"]["groups"].clone();
    let rules = groups
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone());
    rules.collect()
}

fn name(alert: &Value) -> &str {
    alert["alert"].as_str().unwrap()
}

/// Calls `act` with every text under a key.
fn each_text(value: &Value, key: &str, act: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == key => act(text),
                    field => each_text(field, key, act),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| each_text(item, key, act)),
        _ => {}
    }
}

/// What a query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    /// Metrics, with the labels that they are matched by.
    metrics: Vec<(String, BTreeSet<String>)>,
    /// Labels that results are grouped or joined by.
    grouped_by: BTreeSet<String>,
    /// Whatever else is a word.
    words: BTreeSet<String>,
}

impl Asked {
    fn of(query: &str) -> Self {
        let (mut asked, mut rest) = (Self::default(), query);
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        while let Some(first) = rest.chars().next() {
            if first == '"' {
                rest = after_text(rest);
            } else if first.is_ascii_digit() || first == '$' {
                // Numbers, durations, and variables of Grafana.
                rest = rest[1..].trim_start_matches(is_of_word);
            } else if is_of_word(first) {
                let end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                rest = asked.word(word, after.trim_start());
            } else {
                rest = &rest[first.len_utf8()..];
            }
        }
        asked
    }

    /// Takes a word in, and returns what follows it and its labels.
    fn word<'a>(&mut self, word: &str, after: &'a str) -> &'a str {
        match word {
            "by" | "on" | "group_left" => {
                let (labels, rest) = after.strip_prefix('(').unwrap().split_once(')').unwrap();
                let labels = labels.split(',').map(|label| label.trim().to_owned());
                self.grouped_by
                    .extend(labels.filter(|label| !label.is_empty()));
                rest
            }
            metric if metric.starts_with("s3bundler_") || metric.starts_with("process_") => {
                let (mut labels, mut rest) = (BTreeSet::new(), after);
                if let Some(matchers) = after.strip_prefix('{') {
                    rest = matchers;
                    while !rest.starts_with('}') {
                        let (label, value) = rest.split_once(['=', '!']).unwrap();
                        labels.insert(label.trim_matches([',', ' ']).to_owned());
                        rest = after_text(value.trim_start_matches(['=', '~']));
                    }
                }
                self.metrics.push((metric.to_owned(), labels));
                rest
            }
            word => {
                self.words.insert(word.to_owned());
                after
            }
        }
    }
}

/// What follows a text in quotes.
fn after_text(quoted: &str) -> &str {
    let (_, rest) = quoted[1..].split_once('"').unwrap();
    rest
}

/// Panics if a query asks for what no program shows. Returns the labels that its result may have.
fn check(query: &str) -> BTreeSet<String> {
    let asked = Asked::of(query);
    let known = |metric: &str, metrics: &Metrics| {
        let found = metrics
            .get(metric)
            .filter(|metric| metric.kind != "histogram");
        let of_histogram = || {
            let parts = ["_bucket", "_sum", "_count"];
            let base = parts.iter().find_map(|part| metric.strip_suffix(part))?;
            metrics.get(base).filter(|base| base.kind == "histogram")
        };
        found.or_else(of_histogram).cloned()
    };
    let mut all = BTreeSet::new();
    for (metric, labels) in &asked.metrics {
        let mut of_metric = BTreeSet::new();
        for (program, of_target) in [("operator", &OF_OPERATOR[..]), ("worker", &OF_WORKER)] {
            if let Some(known) = known(metric, &documented(program)) {
                of_metric.extend(known.labels);
                of_metric.extend(of_target.iter().map(|label| (*label).to_owned()));
            }
        }
        assert!(!of_metric.is_empty(), "no program shows {metric}: {query}");
        if metric.ends_with("_bucket") {
            of_metric.insert("le".to_owned());
        }
        let unknown: Vec<_> = labels.difference(&of_metric).collect();
        assert!(unknown.is_empty(), "{metric} has no {unknown:?}: {query}");
        all.extend(of_metric);
    }
    assert!(!asked.metrics.is_empty(), "{query}");
    let unknown: Vec<_> = asked.grouped_by.difference(&all).collect();
    assert!(unknown.is_empty(), "nothing has {unknown:?}: {query}");
    let unknown: Vec<_> = asked
        .words
        .iter()
        .filter(|word| !WORDS.contains(&word.as_str()))
        .collect();
    assert!(unknown.is_empty(), "no metric and no word: {unknown:?}");
    all
}

#[test]
fn a_query_is_read_by_its_metrics_and_labels() {
    let query = r#"sum by (a, le) (rate(s3bundler_x_bucket{b=~"c}d",e!="f"}[$__rate_interval])) / 10m
        and on (g) s3bundler_y"#;
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    assert_eq!(
        Asked::of(query),
        Asked {
            metrics: vec![
                ("s3bundler_x_bucket".to_owned(), set(&["b", "e"])),
                ("s3bundler_y".to_owned(), BTreeSet::new()),
            ],
            grouped_by: set(&["a", "g", "le"]),
            words: set(&["and", "rate", "sum"]),
        }
    );
}

#[test]
#[should_panic(expected = "no program shows s3bundler_no_such_metric")]
fn a_query_for_what_no_program_shows_is_refused() {
    check("sum(s3bundler_no_such_metric)");
}

#[test]
#[should_panic(expected = "s3bundler_groups has no")]
fn a_query_by_a_label_that_a_metric_does_not_have_is_refused() {
    check(r#"s3bundler_groups{reason="x"}"#);
}

#[test]
fn alerts_ask_for_what_the_programs_show() {
    for alert in alerts(ALL) {
        let labels = check(alert["expr"].as_str().unwrap());
        for (_, text) in alert["annotations"].as_object().unwrap() {
            for part in text.as_str().unwrap().split("$labels.").skip(1) {
                let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let label = &part[..end.unwrap_or(part.len())];
                assert!(labels.contains(label), "{}: {label}", name(&alert));
            }
        }
    }
}

#[test]
fn the_dashboard_asks_for_what_the_programs_show() {
    let objects = render(ALL);
    let text = &the(&objects, "ConfigMap")["data"]["s3bundler.json"];
    let dashboard: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    let (mut queries, mut asked) = (0, BTreeSet::new());
    for key in ["expr", "definition"] {
        each_text(&dashboard, key, &mut |query| {
            check(query);
            asked.extend(Asked::of(query).metrics.into_iter().map(|(name, _)| name));
            queries += 1;
        });
    }
    assert!(queries > 40, "{queries}");
    // Everything that is shown is worth a look.
    let parts = ["_bucket", "_sum", "_count"];
    let asked: BTreeSet<&str> = asked
        .iter()
        .map(|name| {
            let base = parts.iter().find_map(|part| name.strip_suffix(part));
            base.unwrap_or(name)
        })
        .collect();
    for program in ["operator", "worker"] {
        for metric in documented(program).keys() {
            assert!(
                asked.contains(metric.as_str()) || metric == "process_start_time_seconds",
                "{metric} is in no panel"
            );
        }
    }
}

/// Grafana does not show two panels of one id, and draws what overlaps on top of each other.
#[test]
fn panels_of_the_dashboard_have_places_of_their_own() {
    let dashboard: Value =
        serde_json::from_str(&read("charts/s3bundler/files/dashboard.json")).unwrap();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeMap::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                if let Some(other) = taken.insert((x, y), title) {
                    panic!("{title} is where {other} is");
                }
            }
        }
    }
}

/// Runs promtool over these files.
fn promtool(files: &[(&str, &str)], arguments: &[&str]) {
    let program = installed(Recipe::Prometheus)
        .unwrap()
        .join("usr/bin/promtool");
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let run = Command::new(program)
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
}

#[test]
fn prometheus_understands_every_query_of_the_dashboard() {
    let dashboard = read("charts/s3bundler/files/dashboard.json");
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut rules = Vec::new();
    each_text(&dashboard, "expr", &mut |query| {
        let query = query.replace("$__rate_interval", "5m");
        rules.push(json!({"record": format!("query_{}", rules.len()), "expr": query}));
    });
    assert!(rules.len() > 40, "{}", rules.len());
    let rules = json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string();
    promtool(&[("rules.yaml", &rules)], &["check", "rules", "rules.yaml"]);
}

#[test]
fn every_alert_fires_when_it_should() {
    let tests = read("testbed/tests/integration/chart/alerts.yaml");
    // JSON is YAML.
    let rules = the(&render(ALL), "PrometheusRule")["spec"].to_string();
    let files = [("rules.yaml", rules.as_str()), ("alerts.yaml", &tests)];
    promtool(&files, &["check", "rules", "rules.yaml"]);
    promtool(&files, &["test", "rules", "alerts.yaml"]);

    let tests: Value = serde_saphyr::from_str(&tests).unwrap();
    let (mut fires, mut rests) = (BTreeSet::new(), BTreeSet::new());
    for test in tests["tests"].as_array().unwrap() {
        for case in test["alert_rule_test"].as_array().unwrap() {
            let alert = case["alertname"].as_str().unwrap().to_owned();
            if case["exp_alerts"].is_array() {
                fires.insert(alert);
            } else {
                rests.insert(alert);
            }
        }
    }
    let all: BTreeSet<String> = alerts(ALL)
        .iter()
        .map(|alert| name(alert).to_owned())
        .collect();
    assert_eq!((&fires, &rests), (&all, &all), "each fires, and each rests");
}

#[test]
fn every_alert_leads_to_its_section_of_the_runbook() {
    let (runbook, page) = (
        read("docs/runbook.md"),
        read("docs/kubernetes/monitoring.md"),
    );
    for alert in alerts(ALL) {
        let name = name(&alert);
        assert!(
            runbook.lines().any(|line| line == format!("### {name}")),
            "docs/runbook.md has no section {name}"
        );
        assert_eq!(
            alert["annotations"]["runbook_url"],
            format!("{RUNBOOK}#{}", name.to_lowercase())
        );
        for annotation in ["summary", "description"] {
            assert!(alert["annotations"][annotation].is_string(), "{name}");
        }
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}: {severity}"
        );
        assert!(
            page.contains(&format!("[{name}](../runbook.md#{})", name.to_lowercase())),
            "docs/kubernetes/monitoring.md does not list {name}"
        );
    }
}

/// The reasons are those of the status reference.
#[test]
fn every_reason_has_its_section_of_the_runbook() {
    let (runbook, status) = (read("docs/runbook.md"), read("docs/kubernetes/status.md"));
    let conditions = status
        .split("\n## ")
        .find(|it| it.starts_with("Conditions"));
    let rows = conditions
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| "));
    let mut reasons = BTreeSet::new();
    for row in rows.skip(1) {
        let reason = row.split('|').nth(2).unwrap();
        reasons.extend(reason.split(',').map(|reason| reason.trim().to_owned()));
    }
    assert!(reasons.len() > 20, "{reasons:?}");
    for reason in reasons {
        assert!(
            runbook.lines().any(|line| line == format!("### {reason}")),
            "docs/runbook.md has no section {reason}"
        );
    }
}

#[test]
fn monitoring_is_off_unless_it_is_asked_for() {
    let objects = render("");
    for object in &objects {
        assert_ne!(object["apiVersion"], "monitoring.coreos.com/v1", "{object}");
    }
    assert!(of_kind(&objects, "ConfigMap").is_empty());
}

#[test]
fn alerts_are_labelled_and_left_out_as_asked() {
    let values = r"
metrics:
  prometheusRule:
    enabled: true
    runbookUrl: https://docs.example/runbook.md
    labels: {release: prometheus}
    alertLabels: {team: storage, severity: page}
    disabled: [S3BundlerObjectsFailed]
    noProgressSeconds: 36000
";
    let (kept, all) = (alerts(values), alerts(ALL));
    assert_eq!(kept.len() + 1, all.len());
    for alert in &kept {
        assert_ne!(name(alert), "S3BundlerObjectsFailed");
        assert_eq!(alert["labels"]["team"], "storage");
        assert_eq!(alert["labels"]["severity"], "page");
    }
    let still = kept
        .iter()
        .find(|alert| name(alert) == "S3BundlerRunNotProgressing");
    assert!(still.unwrap()["expr"].as_str().unwrap().contains("> 36000"));
    let objects = render(values);
    let labels = &the(&objects, "PrometheusRule")["metadata"]["labels"];
    assert_eq!(labels["release"], "prometheus");

    let schema: Value = serde_json::from_str(&read("charts/s3bundler/values.schema.json")).unwrap();
    let may_be_disabled = &schema["properties"]["metrics"]["properties"]["prometheusRule"]["properties"]
        ["disabled"]["items"]["enum"];
    let names: Vec<&str> = all.iter().map(name).collect();
    assert_eq!(strings(may_be_disabled), names, "values.schema.json");
}

#[test]
fn monitoring_that_would_not_work_is_refused() {
    for (values, told) in [
        (
            "metrics: {prometheusRule: {enabled: true}}",
            "metrics.prometheusRule.runbookUrl is needed",
        ),
        (
            "metrics: {service: {enabled: false}, serviceMonitor: {enabled: true}}",
            "metrics.serviceMonitor needs metrics.service.enabled",
        ),
        (
            "metrics: {serviceMonitor: {enabled: true}, podMonitor: {operator: {enabled: true}}}",
            "would scrape the operator twice",
        ),
    ] {
        let refused = refusal(values, &[]);
        assert!(refused.contains(told), "{values}: {refused}");
    }
}

/// A Service and a ServiceMonitor find each other by labels and by the name of the port.
#[test]
fn the_service_monitor_finds_the_operators_service() {
    let objects = render(ALL);
    let (monitor, service) = (the(&objects, "ServiceMonitor"), the(&objects, "Service"));
    assert_eq!(monitor["metadata"]["namespace"], NAMESPACE);
    for (name, value) in monitor["spec"]["selector"]["matchLabels"]
        .as_object()
        .unwrap()
    {
        assert_eq!(&service["metadata"]["labels"][name], value, "{name}");
    }
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(
        endpoint["honorLabels"],
        json!(true),
        "the namespace is that of the run"
    );
}

#[test]
fn workers_have_the_run_as_a_label() {
    let objects = render(ALL);
    let endpoint = &the(&objects, "PodMonitor")["spec"]["podMetricsEndpoints"][0];
    assert_eq!(endpoint["relabelings"][0]["targetLabel"], "run");
    let source = strings(&endpoint["relabelings"][0]["sourceLabels"])[0];
    // "kubernetes_sd_config", Prometheus docs: other characters become underscores.
    assert_eq!(
        source,
        format!(
            "__meta_kubernetes_pod_label_{}",
            "archive.s3bundler.dev/run".replace(['.', '/'], "_")
        )
    );
}
