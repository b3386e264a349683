//! How many workers an SQS server here can feed: each receives one message at a time and deletes it,
//! as a worker does for each group.

use std::time::Instant;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures_util::future::try_join_all;

use super::{BenchError, as_f64};
use crate::client;
use crate::servers::{Access, ElasticMq, Moto};

const MESSAGES: u64 = 1_000;
/// Messages in a request of SendMessageBatch.
const BATCH: u64 = 10;
const WORKERS: usize = 16;
/// In seconds, as the program sets it: a slow server must not show a message twice.
const VISIBILITY: i32 = 300;

/// Prints a table of both servers.
pub(super) async fn feeds() -> Result<(), BenchError> {
    println!("\n{MESSAGES} messages, {WORKERS} workers\n");
    println!("| server | messages/s |\n|---|---|");
    let (moto, elasticmq) = (Moto::start().await?, ElasticMq::start().await?);
    for (name, access) in [("moto", moto.access()), ("ElasticMQ", elasticmq.access())] {
        println!("| {name} | {:.0} |", messages_per_second(access).await?);
    }
    Ok(())
}

async fn messages_per_second(access: &Access) -> Result<f64, BenchError> {
    let sqs = client::sqs(access);
    let queue = client::create_queue(&sqs, "bench").await?;
    for first in (0..MESSAGES / BATCH).map(|batch| batch * BATCH) {
        let entries = (first..first + BATCH).map(|number| {
            SendMessageBatchRequestEntry::builder()
                .id(number.to_string())
                .message_body(format!("s3://archive/groups/{number:06}.index"))
                .build()
        });
        let entries = entries.collect::<Result<_, _>>().map_err(failed)?;
        let send = sqs.send_message_batch().queue_url(&queue);
        send.set_entries(Some(entries))
            .send()
            .await
            .map_err(failed)?;
    }
    let begun = Instant::now();
    let working = (0..WORKERS).map(|_| work(&sqs, &queue));
    let done: u64 = try_join_all(working).await?.into_iter().sum();
    if done < MESSAGES {
        return Err(BenchError::Program(format!(
            "{done} of {MESSAGES} messages were received"
        )));
    }
    Ok(as_f64(done) / begun.elapsed().as_secs_f64())
}

/// Receives and deletes until the queue is empty; returns the number of messages.
async fn work(sqs: &aws_sdk_sqs::Client, queue: &str) -> Result<u64, BenchError> {
    let mut done = 0;
    loop {
        let receive = sqs.receive_message().queue_url(queue);
        let received = receive.visibility_timeout(VISIBILITY).send().await;
        let messages = received.map_err(failed)?.messages.unwrap_or_default();
        if messages.is_empty() {
            return Ok(done);
        }
        for message in messages {
            let delete = sqs.delete_message().queue_url(queue);
            let delete = delete.set_receipt_handle(message.receipt_handle);
            delete.send().await.map_err(failed)?;
            done += 1;
        }
    }
}

fn failed(error: impl std::error::Error) -> BenchError {
    BenchError::Program(format!(
        "SQS: {}",
        aws_sdk_sqs::error::DisplayErrorContext(error)
    ))
}
