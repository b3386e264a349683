#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use super::*;

const UID: &str = "0a1b2c3d-4e5f-6789-abcd-ef0123456789";

fn run(name: &str) -> RunName {
    name.parse().unwrap()
}

fn name(cluster: &str, namespace: &str, name: &str) -> String {
    queue_name(cluster, namespace, &run(name), UID)
}

#[test]
fn a_name_has_cluster_namespace_run_and_uid() {
    assert_eq!(
        name("production", "team-a", "logs-2026"),
        "s3bundler_production_team-a_logs-2026_0a1b2c3d"
    );
    assert_eq!(
        earlier_queue_name("team-a", &run("logs-2026"), UID),
        "s3bundler-team-a-logs-2026-0a1b2c3d4e5f"
    );
}

#[test]
fn the_run_is_cut_and_cluster_and_namespace_are_not() {
    let (cluster, namespace, long) = ("c".repeat(20), "n".repeat(34), "r".repeat(48));
    let longest = name(&cluster, &namespace, &long);
    assert_eq!(
        longest,
        format!("s3bundler_{cluster}_{namespace}_r_0a1b2c3d")
    );
    assert_eq!(longest.len() + DEAD_LETTERS.len(), MAX_NAME);
    let cut = name("c", "team-a", &long);
    assert_eq!(cut.len() + DEAD_LETTERS.len(), MAX_NAME);
    assert!(cut.starts_with("s3bundler_c_team-a_rrrr"), "{cut}");
}

/// The example of docs/kubernetes/roles.md.
#[test]
fn a_longer_namespace_is_its_beginning_and_a_hash_that_no_namespace_has() {
    assert_eq!(
        name("c", "a-namespace-with-more-than-34-characters", "logs"),
        "s3bundler_c_a-namespace-with-X386afdd23aa3ac0e_logs_0a1b2c3d"
    );
    let (one, other) = ("n".repeat(35), "n".repeat(36));
    assert_ne!(name("c", &one, "logs"), name("c", &other, "logs"));
    let longest = name(&"c".repeat(20), &"n".repeat(63), &"r".repeat(48));
    assert_eq!(longest.len() + DEAD_LETTERS.len(), MAX_NAME);
}

/// What a policy's pattern for one namespace matches: everything after its second underscore.
#[test]
fn no_pattern_of_a_namespace_matches_a_queue_of_another() {
    let places = [
        ("prod", "team"),
        ("prod", "team-a"),
        ("prod-team", "a"),
        ("production", "team"),
        ("staging", "team"),
    ];
    let long = "n".repeat(35);
    for (cluster, namespace) in places.into_iter().chain([("prod", long.as_str())]) {
        let pattern = format!("s3bundler_{cluster}_{}_", of_namespace(namespace));
        for (other_cluster, other) in places.into_iter().chain([("prod", long.as_str())]) {
            for queue in [
                name(other_cluster, other, "logs"),
                name(other_cluster, other, "team"),
            ] {
                assert_eq!(
                    queue.starts_with(&pattern),
                    (cluster, namespace) == (other_cluster, other),
                    "{queue} by {pattern}"
                );
            }
        }
    }
}

#[test]
fn a_run_keeps_the_queue_that_its_status_knows() {
    let cluster: ClusterName = "production".parse().unwrap();
    let queue = |known: Option<&str>| {
        let known = known.map(|name| format!("https://sqs.eu-west-1.amazonaws.com/1/{name}"));
        RunQueue::new(&cluster, "team-a", &run("logs"), UID, known.as_deref())
    };
    let (now, earlier) = (
        "s3bundler_production_team-a_logs_0a1b2c3d",
        "s3bundler-team-a-logs-0a1b2c3d4e5f",
    );
    let renamed = "s3bundler_kubernetes_team-a_logs_0a1b2c3d";
    for (known, name, others) in [
        (None, now, vec![earlier]),
        (Some(now), now, vec![earlier]),
        (Some(earlier), earlier, vec![now]),
        (Some(renamed), renamed, vec![now, earlier]),
        // Not the run's: whoever wrote it there, it is neither made nor deleted.
        (
            Some("s3bundler_production_team-b_logs_0a1b2c3d"),
            now,
            vec![earlier],
        ),
        (
            Some("s3bundler-team-b-logs-0a1b2c3d4e5f"),
            now,
            vec![earlier],
        ),
        (Some("payments"), now, vec![earlier]),
    ] {
        let found = queue(known);
        assert_eq!(
            (found.name.as_str(), &found.others),
            (name, &own(&others)),
            "{known:?}"
        );
        let url = |name: &str| format!("http://10.88.0.1:5000/1/{name}");
        assert!(found.has(&url(name)) && found.has(&url(&format!("{name}-dlq"))));
        assert!(!found.has(&url("payments")) && !found.has(&url(&format!("{name}-x"))));
    }
}

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn queues_of_runs_are_known_by_their_names() {
    let url = |name: &str| format!("https://sqs.eu-west-1.amazonaws.com/1/{name}");
    for (name, expected) in [
        ("s3bundler_production_team-a_logs_0a1b2c3d", true),
        ("s3bundler-team-a-logs-0a1b2c3d4e5f-dlq", true),
        ("s3bundler", false),
        ("payments", false),
    ] {
        assert_eq!(is_managed(&url(name)), expected, "{name}");
    }
}

#[test]
fn a_cluster_is_a_short_dns_label() {
    let longest = "c".repeat(20);
    for name in ["kubernetes", "prod-1", "1", longest.as_str()] {
        assert_eq!(name.parse::<ClusterName>().unwrap().as_str(), name);
    }
    let too_long = "c".repeat(21);
    for name in [
        "",
        "-a",
        "a-",
        "a_b",
        "A",
        "a.b",
        "production 1",
        "é",
        too_long.as_str(),
    ] {
        assert!(name.parse::<ClusterName>().is_err(), "{name:?}");
    }
}
