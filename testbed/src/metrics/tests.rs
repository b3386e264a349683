use super::*;

const SHOWN: &str = "\
# HELP a_requests Requests
# TYPE a_requests counter
a_requests_total{service=\"s3\",outcome=\"ok\"} 3
a_requests_total{service=\"sqs\",outcome=\"no, not ok\"} 1
# HELP a_seconds Time
# TYPE a_seconds histogram
# UNIT a_seconds seconds
a_seconds_sum{verb=\"get\"} 1.5
a_seconds_count{verb=\"get\"} 1
a_seconds_bucket{le=\"0.1\",verb=\"get\"} 0
a_seconds_bucket{le=\"+Inf\",verb=\"get\"} 1
# HELP a_gauge Empty
# TYPE a_gauge gauge
# HELP a_leader Leads
# TYPE a_leader gauge
a_leader 1
# EOF
";

#[test]
fn a_page_is_read_by_name_type_and_labels() {
    let metric = |kind: &str, labels: &[&str]| Metric {
        kind: kind.to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    };
    let expected = [
        (
            "a_requests_total",
            metric("counter", &["service", "outcome"]),
        ),
        ("a_seconds", metric("histogram", &["verb"])),
        ("a_leader", metric("gauge", &[])),
    ];
    let expected: Metrics = expected
        .into_iter()
        .map(|(name, metric)| (name.to_owned(), metric))
        .collect();
    assert_eq!(exposed(SHOWN), expected);
}

/// "Metric and label naming", Prometheus docs.
#[test]
fn names_keep_to_the_rules_of_prometheus() {
    let (operator, worker) = (documented("operator"), documented("worker"));
    assert!(operator.len() > 25 && worker.len() > 15);
    for (name, metric) in operator.iter().chain(&worker) {
        let is_plain = |name: &str| {
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        assert!(is_plain(name), "{name}");
        assert!(
            name.starts_with("s3bundler_") || name.starts_with("process_"),
            "{name}: a prefix says whose it is"
        );
        assert_eq!(
            name.ends_with("_total"),
            metric.kind == "counter",
            "{name}: counters end so, and nothing else"
        );
        assert!(
            metric.kind != "histogram" || name.ends_with("_seconds") || name.ends_with("_bytes"),
            "{name}: the unit of a histogram"
        );
        let units = [
            "_ms", "_millis", "minutes", "_hours", "_kb", "_mib", "percent",
        ];
        assert!(
            !units.iter().any(|unit| name.contains(unit)),
            "{name}: base units are seconds, bytes and ratios"
        );
        for label in &metric.labels {
            assert!(is_plain(label) && label != "le", "{name}: {label}");
            assert!(
                !name.contains(&format!("_by_{label}")),
                "{name}: no label in the name"
            );
        }
    }
}
