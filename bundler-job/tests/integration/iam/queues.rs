//! The roles of a namespace reach the queues of its runs, and no others: neither those of a namespace
//! whose name begins with its own, nor those of another cluster.

use super::*;

#[tokio::test]
async fn roles_reach_the_queues_of_one_namespace_in_one_cluster() {
    let world = World::start().await;
    let mut allowed = Vec::new();
    for (name, cluster, namespace) in [
        (
            "s3bundler_production_team-a_logs_01234567",
            "production",
            "team-a",
        ),
        ("s3bundler-team-a-logs-0123456789ab", "production", "team-a"),
        (
            "s3bundler_production_team_logs_01234567",
            "production",
            "team",
        ),
        (
            "s3bundler_production_team-a-b_logs_01234567",
            "production",
            "team-a-b",
        ),
        (
            "s3bundler_staging_team-a_logs_01234567",
            "staging",
            "team-a",
        ),
        (
            "s3bundler_production-team_a_logs_01234567",
            "production-team",
            "a",
        ),
        (
            "s3bundler-team-a-b-logs-0123456789ab",
            "production",
            "team-a-b",
        ),
        ("s3bundler-team-a-photos-0123456789ab", "staging", "team-a"),
        ("s3bundler-team-logs-0123456789ab", "production", "team"),
    ] {
        let url = world.tagged_queue(name, cluster, namespace).await;
        for (who, access) in [("grouper", &world.grouper), ("worker", &world.worker)] {
            if reaches(access, &url).await {
                allowed.push((who, name));
            }
        }
    }
    let own = [
        "s3bundler_production_team-a_logs_01234567",
        "s3bundler-team-a-logs-0123456789ab",
    ];
    let expected: Vec<_> = own
        .iter()
        .flat_map(|name| [("grouper", *name), ("worker", *name)])
        .collect();
    assert_eq!(allowed, expected);

    // Nobody said whose it is.
    let untagged = "s3bundler-team-a-untagged-0123456789ab";
    let untagged = client::create_queue(&world.sqs, untagged).await.unwrap();
    assert!(!reaches(&world.worker, &untagged).await);
}

/// Whether any message can be sent to a queue or received from it.
pub(super) async fn reaches(access: &Access, url: &str) -> bool {
    let sqs = client::sqs(access);
    let sent = sqs.send_message().queue_url(url).message_body("x");
    let received = sqs.receive_message().queue_url(url);
    !is_denied(sent.send().await) || !is_denied(received.send().await)
}
