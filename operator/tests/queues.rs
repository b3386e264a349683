//! Queues of runs on a real SQS.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::collections::{BTreeSet, HashMap};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::config::Credentials;
use s3bundler_operator::aws::Aws;
use s3bundler_operator::queues::Queues;
use s3bundler_testbed::client;
use s3bundler_testbed::servers::Moto;

#[tokio::test]
async fn a_redrive_puts_every_dead_letter_back_as_it_was() {
    let moto = Moto::start().await.unwrap();
    let access = moto.access();
    let credentials = Credentials::new(&access.access_key, &access.secret_key, None, None, "test");
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(access.region.clone()))
        .endpoint_url(&access.endpoint)
        .credentials_provider(credentials)
        .load()
        .await;
    let queues = Queues::new(&Aws::new(config), None);
    let pair = queues.ensure("s3bundler-a", &HashMap::new()).await.unwrap();
    let dead = pair.dead_letter_url.clone().unwrap();
    let sqs = client::sqs(access);
    let sent: BTreeSet<_> = (0..23).map(|n| format!("{{\"group\":{n}}}")).collect();
    for body in &sent {
        sqs.send_message().queue_url(&dead).message_body(body).send().await.unwrap();
    }

    assert!(queues.redrive(&pair).await.unwrap(), "all of them in one go");
    assert_eq!(queues.depth(&dead).await.unwrap().visible, 0);
    let mut found = BTreeSet::new();
    while found.len() < sent.len() {
        let received = sqs.receive_message().queue_url(&pair.url).max_number_of_messages(10).send().await.unwrap();
        assert!(!received.messages().is_empty(), "{found:?}");
        found.extend(received.messages.unwrap().into_iter().map(|message| message.body.unwrap()));
    }
    assert_eq!(found, sent);
    assert!(queues.redrive(&pair).await.unwrap(), "nothing is no failure");
}
