//! Queues of a run on a real SQS server, behind a proxy that is as slow to know of a new queue as
//! SQS may be.

use std::collections::HashMap;

use s3bundler_operator::queues::{Depth, Queues};
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::ElasticMq;

use crate::common::aws;

/// How many requests after each other do not know of a queue that was made.
const UNKNOWN: u64 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn queues_that_were_made_can_be_used() {
    let server = ElasticMq::start().await.unwrap();
    let proxy = Proxy::start(server.access()).unwrap();
    // Of both queues, one after the other.
    let (dead, own) = (1..=UNKNOWN, UNKNOWN + 2..=2 * UNKNOWN + 1);
    proxy.rule(move |seen| match seen.operation {
        Operation::GetQueueAttributes if dead.contains(&seen.nth) || own.contains(&seen.nth) => Fault::Respond {
            status: 400,
            headers: vec![("content-type".to_owned(), "application/x-amz-json-1.0".to_owned())],
            body: br#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"it does not exist"}"#[..].into(),
        },
        _ => Fault::Forward,
    });
    let aws = aws(proxy.access());
    let queues = Queues::new(&aws, aws.region());
    let made = queues
        .ensure("s3bundler_production_team-a_logs_0a1b2c3d", &HashMap::new())
        .await
        .unwrap();
    assert_eq!(
        proxy.count(Operation::GetQueueAttributes),
        2 * (UNKNOWN + 1)
    );
    assert_eq!(
        queues.depth(&made.url).await.unwrap(),
        Depth {
            visible: 0,
            in_flight: 0
        }
    );
    assert_eq!(
        queues
            .find("s3bundler_production_team-a_logs_0a1b2c3d")
            .await
            .unwrap()
            .len(),
        2
    );
}
