//! deploy/iam/operator.json on a moto that enforces it: all that the operator asks of S3 and SQS is
//! in it, nothing in it is left over, and nothing beyond it can be done.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use s3bundler_contract::{
    Acknowledgement, ArchiveOptions, GroupOptions, InventoryRef, KeyLayout, Layout, Receipt,
    ResourceUid, RunClaim, RunName, RunSummary, SelectOptions, Stage,
};
use s3bundler_operator::aws::Aws;
use s3bundler_operator::queues::{Queues, earlier_queue_name, queue_name};
use s3bundler_operator::receipts::Count;
use s3bundler_operator::records::Records;
use s3bundler_testbed::client;
use s3bundler_testbed::servers::{Moto, Policy};

use crate::common::aws;

const INVENTORIES: &str = "inventories";
const VAULT: &str = "vault";
const CLUSTER: &str = "production";

/// The policy for destinations under a prefix.
fn policy(prefix: &str) -> Policy {
    let prefix = if prefix.is_empty() {
        String::new()
    } else {
        format!("{prefix}/")
    };
    let words = [
        ("DESTINATION_BUCKET", VAULT),
        ("PREFIX/", &prefix),
        ("CLUSTER", CLUSTER),
        ("ACCOUNT", "123456789012"),
    ];
    Policy::of_deployment("operator.json", &words)
}

/// Everything of a run's life that the operator has to do with, under this prefix of the
/// destination.
async fn oversee(root: &aws_sdk_s3::Client, sqs: &aws_sdk_sqs::Client, aws: &Aws, prefix: &str) {
    let (records, queues) = (
        Records::new(aws, aws.region(), None),
        Queues::new(aws, aws.region()),
    );
    let (run, layout): (RunName, _) = (
        "logs".parse().unwrap(),
        Layout::new(prefix, KeyLayout::Hashed).unwrap(),
    );

    let uid: ResourceUid = "0a1b2c3d-4e5f-6789-abcd-ef0123456789".parse().unwrap();
    let acknowledged = || records.acknowledgement(VAULT, &layout, &run, &uid);
    assert_eq!(
        acknowledged().await.unwrap(),
        None,
        "what is not there is no denied one"
    );
    assert_eq!(records.claim(VAULT, &layout, &run).await.unwrap(), None);
    let inventory = InventoryRef {
        manifest: "s3://inventories/manifest.json".parse().unwrap(),
        etag: "e".to_owned(),
        creation_timestamp: None,
    };
    let claim = RunClaim::new(
        run.clone(),
        inventory,
        SelectOptions::default(),
        GroupOptions::default(),
        ArchiveOptions::default(),
        "the test".to_owned(),
    );
    // As the grouper writes them.
    let acknowledgement = Acknowledgement::of(&claim, uid.clone());
    for (key, json) in [
        (layout.claim(&run), claim.to_json()),
        (
            layout.acknowledgement(&run, &uid),
            acknowledgement.to_json(),
        ),
    ] {
        client::put_object(root, VAULT, &key, json).await.unwrap();
    }
    assert_eq!(acknowledged().await.unwrap(), Some(acknowledgement));
    assert_eq!(
        records.claim(VAULT, &layout, &run).await.unwrap(),
        Some(claim)
    );
    assert_eq!(
        records
            .summary(VAULT, &layout, &run, Stage::OWN)
            .await
            .unwrap(),
        None,
        "nobody has grouped yet"
    );
    let summary = RunSummary {
        groups: 1,
        ..RunSummary::of_pass(run.clone(), 0)
    };
    client::put_object(root, VAULT, &layout.summary(&run), summary.to_json())
        .await
        .unwrap();
    assert_eq!(
        records
            .summary(VAULT, &layout, &run, Stage::OWN)
            .await
            .unwrap(),
        Some(summary)
    );
    let mut receipt = Receipt::empty("logs.000000".parse().unwrap());
    receipt.figures.archived = 5;
    client::put_object(root, VAULT, &receipt.key(&layout, &run), "")
        .await
        .unwrap();
    let mut count = Count::new(run.clone());
    let counted = records.count(VAULT, &layout, &run, &mut count, 2).await;
    assert_eq!(counted.unwrap().unwrap().pass(0).groups, 1);

    let uid = format!("{:0>36}", prefix.len());
    for name in [
        queue_name(CLUSTER, "team-a", &run, &uid),
        earlier_queue_name("team-a", &run, &uid),
    ] {
        use_queues(sqs, &queues, &name).await;
    }
}

/// The life of a run's queues.
async fn use_queues(sqs: &aws_sdk_sqs::Client, queues: &Queues, name: &str) {
    let pair = queues.ensure(name, &tags(CLUSTER)).await.unwrap();
    assert_eq!(
        queues.ensure(name, &tags(CLUSTER)).await.unwrap(),
        pair,
        "it is there"
    );
    let dead = pair.dead_letter_url.clone().unwrap();
    assert_eq!(
        queues.find(name).await.unwrap(),
        [pair.url.clone(), dead.clone()]
    );
    sqs.send_message()
        .queue_url(&dead)
        .message_body("a group")
        .send()
        .await
        .unwrap();
    assert_eq!(queues.depth(&dead).await.unwrap().visible, 1);
    queues.redrive(&dead).await.unwrap();
    assert_eq!(
        (
            queues.depth(&dead).await.unwrap().visible,
            queues.depth(&pair.url).await.unwrap().visible
        ),
        (0, 1)
    );
    for url in [&pair.url, &dead] {
        queues.delete(url).await.unwrap();
    }
    assert!(queues.find(name).await.unwrap().is_empty());
}

/// The operator's tags, as far as a policy goes by them.
fn tags(cluster: &str) -> HashMap<String, String> {
    HashMap::from([("s3bundler-cluster".to_owned(), cluster.to_owned())])
}

#[tokio::test]
async fn the_operator_needs_all_of_its_policy_and_nothing_else() {
    let moto = Moto::start().await.unwrap();
    let administrator = moto.administrator().await.unwrap();
    let (s3, sqs) = (client::s3(&administrator), client::sqs(&administrator));
    let mut operators = Vec::new();
    for (user, prefix) in [
        ("of-buckets", ""),
        ("of-a-prefix", "team-a"),
        ("of-a-deeper-one", "a/deeper/one"),
    ] {
        operators.push((
            user,
            prefix,
            moto.user_with_policy(user, policy(prefix).as_str())
                .await
                .unwrap(),
        ));
    }
    moto.enforce_iam().await.unwrap();
    client::create_bucket(&s3, VAULT).await.unwrap();

    for (user, prefix, operator) in operators {
        oversee(&s3, &sqs, &aws(&operator), prefix).await;
        let decisions = moto
            .decisions()
            .unwrap()
            .into_iter()
            .filter(|it| it.is_of(user));
        let (allowed, denied): (Vec<_>, Vec<_>) = decisions.partition(|it| it.by.is_some());
        assert_eq!(denied, [], "{prefix}");
        let used: BTreeSet<_> = allowed.into_iter().filter_map(|it| it.by).collect();
        let unused: Vec<_> = policy(prefix)
            .permissions()
            .difference(&used)
            .cloned()
            .collect();
        assert_eq!(unused, [], "operator.json permits what it does not need");
    }
}

/// Whether a request was denied, and not something else.
fn is_denied<T, E>(answer: Result<T, SdkError<E, HttpResponse>>) -> bool
where
    E: ProvideErrorMetadata,
{
    answer.is_err_and(|error| {
        error
            .raw_response()
            .is_some_and(|response| response.status().as_u16() == 403)
    })
}

#[tokio::test]
async fn the_operator_reads_no_objects_and_no_archives_and_touches_no_other_queue() {
    let moto = Moto::start().await.unwrap();
    let (s3, sqs) = (client::s3(moto.access()), client::sqs(moto.access()));
    for bucket in ["logs", INVENTORIES, VAULT] {
        client::create_bucket(&s3, bucket).await.unwrap();
    }
    let secrets = [
        ("logs", "2026/01.json"),
        (INVENTORIES, "logs/daily/data/1.csv.gz"),
        (INVENTORIES, "logs/daily/2026-11-22T01-00Z/manifest.json"),
        (VAULT, "team-a/archives/a.tar"),
        (VAULT, "team-a/groups/logs/logs.000000.index"),
        (VAULT, "team-a/catalog/run=logs/logs.000000.parquet"),
        (
            VAULT,
            "team-a/objects/ab12cd/logs/ml/runs/7/model.bin~12345678",
        ),
        (VAULT, "team-b/runs/logs.json"),
    ];
    for (bucket, key) in secrets {
        client::put_object(&s3, bucket, key, "secret")
            .await
            .unwrap();
    }
    client::put_object(&s3, VAULT, "team-a/runs/logs.json", "{}")
        .await
        .unwrap();
    let work = client::create_queue(&sqs, "s3bundler_production_team-a_logs_01234567")
        .await
        .unwrap();
    let other = client::create_queue(&sqs, "payments").await.unwrap();
    let operator = moto
        .user_with_policy("operator", policy("team-a").as_str())
        .await
        .unwrap();
    moto.enforce_iam().await.unwrap();

    let (s3, sqs) = (client::s3(&operator), client::sqs(&operator));
    for (bucket, key) in secrets {
        assert!(
            is_denied(s3.get_object().bucket(bucket).key(key).send().await),
            "GetObject {bucket}/{key}"
        );
        assert!(
            is_denied(s3.put_object().bucket(bucket).key(key).send().await),
            "PutObject {bucket}/{key}"
        );
        assert!(
            is_denied(s3.delete_object().bucket(bucket).key(key).send().await),
            "DeleteObject {bucket}/{key}"
        );
    }
    let delete = s3.delete_object().bucket(VAULT);
    assert!(is_denied(delete.key("team-a/runs/logs.json").send().await));
    let put = s3.put_object().bucket(VAULT);
    assert!(
        is_denied(put.key("team-a/runs/new.json").send().await),
        "the operator writes nothing to S3"
    );
    let list = |prefix: &'static str| s3.list_objects_v2().bucket(VAULT).prefix(prefix).send();
    assert!(is_denied(list("team-a/archives/").await));
    assert!(!is_denied(list("team-a/receipts/logs/").await));
    for bucket in ["logs", INVENTORIES] {
        let listed = s3.list_objects_v2().bucket(bucket).send().await;
        assert!(is_denied(listed), "ListBucket {bucket}");
    }
    assert!(
        is_denied(sqs.receive_message().queue_url(&work).send().await),
        "groups are the workers'"
    );
    assert!(is_denied(sqs.purge_queue().queue_url(&work).send().await));
    assert!(is_denied(sqs.delete_queue().queue_url(&other).send().await));
    assert!(is_denied(
        sqs.send_message()
            .queue_url(&other)
            .message_body("x")
            .send()
            .await
    ));
    assert!(is_denied(
        sqs.get_queue_attributes().queue_url(&other).send().await
    ));
    assert!(is_denied(
        sqs.create_queue().queue_name("payments-2").send().await
    ));
}

#[tokio::test]
async fn the_operator_of_one_cluster_leaves_the_queues_of_another_alone() {
    let moto = Moto::start().await.unwrap();
    let administrator = moto.administrator().await.unwrap();
    let operator = moto
        .user_with_policy("operator", policy("team-a").as_str())
        .await
        .unwrap();
    moto.enforce_iam().await.unwrap();
    let sqs = client::sqs(&administrator);
    let (own, theirs) = (client::sqs(&operator), "staging");
    for (name, cluster, expected) in [
        ("s3bundler_production_team-a_logs_01234567", CLUSTER, true),
        ("s3bundler-team-a-logs-0123456789ab", CLUSTER, true),
        ("s3bundler_staging_team-a_logs_01234567", theirs, false),
        (
            "s3bundler_production-2_team-a_logs_01234567",
            "production-2",
            false,
        ),
        ("s3bundler-team-a-photos-0123456789ab", theirs, false),
    ] {
        let created = own.create_queue().queue_name(name);
        let created = created.set_tags(Some(tags(cluster))).send().await;
        assert_eq!(!is_denied(created), expected, "CreateQueue {name}");
        let queue = sqs.create_queue().queue_name(name);
        let queue = queue.set_tags(Some(tags(cluster))).send().await.unwrap();
        let url = queue.queue_url.unwrap();
        let sent = own.send_message().queue_url(&url).message_body("x").send();
        assert_eq!(!is_denied(sent.await), expected, "SendMessage {name}");
        let deleted = own.delete_queue().queue_url(&url).send().await;
        assert_eq!(!is_denied(deleted), expected, "DeleteQueue {name}");
    }
    // A queue of another cluster cannot be had by a tag either.
    let name = "s3bundler-team-a-videos-0123456789ab";
    let queue = sqs.create_queue().queue_name(name);
    let queue = queue.set_tags(Some(tags(theirs))).send().await.unwrap();
    let tag = own.tag_queue().queue_url(queue.queue_url.unwrap());
    let tagged = tag.tags("s3bundler-cluster", CLUSTER).send().await;
    assert!(is_denied(tagged), "TagQueue {name}");
}
