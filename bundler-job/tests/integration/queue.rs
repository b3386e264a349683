//! SQS as two servers have it: moto, which has S3's events and IAM, and ElasticMQ, which has the
//! limits of AWS. Every test is named by what it shows; those of `on_both` run on both.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::world::servers::{self, elasticmq, moto};
use crate::world::until;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sqs::types::QueueAttributeName;
use s3bundler::queue::visibility::{Held, keep_hidden};
use s3bundler::queue::{
    Delivery, Disposition, Ended, GroupFailure, Queue, QueueErrorKind, SqsQueue, WorkError,
    WorkerOptions, work,
};
use s3bundler_contract::message::{self, ManifestRef};
use s3bundler_contract::{ExitCode, HasExitCode, S3Address};
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::{Access, Moto};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_mins(1);

macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_moto { $(#[tokio::test] async fn $name() { super::$name(super::moto().await).await; })+ }
        mod on_elasticmq { $(#[tokio::test] async fn $name() { super::$name(super::elasticmq().await).await; })+ }
    };
}

on_both!(
    messages_sent_in_several_batches_all_arrive_once,
    an_entry_that_failed_is_sent_again_and_only_that,
    a_message_that_the_queue_refuses_is_named_and_the_others_are_sent,
    keys_with_any_character_go_through,
    a_released_message_is_there_at_once_and_counted,
    a_message_is_hidden_for_as_long_as_it_is_worked_on,
    a_stale_receipt_handle_is_told_from_trouble,
    a_message_nobody_can_use_goes_to_the_dead_letter_queue,
    a_queue_that_does_not_exist_is_told_by_its_name,
    a_shutdown_gives_back_what_runs_and_what_the_last_poll_brings,
    a_worker_rides_out_an_outage,
);

fn config(access: &Access) -> SdkConfig {
    let keys = Credentials::new(&access.access_key, &access.secret_key, None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&access.endpoint)
        .region(Region::new(access.region.clone()))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build()
}

/// A new queue `queue-<name>`.
async fn queue(access: &Access, name: &str) -> SqsQueue {
    let url = servers::create_queue(access, &format!("queue-{name}")).await;
    SqsQueue::connect(&config(access), &url).await.unwrap()
}

fn manifests(count: usize) -> Vec<ManifestRef> {
    (0..count)
        .map(|n| manifest(&format!("groups/r/r.{n:06} ü+%.index")))
        .collect()
}

fn manifest(key: &str) -> ManifestRef {
    ManifestRef::new(S3Address::new("b", key), Some("e".into()))
}

async fn receive(queue: &SqsQueue, max: usize) -> Vec<Delivery> {
    queue.receive(max, SECOND, LONG).await.unwrap()
}

async fn one(queue: &SqsQueue) -> Delivery {
    let mut deliveries = receive(queue, 1).await;
    deliveries.pop().expect("a message")
}

/// The next message, however long it is hidden.
async fn next(queue: &SqsQueue) -> Delivery {
    loop {
        if let Some(delivery) = receive(queue, 1).await.pop() {
            return delivery;
        }
    }
}

fn key_of(delivery: &Delivery) -> String {
    message::parse(&delivery.body).unwrap()[0].key.clone()
}

/// The keys of all messages that are visible.
async fn keys(queue: &SqsQueue) -> Vec<String> {
    let mut keys = Vec::new();
    loop {
        let deliveries = receive(queue, 10).await;
        if deliveries.is_empty() {
            keys.sort();
            return keys;
        }
        keys.extend(
            deliveries
                .iter()
                .flat_map(|it| message::parse(&it.body).unwrap())
                .map(|it| it.key),
        );
    }
}

fn options(groups: usize) -> WorkerOptions {
    WorkerOptions {
        groups,
        idle_exit: Some(SECOND),
        ..WorkerOptions::default()
    }
}

type Handled = Result<(), GroupFailure<String>>;

async fn messages_sent_in_several_batches_all_arrive_once(access: &Access) {
    let queue = queue(access, "batches").await;
    let sent = manifests(25);
    queue.send(&sent).await.unwrap();
    let mut received = Vec::new();
    while received.len() < 25 {
        let deliveries = receive(&queue, 100).await;
        assert!((1..=10).contains(&deliveries.len()), "{}", deliveries.len());
        received.extend(deliveries);
    }
    let named: BTreeSet<String> = received
        .iter()
        .flat_map(|it| message::parse(&it.body).unwrap())
        .map(|it| it.key)
        .collect();
    assert_eq!(named, sent.into_iter().map(|it| it.key).collect());
    for delivery in &received {
        assert_eq!(delivery.receive_count, 1);
        queue.delete(delivery).await.unwrap();
    }
    assert!(receive(&queue, 10).await.is_empty());
}

async fn an_entry_that_failed_is_sent_again_and_only_that(access: &Access) {
    let direct = queue(access, "resent").await;
    let proxy = Proxy::start(access).unwrap();
    let queue = SqsQueue::connect(&config(proxy.access()), direct.url())
        .await
        .unwrap();
    let body = r#"{
        "Successful": [{"Id":"0","MessageId":"x","MD5OfMessageBody":"x"},{"Id":"2","MessageId":"x","MD5OfMessageBody":"x"}],
        "Failed": [{"Id":"1","Code":"InternalError","Message":"later","SenderFault":false}]
    }"#;
    let headers = vec![(
        "content-type".to_owned(),
        "application/x-amz-json-1.0".to_owned(),
    )];
    proxy.fault_nth(
        Operation::SendMessageBatch,
        1,
        Fault::Respond {
            status: 200,
            headers,
            body: body.into(),
        },
    );
    queue
        .send(&["0", "1", "2", "3"].map(manifest))
        .await
        .unwrap();
    assert_eq!(proxy.count(Operation::SendMessageBatch), 2);
    // The proxy kept the first batch to itself; its answer says nothing of entry 3.
    assert_eq!(keys(&direct).await, ["1", "3"]);
}

async fn a_message_that_the_queue_refuses_is_named_and_the_others_are_sent(access: &Access) {
    let direct = queue(access, "refused").await;
    let proxy = Proxy::start(access).unwrap();
    let queue = SqsQueue::connect(&config(proxy.access()), direct.url())
        .await
        .unwrap();
    let body = r#"{
        "Successful": [],
        "Failed": [{"Id":"3","Code":"InvalidMessageContents","Message":"no","SenderFault":true}]
    }"#;
    let headers = vec![(
        "content-type".to_owned(),
        "application/x-amz-json-1.0".to_owned(),
    )];
    proxy.fault_nth(
        Operation::SendMessageBatch,
        1,
        Fault::Respond {
            status: 200,
            headers,
            body: body.into(),
        },
    );
    let mut sent = manifests(12);
    sent[3] = manifest("bad");
    let error = queue.send(&sent).await.expect_err("one is refused");
    assert_eq!(
        (error.kind, error.exit_code()),
        (QueueErrorKind::Rejected, ExitCode::Upload)
    );
    assert!(error.to_string().contains("s3://b/bad"), "{error}");
    assert_eq!(keys(&direct).await.len(), 11);
}

async fn keys_with_any_character_go_through(access: &Access) {
    let queue = queue(access, "characters").await;
    let every: String = (0..0x2000)
        .chain(0xfff0..0x1_0010)
        .chain([0x10_ffff])
        .filter_map(char::from_u32)
        .collect();
    // As long as a key can be, in UTF-8.
    let mut sent = Vec::new();
    let mut key = String::new();
    for character in every.chars() {
        if key.len() + character.len_utf8() > 1024 {
            sent.push(manifest(&std::mem::take(&mut key)));
        }
        key.push(character);
    }
    sent.push(manifest(&key));
    queue.send(&sent).await.unwrap();
    let mut expected: Vec<_> = sent.into_iter().map(|it| it.key).collect();
    expected.sort();
    assert_eq!(keys(&queue).await, expected);
}

async fn a_released_message_is_there_at_once_and_counted(access: &Access) {
    let queue = queue(access, "released").await;
    queue.send(&manifests(1)).await.unwrap();
    for count in 1..=3 {
        let delivery = one(&queue).await;
        assert_eq!(delivery.receive_count, count);
        assert!(receive(&queue, 1).await.is_empty(), "it is hidden");
        queue.release(&delivery, Duration::ZERO).await.unwrap();
    }
}

async fn a_message_is_hidden_for_as_long_as_it_is_worked_on(access: &Access) {
    for round in 0..5 {
        if Box::pin(stays_hidden(access, &format!("hidden-{round}"))).await {
            return;
        }
    }
    panic!("the message was not kept hidden");
}

/// A request to extend, as a proxy saw it.
#[derive(Debug)]
struct Extension {
    arrived: Instant,
    answered: Option<Instant>,
}

/// All requests to extend, by their number.
#[derive(Debug, Clone, Default)]
struct Extensions(Arc<Mutex<HashMap<u64, Extension>>>);

impl Extensions {
    fn through(proxy: &Proxy) -> Self {
        let extensions = Self::default();
        let arriving = extensions.clone();
        proxy.on_request(move |seen| {
            if seen.operation == Operation::ChangeMessageVisibility {
                let mut all = arriving.0.lock().unwrap();
                let extension = Extension {
                    arrived: Instant::now(),
                    answered: None,
                };
                all.insert(seen.number, extension);
            }
        });
        let answered = extensions.clone();
        proxy.after_response(move |seen, status| {
            if seen.operation == Operation::ChangeMessageVisibility && status.is_success() {
                let mut all = answered.0.lock().unwrap();
                all.get_mut(&seen.number).unwrap().answered = Some(Instant::now());
            }
        });
        extensions
    }

    /// How many were answered.
    fn count(&self) -> usize {
        let all = self.0.lock().unwrap();
        all.values().filter(|it| it.answered.is_some()).count()
    }

    /// When the last of those arrived that were answered before this time.
    fn last_before(&self, time: Instant) -> Option<Instant> {
        let all = self.0.lock().unwrap();
        all.values()
            .filter(|it| it.answered.is_some_and(|answered| answered < time))
            .map(|it| it.arrived)
            .max()
    }
}

/// Whether another worker sees nothing of a message that is worked on for longer than two
/// visibilities. It may see the message if the machine stood still and nothing was extended in
/// time, but never within a visibility of an extension.
async fn stays_hidden(access: &Access, name: &str) -> bool {
    const VISIBILITY: Duration = Duration::from_secs(3);
    const EXTENSIONS: usize = 7;
    let direct = queue(access, name).await;
    direct.send(&manifests(1)).await.unwrap();
    let proxy = Proxy::start(access).unwrap();
    let extensions = Extensions::through(&proxy);
    let queue = SqsQueue::connect(&config(proxy.access()), direct.url())
        .await
        .unwrap();
    let mut received = queue.receive(1, SECOND, VISIBILITY).await.unwrap();
    let (held, cancel) = (Held::new(received.remove(0)), CancellationToken::new());
    let enough = CancellationToken::new();
    let other = async {
        while extensions.count() < EXTENSIONS {
            let asked = Instant::now();
            if receive(&direct, 1).await.is_empty() {
                continue;
            }
            if let Some(extended) = extensions.last_before(asked) {
                let hidden = extended.elapsed();
                // Servers round their times.
                assert!(
                    hidden + SECOND / 10 > VISIBILITY,
                    "visible {hidden:?} after an extension"
                );
            }
            return false;
        }
        true
    };
    let is_hidden = async {
        let is_hidden = other.await;
        enough.cancel();
        is_hidden
    };
    let work = enough.clone().cancelled_owned();
    let (done, is_hidden) = tokio::join!(
        keep_hidden(&queue, &held, VISIBILITY, &cancel, work),
        is_hidden
    );
    done.unwrap();
    if is_hidden {
        // Nobody extends it any more.
        assert_eq!(next(&direct).await.receive_count, 2);
    }
    is_hidden
}

async fn a_stale_receipt_handle_is_told_from_trouble(access: &Access) {
    let queue = queue(access, "stale").await;
    queue.send(&manifests(1)).await.unwrap();
    let first = one(&queue).await;
    queue.release(&first, Duration::ZERO).await.unwrap();
    let second = one(&queue).await;
    assert_eq!(first.id, second.id);
    assert_ne!(first.receipt_handle, second.receipt_handle);
    queue.delete(&second).await.unwrap();
    let error = queue
        .extend(&second, LONG)
        .await
        .expect_err("it is deleted");
    assert_eq!(error.kind, QueueErrorKind::Gone, "{error}");
    queue
        .delete(&second)
        .await
        .expect("deleting twice is no error");
    let nonsense = Delivery {
        receipt_handle: "nonsense".into(),
        ..second
    };
    assert_eq!(
        queue.extend(&nonsense, LONG).await.unwrap_err().kind,
        QueueErrorKind::Gone
    );
}

async fn a_message_nobody_can_use_goes_to_the_dead_letter_queue(access: &Access) {
    let sqs = client::sqs(access);
    let dead = queue(access, "dead").await;
    let attributes = sqs
        .get_queue_attributes()
        .queue_url(dead.url())
        .attribute_names(QueueAttributeName::QueueArn);
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    let policy = format!(
        r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":"3"}}"#,
        attributes[&QueueAttributeName::QueueArn]
    );
    servers::take(access, "queue", "queue-redriven");
    let made = sqs
        .create_queue()
        .queue_name("queue-redriven")
        .attributes(QueueAttributeName::RedrivePolicy, policy);
    let url = made.send().await.unwrap().queue_url.unwrap();
    sqs.send_message()
        .queue_url(&url)
        .message_body("lunch at noon?")
        .send()
        .await
        .unwrap();
    let queue = SqsQueue::connect(&config(access), &url).await.unwrap();
    queue.send(&manifests(2)).await.unwrap();

    let options = WorkerOptions {
        visibility: SECOND,
        idle_exit: Some(4 * SECOND),
        ..options(2)
    };
    let handled = Arc::new(Mutex::new(BTreeSet::new()));
    let mut dead_letters = Vec::new();
    // Once, unless the machine stands still for as long as the worker waits.
    while dead_letters.is_empty() {
        let keys = Arc::clone(&handled);
        let handler = move |manifest: ManifestRef, _| {
            keys.lock().unwrap().insert(manifest.key);
            std::future::ready(Handled::Ok(()))
        };
        let ended = work(&queue, &options, CancellationToken::new(), handler)
            .await
            .unwrap();
        assert_eq!(ended, Ended::Idle);
        dead_letters = receive(&dead, 10).await;
    }
    let sent = manifests(2).into_iter().map(|it| it.key).collect();
    assert_eq!(*handled.lock().unwrap(), sent);
    let bodies: Vec<_> = dead_letters.iter().map(|it| it.body.as_str()).collect();
    assert_eq!(bodies, ["lunch at noon?"]);
    assert!(receive(&dead, 10).await.is_empty());
}

async fn a_queue_that_does_not_exist_is_told_by_its_name(access: &Access) {
    let config = config(access);
    let by_name = SqsQueue::connect(&config, "no-such-queue")
        .await
        .unwrap_err();
    assert_eq!(
        (by_name.kind, by_name.exit_code()),
        (QueueErrorKind::Missing, ExitCode::Usage),
        "{by_name}"
    );
    assert!(by_name.to_string().contains("no-such-queue"), "{by_name}");

    servers::create_queue(access, "queue-by-name").await;
    let found = SqsQueue::connect(&config, "queue-by-name").await.unwrap();
    let attributes = client::sqs(access)
        .get_queue_attributes()
        .queue_url(found.url());
    let attributes = attributes
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .unwrap()
        .attributes
        .unwrap();
    let arn = &attributes[&QueueAttributeName::QueueArn];
    let parts: Vec<&str> = arn.split(':').collect();
    for name in [arn.clone(), format!("{}/{}", parts[4], parts[5])] {
        assert_eq!(
            SqsQueue::connect(&config, &name).await.unwrap().url(),
            found.url(),
            "{name}"
        );
    }
    let url = found.url().replace("by-name", "gone");
    let queue = SqsQueue::connect(&config, &url)
        .await
        .expect("a URL asks nobody");
    let (sent, received) = (
        queue.send(&manifests(1)).await,
        queue.receive(1, SECOND, LONG).await.map(|_| ()),
    );
    for error in [sent.unwrap_err(), received.unwrap_err()] {
        assert_eq!(error.kind, QueueErrorKind::Missing, "{error}");
        assert!(error.to_string().contains(&url), "{error}");
    }
    let ended = work(&queue, &options(1), CancellationToken::new(), |_, _| {
        std::future::ready(Handled::Ok(()))
    })
    .await;
    assert!(matches!(ended, Err(WorkError::Queue(error)) if error.kind == QueueErrorKind::Missing));
}

async fn a_shutdown_gives_back_what_runs_and_what_the_last_poll_brings(access: &Access) {
    let direct = queue(access, "shutdown").await;
    direct.send(&[manifest("runs")]).await.unwrap();
    let proxy = Proxy::start(access).unwrap();
    let queue = SqsQueue::connect(&config(proxy.access()), direct.url())
        .await
        .unwrap();
    let shutdown = CancellationToken::new();
    let options = WorkerOptions {
        drain: SECOND,
        idle_exit: None,
        ..options(2)
    };
    let handler = |_, cancel: CancellationToken| async move {
        cancel.cancelled().await;
        Handled::Err(GroupFailure::new(
            Disposition::GiveBack,
            "stopped".to_owned(),
        ))
    };
    let others = async {
        // The first one brought the message that runs.
        until(async || proxy.count(Operation::ReceiveMessage) >= 2).await;
        shutdown.cancel();
        direct.send(&[manifest("late")]).await.unwrap();
    };
    let (ended, ()) = tokio::join!(work(&queue, &options, shutdown.clone(), handler), others);
    assert_eq!(ended.unwrap(), Ended::Shutdown);
    assert_eq!(proxy.count(Operation::ReceiveMessage), 2);
    let mut left = BTreeSet::new();
    for _ in 0..2 {
        let delivery = next(&direct).await;
        left.insert((key_of(&delivery), delivery.receive_count));
    }
    assert_eq!(
        left,
        BTreeSet::from([("runs".to_owned(), 2), ("late".to_owned(), 2)])
    );
}

async fn a_worker_rides_out_an_outage(access: &Access) {
    let direct = queue(access, "outage").await;
    direct.send(&manifests(1)).await.unwrap();
    let proxy = Proxy::start(access).unwrap();
    // Longer than the SDK tries by itself.
    proxy.rule(|seen| match seen.operation {
        Operation::ReceiveMessage if seen.nth <= 4 => Fault::FailBefore {
            status: 500,
            code: "InternalError",
        },
        Operation::ReceiveMessage if seen.nth <= 7 => Fault::DropBefore,
        _ => Fault::Forward,
    });
    let queue = SqsQueue::connect(&config(proxy.access()), direct.url())
        .await
        .unwrap();
    let ended = work(&queue, &options(1), CancellationToken::new(), |_, _| {
        std::future::ready(Handled::Ok(()))
    })
    .await;
    assert_eq!(ended.unwrap(), Ended::Idle);
    assert!(
        keys(&direct).await.is_empty(),
        "the message was worked on and deleted"
    );
}

#[tokio::test]
async fn s3_events_of_moto_name_decoded_keys_and_its_test_event_is_discarded() {
    use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
    let access = moto().await;
    let (s3, sqs) = (client::s3(access), client::sqs(access));
    let queue = queue(access, "events").await;
    let attributes = sqs
        .get_queue_attributes()
        .queue_url(queue.url())
        .attribute_names(QueueAttributeName::QueueArn);
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    let arn = &attributes[&QueueAttributeName::QueueArn];
    servers::create_bucket(access, "announced").await;
    let created = QueueConfiguration::builder()
        .queue_arn(arn)
        .events(Event::S3ObjectCreated)
        .build()
        .unwrap();
    let notifications = NotificationConfiguration::builder()
        .queue_configurations(created)
        .build();
    let request = s3
        .put_bucket_notification_configuration()
        .bucket("announced");
    request
        .notification_configuration(notifications)
        .send()
        .await
        .unwrap();
    let key = "groups/r/a b+c%2B ü.index";
    client::put_object(&s3, "announced", key, "rows")
        .await
        .unwrap();

    let named = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&named);
    let handler = move |manifest: ManifestRef, _| {
        log.lock().unwrap().push(manifest);
        std::future::ready(Handled::Ok(()))
    };
    work(&queue, &options(1), CancellationToken::new(), handler)
        .await
        .unwrap();
    let named = named.lock().unwrap().clone();
    assert_eq!(named.len(), 1, "{named:?}");
    assert_eq!(
        (named[0].bucket.as_str(), named[0].key.as_str()),
        ("announced", key)
    );
    // md5sum of "rows".
    assert!(
        named[0]
            .etag
            .as_deref()
            .is_some_and(|etag| etag.len() == 32),
        "{named:?}"
    );
    assert!(
        keys(&queue).await.is_empty(),
        "the test event is deleted too"
    );
}

#[tokio::test]
async fn a_queue_that_is_denied_is_a_matter_of_permission_by_name_and_by_url() {
    let moto = Moto::start().await.unwrap();
    let url = client::create_queue(&client::sqs(moto.access()), "secret")
        .await
        .unwrap();
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    let user = moto.user_with_policy("stranger", policy).await.unwrap();
    moto.enforce_iam().await.unwrap();
    let by_name = SqsQueue::connect(&config(&user), "secret")
        .await
        .unwrap_err();
    assert_eq!(
        (by_name.kind, by_name.exit_code()),
        (QueueErrorKind::Denied, ExitCode::Permission),
        "{by_name}"
    );
    let queue = SqsQueue::connect(&config(&user), &url).await.unwrap();
    let (sent, received) = (
        queue.send(&manifests(1)).await,
        queue.receive(1, SECOND, LONG).await.map(|_| ()),
    );
    for error in [sent.unwrap_err(), received.unwrap_err()] {
        assert_eq!(error.kind, QueueErrorKind::Denied, "{error}");
    }
}

#[tokio::test]
async fn no_credentials_are_a_matter_of_permission_and_nobody_listening_one_of_patience() {
    let nobody = Access::new("http://127.0.0.1:9", "k", "s");
    let queue = SqsQueue::connect(&config(&nobody), "http://127.0.0.1:9/1/q")
        .await
        .unwrap();
    let error = queue.receive(1, SECOND, LONG).await.unwrap_err();
    assert_eq!(error.kind, QueueErrorKind::Transient, "{error}");
    let mut keyless = config(&nobody).into_builder();
    keyless.set_credentials_provider(None);
    let queue = SqsQueue::connect(&keyless.build(), "http://127.0.0.1:9/1/q")
        .await
        .unwrap();
    let error = queue.receive(1, SECOND, LONG).await.unwrap_err();
    assert_eq!(error.kind, QueueErrorKind::Denied, "{error}");
}
