//! deploy/iam/grouper.json, worker.json and kms.json on a moto that enforces them: real runs need
//! nothing else, nothing in the policies is left over, and nothing beyond them can be done.

mod abac;
mod queues;

use std::collections::BTreeSet;

use crate::world;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{ServerSideEncryption, Tag, Tagging};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use s3bundler_contract::{ArchiveFormat, Attempt, Group, GroupName, KeyLayout, Layout, RunName};
use s3bundler_testbed::cli::{Outcome, Program, Signal};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Column, Inventory, Published, inventory_of_bucket};
use s3bundler_testbed::patience::PATIENCE;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::{Access, Moto, Policy};
use serde_json::Value;

const SOURCE: &str = "photos";
const VERSIONED_SOURCE: &str = "photos-of-all-times";
const INVENTORIES: &str = "inventories";
const VAULT: &str = "vault";
const SOURCE_KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/source";
const DESTINATION_KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/destination";

fn policy(file: &str) -> Policy {
    let words = [
        ("SOURCE_KEY_ARN", SOURCE_KEY),
        ("DESTINATION_KEY_ARN", DESTINATION_KEY),
        ("INVENTORY_BUCKET", INVENTORIES),
        ("SOURCE_BUCKET", "photos*"),
        ("DESTINATION_BUCKET", VAULT),
        ("PREFIX", "team-a"),
        ("CLUSTER", "production"),
        ("NAMESPACE", "team-a"),
        ("ACCOUNT", "123456789012"),
    ];
    Policy::of_deployment(file, &words)
}

/// A server that enforces IAM, with a user for each of the two programs of a run.
struct World {
    moto: Moto,
    administrator: Access,
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    grouper: Access,
    worker: Access,
}

impl World {
    async fn start() -> Self {
        let moto = Moto::start().await.unwrap();
        let administrator = moto.administrator().await.unwrap();
        let [grouper, worker, kms] = ["grouper.json", "worker.json", "kms.json"].map(policy);
        let grouper = moto
            .user_with_policies("grouper", &[grouper.as_str(), kms.as_str()])
            .await
            .unwrap();
        let worker = moto
            .user_with_policies("worker", &[worker.as_str(), kms.as_str()])
            .await
            .unwrap();
        moto.enforce_iam().await.unwrap();
        let (s3, sqs) = (client::s3(&administrator), client::sqs(&administrator));
        client::create_versioned_bucket(&s3, VERSIONED_SOURCE)
            .await
            .unwrap();
        for bucket in [SOURCE, INVENTORIES, VAULT] {
            client::create_bucket(&s3, bucket).await.unwrap();
        }
        Self {
            moto,
            administrator,
            s3,
            sqs,
            grouper,
            worker,
        }
    }

    /// Small objects, one of them written twice, tags, a KMS key, and one that is to be copied.
    async fn fill(&self, bucket: &str) {
        let small = (0..12).map(|n| (format!("small/{n:02}"), format!("object {n}")));
        client::put_objects(&self.s3, bucket, small).await.unwrap();
        client::put_object(&self.s3, bucket, "small/00", "its second version")
            .await
            .unwrap();
        client::put_object(&self.s3, bucket, "large", vec![7; 300_000])
            .await
            .unwrap();
        for key in ["large", "small/03"] {
            let tag = Tag::builder().key("album").value("Crete").build().unwrap();
            let tagging = Tagging::builder().tag_set(tag).build().unwrap();
            self.s3
                .put_object_tagging()
                .bucket(bucket)
                .key(key)
                .tagging(tagging)
                .send()
                .await
                .unwrap();
        }
        let secret = self
            .s3
            .put_object()
            .bucket(bucket)
            .key("secret")
            .body(b"secret".to_vec().into());
        secret
            .server_side_encryption(ServerSideEncryption::AwsKms)
            .ssekms_key_id(SOURCE_KEY)
            .send()
            .await
            .unwrap();
    }

    async fn inventory(&self, bucket: &str, columns: Vec<Column>) -> Published {
        let inventory = Inventory::new(bucket, INVENTORIES).columns(columns);
        inventory_of_bucket(&self.s3, &inventory).await.unwrap()
    }

    async fn queue(&self, run: &str) -> String {
        let name = format!("s3bundler_production_team-a_{run}_01234567");
        self.tagged_queue(&name, "production", "team-a").await
    }

    /// As earlier releases named them.
    async fn earlier_queue(&self, run: &str) -> String {
        let name = format!("s3bundler-team-a-{run}-0123456789ab");
        self.tagged_queue(&name, "production", "team-a").await
    }

    /// A queue with the operator's tags.
    async fn tagged_queue(&self, name: &str, cluster: &str, namespace: &str) -> String {
        let tags = [
            ("s3bundler-cluster", cluster),
            ("s3bundler-namespace", namespace),
        ];
        let tags = tags.map(|(tag, value)| (tag.to_owned(), value.to_owned()));
        let queue = self.sqs.create_queue().queue_name(name);
        let queue = queue.set_tags(Some(tags.into())).send().await.unwrap();
        queue.queue_url.unwrap()
    }

    /// Every permission of these policies that none of these users was ever allowed something by.
    fn unused(&self, users: &[&str], file: &str) -> Vec<String> {
        let decisions = self.moto.decisions().unwrap();
        let of_users = decisions
            .into_iter()
            .filter(|it| users.iter().any(|user| it.is_of(user)));
        let used: BTreeSet<_> = of_users.filter_map(|it| it.by).collect();
        policy(file)
            .permissions()
            .difference(&used)
            .map(|it| format!("{} on {}", it.action, it.resource))
            .collect()
    }

    fn denied(&self) -> Vec<String> {
        // Whether a bucket answers is asked with HeadBucket: a denial is an answer, too.
        let asked = |action: &str| action == "s3:HeadBucket";
        let decisions = self
            .moto
            .decisions()
            .unwrap()
            .into_iter()
            .filter(|it| it.by.is_none() && !asked(&it.action));
        decisions
            .map(|it| format!("{} of {} by {}", it.action, it.resource, it.who))
            .collect()
    }
}

fn s3bundler(access: &Access, command: &str, run: &str, queue: &str) -> Program {
    world::s3bundler().access(access).args([
        command,
        "--destination",
        "s3://vault/team-a",
        "--name",
        run,
        "--queue",
        queue,
        "--output",
        "json",
    ])
}

fn report(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, Some(0), "{outcome}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[tokio::test]
async fn runs_need_all_of_the_policies_and_nothing_else() {
    let world = World::start().await;
    for bucket in [SOURCE, VERSIONED_SOURCE] {
        world.fill(bucket).await;
    }
    let current = world.inventory(SOURCE, Column::all_current()).await;
    let versions = world
        .inventory(VERSIONED_SOURCE, Column::ALL.to_vec())
        .await;
    world
        .s3
        .delete_object()
        .bucket(SOURCE)
        .key("small/07")
        .send()
        .await
        .unwrap();
    let first = world.queue("current").await;
    let second = world.earlier_queue("versions").await;
    // As workers that were killed leave them: an upload, and an archive that no catalog names.
    let (run, layout): (RunName, _) = (
        "current".parse().unwrap(),
        Layout::new("team-a", KeyLayout::Hashed).unwrap(),
    );
    let group = Group {
        name: GroupName::numbered(&run, 0),
        run,
        own: true,
    };
    let left = |attempt| {
        layout.archive(
            SOURCE,
            &group,
            &Attempt::from_bits(attempt),
            ArchiveFormat::Tar,
        )
    };
    client::put_object(&world.s3, VAULT, &left(2), "lost")
        .await
        .unwrap();
    world
        .s3
        .create_multipart_upload()
        .bucket(VAULT)
        .key(left(1))
        .send()
        .await
        .unwrap();
    let proxy = Proxy::start(&world.administrator).unwrap();
    let (grouper, worker) = (
        world.grouper.at(proxy.endpoint()),
        world.worker.at(proxy.endpoint()),
    );

    // What the bucket does not have is missing, not denied: these exit codes mean different things
    // to a Job.
    let nowhere = s3bundler(&grouper, "group", "nowhere", &first);
    let nowhere = nowhere.args([
        "--inventory",
        "s3://inventories/photos/weekly/2026-01-01T01-00Z/manifest.json",
    ]);
    let nowhere = nowhere.run().await.unwrap();
    assert_eq!(nowhere.code, Some(3), "{nowhere}");

    // As the operator starts it.
    let above_the_dates = current.manifest.rsplitn(3, '/').last().unwrap();
    let group = s3bundler(&grouper, "group", "current", &first).args([
        "--inventory-latest",
        above_the_dates,
        "--owner",
        "ArchiveRun team-a/current in cluster test",
        "--acknowledge",
        "0a1b2c3d-4e5f-6789-abcd-ef0123456789",
    ]);
    let grouped = group
        .args(["--max-objects", "5", "--max-object-size", "100KiB"])
        .run()
        .await
        .unwrap();
    assert_eq!(report(&grouped)["objects"], 14, "{grouped}");
    let bundle = |run: &str, queue: &str| {
        s3bundler(&worker, "bundle", run, queue).args(["--idle-exit", "1"])
    };
    // A worker that is told to end gives its group back.
    let gives_back = async |run: &str, queue: &str| {
        let (asked, asks) = std::sync::mpsc::channel();
        proxy.rule(move |seen| {
            // The worker asks whether the bucket answers before it takes a group.
            if seen.bucket() == VAULT || seen.operation != Operation::GetObject {
                return Fault::Forward;
            }
            let _ = asked.send(());
            Fault::Hang
        });
        let ended = bundle(run, queue).args(["--drain", "0"]).spawn().unwrap();
        tokio::task::spawn_blocking(move || asks.recv_timeout(PATIENCE))
            .await
            .unwrap()
            .unwrap();
        ended.signal(Signal::Terminate).unwrap();
        let ended = ended.wait().await.unwrap();
        assert!(
            report(&ended)["groupsStopped"].as_u64() > Some(0),
            "{ended}"
        );
    };
    gives_back("current", &first).await;
    // The copy of the large object fails for the time being.
    proxy.fault_every(
        Operation::CopyObject,
        Fault::FailBefore {
            status: 404,
            code: "NoSuchUpload",
        },
    );
    let bundled = bundle("current", &first)
        .args(["--tag", "team=a"])
        .run()
        .await
        .unwrap();
    assert_eq!(
        report(&bundled)["failed"],
        serde_json::json!({"NoSuchKey": 1, "Retry": 1}),
        "{bundled}"
    );
    proxy.forward_all();
    let again = s3bundler(&grouper, "group", "current", &first)
        .args(["--retry-pass", "1"])
        .run()
        .await
        .unwrap();
    assert_eq!(report(&again)["groups"], 1, "{again}");
    let bundled = bundle("current", &first)
        .args(["--tag", "team=a"])
        .run()
        .await
        .unwrap();
    assert_eq!(report(&bundled)["copied"], 1, "{bundled}");

    let kms = ["--encryption", "sse-kms", "--kms-key-id", DESTINATION_KEY];
    let group = s3bundler(&grouper, "group", "versions", &second)
        .args(["--inventory", &versions.manifest])
        .args(kms);
    let group = group
        .args(["--versions", "all", "--max-object-size", "100KiB"])
        .run()
        .await
        .unwrap();
    assert_eq!(report(&group)["objects"], 15, "{group}");
    gives_back("versions", &second).await;
    proxy.forward_all();
    let bundled = bundle("versions", &second).args(kms).run().await.unwrap();
    let bundled = report(&bundled);
    assert_eq!(
        (&bundled["archived"], &bundled["copied"]),
        (&Value::from(14), &Value::from(1)),
        "{bundled:#}"
    );

    // As awslabs/s3bundler wrote them.
    let rows = "\"photos\",\"small%2F01\",\"\"\n\"photos\",\"small%2F02\",\"\"\n";
    client::put_object(&world.s3, INVENTORIES, "seed/key.0.index", rows)
        .await
        .unwrap();
    let given = s3bundler(&grouper, "group", "given", &first)
        .args(["--manifests", "s3://inventories/seed/"]);
    assert_eq!(report(&given.run().await.unwrap())["objects"], 2);
    assert_eq!(
        report(&bundle("given", &first).run().await.unwrap())["archived"],
        2
    );

    assert_eq!(world.denied(), Vec::<String>::new());
    for (users, file) in [
        (&["grouper"][..], "grouper.json"),
        (&["worker"], "worker.json"),
        (&["grouper", "worker"], "kms.json"),
    ] {
        assert_eq!(
            world.unused(users, file),
            Vec::<String>::new(),
            "{file} permits what no run needs"
        );
    }
    // The verifier of an ArchiveRun needs no more than a worker has.
    for run in ["current", "versions", "given"] {
        let verify = world::s3bundler().access(&world.worker);
        let verify = verify.args([
            "verify",
            "--full",
            "--destination",
            "s3://vault/team-a",
            "--name",
            run,
        ]);
        let verified = verify.run().await.unwrap();
        assert_eq!(verified.code, Some(0), "{verified}");
    }
    assert_eq!(world.denied(), Vec::<String>::new());
    assert_eq!(
        client::list_open_uploads(&world.s3, VAULT).await.unwrap(),
        []
    );
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
async fn nothing_beyond_the_policies_can_be_done() {
    let world = World::start().await;
    client::put_object(&world.s3, SOURCE, "small", "object")
        .await
        .unwrap();
    let keys = [
        "team-a/archives/a.tar",
        "team-a/groups/r/r.000000.index",
        "team-b/archives/a.tar",
        "team-b/runs/r.json",
    ];
    for key in keys {
        client::put_object(&world.s3, VAULT, key, "bytes")
            .await
            .unwrap();
    }
    client::put_object(&world.s3, INVENTORIES, "photos/daily/data/1.csv.gz", "rows")
        .await
        .unwrap();
    let own = world.queue("run").await;
    let other = client::create_queue(&world.sqs, "payments").await.unwrap();

    let clients = [("grouper", &world.grouper), ("worker", &world.worker)];
    let clients = clients.map(|(name, access)| (name, client::s3(access), client::sqs(access)));
    let mut allowed = Vec::new();
    let mut expect = |who: &str, what: String, denied: bool| {
        if !denied {
            allowed.push(format!("{who}: {what}"));
        }
    };
    for (who, s3, sqs) in &clients {
        let get = |bucket: &'static str, key: &'static str| {
            s3.get_object().bucket(bucket).key(key).send()
        };
        let put = |bucket: &'static str, key: &'static str| {
            s3.put_object().bucket(bucket).key(key).send()
        };
        let delete = |bucket: &'static str, key: &'static str| {
            s3.delete_object().bucket(bucket).key(key).send()
        };
        let (reads, writes) = if *who == "grouper" {
            // Neither objects nor archives, and nothing is deleted.
            expect(
                who,
                "DeleteObject".to_owned(),
                is_denied(delete(VAULT, "team-a/groups/r/r.000000.index").await),
            );
            expect(
                who,
                "ReceiveMessage".to_owned(),
                is_denied(sqs.receive_message().queue_url(&own).send().await),
            );
            (
                [
                    (SOURCE, "small"),
                    (VAULT, "team-a/archives/a.tar"),
                    (VAULT, "team-b/runs/r.json"),
                ],
                [
                    "team-a/archives/a.tar",
                    "team-a/receipts/r/x",
                    "team-b/runs/r.json",
                ],
            )
        } else {
            expect(
                who,
                "SendMessage".to_owned(),
                is_denied(
                    sqs.send_message()
                        .queue_url(&own)
                        .message_body("x")
                        .send()
                        .await,
                ),
            );
            // It deletes archives of lost attempts and its probe, and no record.
            for key in [
                "team-b/archives/a.tar",
                "team-a/catalog/run=r/r.000000.parquet",
                "team-a/groups/r/r.000000.index",
                "team-a/objects/x",
                "team-a/receipts/r/x",
                "team-a/runs/r.json",
            ] {
                expect(
                    who,
                    format!("DeleteObject {key}"),
                    is_denied(delete(VAULT, key).await),
                );
            }
            (
                [
                    (INVENTORIES, "photos/daily/data/1.csv.gz"),
                    (VAULT, "team-b/archives/a.tar"),
                    (VAULT, "team-b/runs/r.json"),
                ],
                ["team-b/archives/a.tar", "team-b/runs/r.json", "other.json"],
            )
        };
        for (bucket, key) in reads {
            expect(
                who,
                format!("GetObject {bucket}/{key}"),
                is_denied(get(bucket, key).await),
            );
        }
        for key in writes {
            expect(
                who,
                format!("PutObject {VAULT}/{key}"),
                is_denied(put(VAULT, key).await),
            );
        }
        for bucket in [SOURCE, INVENTORIES] {
            expect(
                who,
                format!("PutObject {bucket}"),
                is_denied(put(bucket, "new").await),
            );
            expect(
                who,
                format!("DeleteObject {bucket}"),
                is_denied(delete(bucket, "small").await),
            );
        }
        for queue in [&own, &other] {
            expect(
                who,
                format!("DeleteQueue {queue}"),
                is_denied(sqs.delete_queue().queue_url(queue).send().await),
            );
            expect(
                who,
                format!("PurgeQueue {queue}"),
                is_denied(sqs.purge_queue().queue_url(queue).send().await),
            );
        }
        expect(
            who,
            "SendMessage elsewhere".to_owned(),
            is_denied(
                sqs.send_message()
                    .queue_url(&other)
                    .message_body("x")
                    .send()
                    .await,
            ),
        );
        expect(
            who,
            "ReceiveMessage elsewhere".to_owned(),
            is_denied(sqs.receive_message().queue_url(&other).send().await),
        );
        expect(
            who,
            "CreateQueue".to_owned(),
            is_denied(sqs.create_queue().queue_name("s3bundler-new").send().await),
        );
    }
    assert_eq!(allowed, Vec::<String>::new());
}
