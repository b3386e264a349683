use serde_json::{Value, json};

use super::*;

type Labels<'a> = &'a [(&'a str, &'a str)];

fn labels(pairs: Labels<'_>) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn asked(namespace_labels: &BTreeMap<String, String>) -> Asked<'_> {
    Asked {
        namespace: "team-a",
        namespace_labels,
        source_bucket: "inv",
        destination: "team-a-archive/logs",
        queues: [None, None],
        service_account: "s3bundler-worker",
        max_replicas: 20,
        scratch_type: "EmptyDir",
        host_path: None,
    }
}

fn policy(rules: &Value) -> Result<PolicyFile, serde_json::Error> {
    serde_json::from_value(json!({"rules": rules}))
}

#[test]
fn without_a_policy_everything_goes_but_the_nodes_own_disks() {
    let none = BTreeMap::new();
    assert_eq!(check(None, &asked(&none)), Ok(()));
    let refused = check(
        None,
        &Asked {
            scratch_type: "HostPath",
            ..asked(&none)
        },
    )
    .expect_err("refused");
    assert_eq!(refused, "scratch of type HostPath, which no policy allows");
}

#[test]
fn a_run_needs_one_rule_that_allows_all_it_asks_for() {
    let policy = policy(&json!([
        {"namespaceSelector": {"matchLabels": {"tenant": "a"}}, "destinations": ["team-a-archive/*"], "maxReplicas": 20},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}},
         "scratchTypes": ["HostPath", "EmptyDir"], "queues": ["arn:aws:sqs:eu-west-1:1:x"]},
    ]));
    let policy = policy.expect("a policy");
    let (team, other) = (labels(&[("tenant", "a")]), labels(&[("tenant", "b")]));
    let ops = labels(&[("kubernetes.io/metadata.name", "ops")]);
    let (ops, other) = (
        asked(&ops),
        Asked {
            namespace: "other",
            ..asked(&other)
        },
    );
    for (asked, refused) in [
        (asked(&team), None),
        (
            Asked {
                destination: "team-b-archive/logs",
                ..asked(&team)
            },
            Some("destination team-b-archive/logs"),
        ),
        (
            Asked {
                max_replicas: 21,
                ..asked(&team)
            },
            Some("21 workers where 20 are the most"),
        ),
        (
            Asked {
                scratch_type: "HostPath",
                ..asked(&team)
            },
            Some("scratch of type HostPath"),
        ),
        (
            other,
            Some("no policy of the operator is for namespace other"),
        ),
        (
            Asked {
                scratch_type: "HostPath",
                ..ops
            },
            None,
        ),
        (
            Asked {
                queues: [Some("arn:aws:sqs:eu-west-1:2:x"), None],
                ..ops
            },
            Some("queue arn:aws:sqs:eu-west-1:2:x"),
        ),
        (
            Asked {
                queues: [None, Some("arn:aws:sqs:eu-west-1:2:x")],
                ..ops
            },
            Some("queue arn:aws:sqs:eu-west-1:2:x"),
        ),
    ] {
        match (check(Some(&policy), &asked), refused) {
            (Ok(()), None) => {}
            (Err(found), Some(expected)) => assert!(found.starts_with(expected), "{found}"),
            other => panic!("{asked:?}: {other:?}"),
        }
    }
}

#[test]
fn a_destination_is_a_bucket_or_a_prefix_and_what_is_under_it() {
    let none = BTreeMap::new();
    for (pattern, destination, expected) in [
        ("vault/*", "vault/", true),
        ("vault/*", "vault/logs", true),
        ("vault/*", "vaults/logs", false),
        ("vault/team-a/*", "vault/team-a", true),
        ("vault/team-a/*", "vault/team-a/logs", true),
        ("vault/team-a/*", "vault/team-abc", false),
        ("vault/team-a/*", "vault/", false),
        ("vault/team-a", "vault/team-a", true),
        ("vault/team-a", "vault/team-a/logs", false),
    ] {
        let policy = policy(&json!([{"destinations": [pattern]}])).expect("a policy");
        let asked = Asked {
            destination,
            ..asked(&none)
        };
        assert_eq!(
            check(Some(&policy), &asked).is_ok(),
            expected,
            "{destination} by {pattern}"
        );
    }
}

#[test]
fn a_host_path_is_a_listed_directory_or_under_one() {
    let none = BTreeMap::new();
    let cases = [
        (Some(json!(["/data"])), "/data", true),
        (Some(json!(["/data"])), "/data/", true),
        (Some(json!(["/data"])), "/data/team-a", true),
        (Some(json!(["/data"])), "//data//team-a", true),
        (Some(json!(["/data/"])), "/data/team-a", true),
        (Some(json!(["/data/"])), "/data", true),
        (Some(json!(["/mnt/nvme", "/data"])), "/data/x", true),
        (Some(json!(["/data"])), "/database", false),
        (Some(json!(["/data"])), "/", false),
        (Some(json!(["/data"])), "/mnt/data", false),
        (Some(json!(["/data"])), "/Data", false),
        (Some(json!(["/data"])), "data", false),
        (Some(json!(["/data"])), "", false),
        (Some(json!(["/data"])), "/data/../etc", false),
        (Some(json!(["/data"])), "/data/..", false),
        (Some(json!(["/data"])), "/data/./../etc", false),
        (Some(json!(["/data"])), "/../data", false),
        (Some(json!(["/data"])), "/data/...", true),
        (Some(json!(["/"])), "/anywhere", true),
        (Some(json!(["/"])), "/..", false),
        (None, "/anywhere", true),
    ];
    for (listed, path, expected) in cases {
        let mut rule = json!({"scratchTypes": ["HostPath"]});
        if let Some(listed) = &listed {
            rule["hostPaths"] = listed.clone();
        }
        let policy = policy(&json!([rule])).expect("a policy");
        let asked = Asked {
            scratch_type: "HostPath",
            host_path: Some(path),
            ..asked(&none)
        };
        let checked = check(Some(&policy), &asked);
        assert_eq!(
            checked.is_ok(),
            expected,
            "{path} by {listed:?}: {checked:?}"
        );
    }
}

#[test]
fn a_host_path_needs_its_type_too() {
    let none = BTreeMap::new();
    let policy = policy(&json!([{"hostPaths": ["/data"]}])).expect("a policy");
    let asked = Asked {
        scratch_type: "HostPath",
        host_path: Some("/data"),
        ..asked(&none)
    };
    let refused = check(Some(&policy), &asked).expect_err("refused");
    assert!(refused.starts_with("scratch of type HostPath"), "{refused}");
}

#[test]
fn namespaces_are_selected_as_kubernetes_does() {
    let tenants =
        json!({"matchExpressions": [{"key": "tenant", "operator": "In", "values": ["a", "b"]}]});
    let outsiders =
        json!({"matchExpressions": [{"key": "tenant", "operator": "NotIn", "values": ["a"]}]});
    let labelled = json!({"matchExpressions": [{"key": "tenant", "operator": "Exists"}]});
    let bare = json!({"matchExpressions": [{"key": "tenant", "operator": "DoesNotExist"}]});
    let both = json!({
        "matchLabels": {"stage": "live"}, "matchExpressions": [{"key": "tenant", "operator": "Exists"}],
    });
    let cases: [(Value, Labels<'_>, bool); 15] = [
        (json!({}), &[], true),
        (
            json!({"matchLabels": {"tenant": "a"}}),
            &[("tenant", "a"), ("stage", "live")],
            true,
        ),
        (
            json!({"matchLabels": {"tenant": "a", "stage": "live"}}),
            &[("tenant", "a")],
            false,
        ),
        (
            json!({"matchLabels": {"tenant": "a"}}),
            &[("tenant", "ab")],
            false,
        ),
        (tenants.clone(), &[("tenant", "b")], true),
        (tenants.clone(), &[("tenant", "c")], false),
        (tenants, &[], false),
        (outsiders.clone(), &[("tenant", "a")], false),
        (outsiders, &[], true),
        (labelled.clone(), &[("tenant", "")], true),
        (labelled, &[], false),
        (bare.clone(), &[], true),
        (bare, &[("tenant", "a")], false),
        (both.clone(), &[("stage", "live"), ("tenant", "a")], true),
        (both, &[("stage", "live")], false),
    ];
    for (selector, namespace, expected) in cases {
        let policy = policy(&json!([{"namespaceSelector": selector}])).expect("a policy");
        let labels = labels(namespace);
        assert_eq!(
            check(Some(&policy), &asked(&labels)).is_ok(),
            expected,
            "{selector} {namespace:?}"
        );
    }
}

#[test]
fn what_could_be_meant_otherwise_is_refused() {
    let expression =
        |expression: Value| json!({"namespaceSelector": {"matchExpressions": [expression]}});
    for rule in [
        json!({"namespace": ["a"]}),
        json!({"namespaceSelector": {"matchLabel": {"a": "b"}}}),
        json!({"queues": ["https://sqs.eu-west-1.amazonaws.com/1/x"]}),
        json!({"queues": ["*"]}),
        json!({"queues": []}),
        json!({"destinations": []}),
        json!({"scratchTypes": []}),
        json!({"scratchTypes": ["HostPath"], "hostPaths": []}),
        json!({"scratchTypes": ["HostPath"], "hostPaths": ["data"]}),
        json!({"scratchTypes": ["HostPath"], "hostPaths": ["/data/*"]}),
        json!({"scratchTypes": ["HostPath"], "hostPaths": ["/data/../etc"]}),
        json!({"scratchTypes": ["HostPath"], "hostPaths": ["/data/."]}),
        expression(json!({"key": "a", "operator": "Is", "values": ["b"]})),
        expression(json!({"key": "a", "operator": "In"})),
        expression(json!({"key": "a", "operator": "NotIn", "values": []})),
        expression(json!({"key": "a", "operator": "Exists", "values": ["b"]})),
        expression(json!({"key": "a", "operator": "In", "value": "b", "values": ["b"]})),
    ] {
        assert!(policy(&json!([rule])).is_err(), "{rule}");
    }
}
