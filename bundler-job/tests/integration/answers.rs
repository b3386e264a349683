//! Answers that are not S3's: pages of a proxy, and answers without a body, say nothing about what
//! was asked for. They are tried again, whatever was asked for. Answers of S3 that every object
//! would get fail the group with their cause.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::world::{self, Whole, World, assert_whole, gets, gets_source};
use s3bundler_contract::ExitCode;
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, inventory_of_bucket};
use s3bundler_testbed::proxy::{Fault, Operation, Proxy, Seen};
use s3bundler_testbed::servers::{Access, Moto, VersityGw};

const PAGE: &str = "<html><head><title>Error</title></head><body>no such page</body></html>";
const CUT: &str = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>The specified";
const NO_CODE: &str = "<Error><Code></Code><Message/></Error>";
const UNKNOWN: &str =
    "<Error><Code>SomethingNew</Code><Message>never seen before</Message></Error>";

fn answer(status: u16, body: &'static str) -> Fault {
    let kind = if body.starts_with("<html") {
        "text/html"
    } else {
        "application/xml"
    };
    Fault::Respond {
        status,
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        body: body.into(),
    }
}

/// A rule that answers the first request of each key that `matches` with the next of these.
fn once_each(
    matches: impl Fn(&Seen) -> bool + Send + Sync + 'static,
    answers: Vec<Fault>,
) -> impl Fn(&Seen) -> Fault + Send + Sync + 'static {
    let asked = Mutex::new(BTreeSet::new());
    move |seen| {
        let mut asked = asked.lock().unwrap();
        if matches(seen) && asked.insert(seen.key()) {
            return answers[(asked.len() - 1) % answers.len()].clone();
        }
        Fault::Forward
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_the_place_of_an_object_is_tried_again() {
    let world = World::of_groups(2).await;
    let bucket = world.destination("pages").await;
    let proxy = Proxy::start(world.access()).unwrap();
    let answers = vec![
        answer(404, PAGE),
        answer(403, PAGE),
        answer(405, PAGE),
        answer(404, ""),
        answer(404, CUT),
        answer(404, NO_CODE),
        answer(302, PAGE),
        answer(400, UNKNOWN),
        answer(403, UNKNOWN),
        answer(404, UNKNOWN),
    ];
    assert_eq!(answers.len(), world.listed.len());
    proxy.rule(once_each(gets_source, answers));
    let done = world
        .program(&bucket)
        .access(proxy.access())
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(&world, &bucket).await;
}

/// A captive portal, or a gateway that answers in the place of S3.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_success_that_tells_of_no_object_is_tried_again() {
    let mut world = World::of_groups(2).await;
    world.max_object_size = Some(50_000);
    for (n, fault) in [
        answer(200, PAGE),
        answer(200, ""),
        answer(204, ""),
        answer(200, UNKNOWN),
    ]
    .into_iter()
    .enumerate()
    {
        let bucket = world.destination(&format!("portal-{n}")).await;
        let proxy = Proxy::start(world.access()).unwrap();
        let asked = Mutex::new(BTreeSet::new());
        proxy.rule(move |seen| {
            let of_object = [
                Operation::GetObject,
                Operation::HeadObject,
                Operation::PutObject,
                Operation::UploadPart,
            ];
            let is_first = of_object.contains(&seen.operation)
                && asked.lock().unwrap().insert((
                    format!("{:?}", seen.operation),
                    seen.bucket().to_owned(),
                    seen.key(),
                ));
            if is_first {
                fault.clone()
            } else {
                Fault::Forward
            }
        });
        // Copies have the SDK's tries only.
        let done = world
            .program(&bucket)
            .access(proxy.access())
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(0), "{done}");
        assert_whole(&world, &bucket).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_only_a_portal_answers_for_is_retried_later() {
    let world = World::of_groups(1).await;
    let bucket = world.destination("portal-stays").await;
    let proxy = Proxy::start(world.access()).unwrap();
    let last = world.listed.last().unwrap().clone();
    let rule = last.clone();
    proxy.rule(move |seen| {
        if gets_source(seen) && seen.key() == rule {
            answer(200, PAGE)
        } else {
            Fault::Forward
        }
    });
    let done = world
        .program(&bucket)
        .access(proxy.access())
        .args(["--retry-passes", "0"])
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    Whole::of(&world, &bucket)
        .failed(&last, "Retry")
        .check()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_the_place_of_a_record_is_tried_again() {
    let world = World::of_groups(1).await;
    for (n, (what, matches)) in [
        (
            "inventory",
            (|seen: &Seen| {
                seen.operation == Operation::GetObject && seen.key().ends_with("manifest.json")
            }) as fn(&Seen) -> bool,
        ),
        ("checksum", |seen| {
            seen.operation == Operation::GetObject && seen.key().ends_with("manifest.checksum")
        }),
        ("claim", |seen| gets(seen, "runs")),
        ("group", |seen| gets(seen, "groups")),
        ("catalog", |seen| gets(seen, "catalog")),
    ]
    .into_iter()
    .enumerate()
    {
        for (status, body) in [(404, PAGE), (403, PAGE), (404, "")] {
            let bucket = world
                .destination(&format!("record-{n}-{status}-{}", body.len()))
                .await;
            let proxy = Proxy::start(world.access()).unwrap();
            proxy.rule(once_each(matches, vec![answer(status, body)]));
            let program = world.program(&bucket).args(["--format", "tar.zst"]);
            let done = program.access(proxy.access()).run().await.unwrap();
            assert_eq!(done.code, Some(0), "{what}: {done}");
            let archives = world.keys_of(&bucket, "archives").await;
            assert!(
                archives.iter().any(|key| key.ends_with(".tar.zst")),
                "{what}: {archives:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_of_every_object_fails_the_group_with_its_cause() {
    let world = World::of_groups(1).await;
    let last = world.listed.last().unwrap().clone();
    for (n, (status, code, exit)) in [
        (400, "InvalidToken", ExitCode::Permission),
        (400, "TokenRefreshRequired", ExitCode::Permission),
        (403, "RequestTimeTooSkewed", ExitCode::Permission),
        (400, "ExpiredToken", ExitCode::Permission),
        (301, "PermanentRedirect", ExitCode::Download),
        (307, "TemporaryRedirect", ExitCode::Download),
    ]
    .into_iter()
    .enumerate()
    {
        let bucket = world.destination(&format!("trouble-{n}")).await;
        let proxy = Proxy::start(world.access()).unwrap();
        let last = last.clone();
        // In the middle of a group: the others were read before.
        proxy.rule(move |seen| {
            if gets_source(seen) && seen.key() == last {
                Fault::FailBefore { status, code }
            } else {
                Fault::Forward
            }
        });
        let done = world
            .program(&bucket)
            .access(proxy.access())
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(i32::from(exit.code())), "{code}: {done}");
        assert!(done.stderr.contains(code), "{code}: {done}");
        assert_eq!(world.keys_of(&bucket, "catalog").await, [""; 0], "{code}");
    }
}

/// S3 returns headers as they were written, Latin-1 included.
#[tokio::test(flavor = "multi_thread")]
async fn latin1_header_values_are_archived_with_the_first_get_and_recorded() {
    let mut world = World::of_groups(1).await;
    world.max_object_size = Some(50_000);
    let bucket = world.destination("latin1").await;
    let proxy = Proxy::start(world.access()).unwrap();
    let (named, disposed, copied) = (
        world.listed[0].clone(),
        world.listed[1].clone(),
        world.listed[4].clone(),
    );
    let odd = [named.clone(), disposed.clone(), copied.clone()];
    proxy.rule(move |seen| match seen.key() {
        key if !gets_source(seen) || !odd.contains(&key) => Fault::Forward,
        key if key == odd[1] => Fault::SetHeader {
            name: "content-disposition",
            value: b"attachment; filename=\"Gr\xf6\xdfe.pdf\"",
        },
        _ => Fault::SetHeader {
            name: "x-amz-meta-name",
            value: b"JULI\xc1N",
        },
    });
    let done = world
        .program(&bucket)
        .access(proxy.access())
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(&world, &bucket).await;
    let gets = proxy
        .log()
        .into_iter()
        .filter(|it| gets_source(&it.request))
        .map(|it| it.request.key());
    let mut gets: Vec<_> = gets.collect();
    gets.sort();
    assert_eq!(gets, world.listed, "one GET of each object");

    let catalog = &world.keys_of(&bucket, "catalog").await[0];
    let catalog = world::catalog_of(
        &client::get_bytes(&world.s3, &bucket, catalog)
            .await
            .unwrap(),
    );
    let entries: BTreeMap<_, _> = catalog
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .map(|entry| (entry.row.key.clone(), entry))
        .collect();
    let name = |key: &str| entries[key].metadata.get("name").map(String::as_str);
    assert_eq!(
        (name(&named), name(&copied)),
        (Some("JULIÁN"), Some("JULIÁN"))
    );
    let disposition = entries[&disposed]
        .headers
        .get("content-disposition")
        .map(String::as_str);
    assert_eq!(disposition, Some("attachment; filename=\"Größe.pdf\""));
    let archives = world.keys_of(&bucket, "archives").await;
    let index = archives.iter().find(|key| key.ends_with(".index")).unwrap();
    let index = client::get_bytes(&world.s3, &bucket, index).await.unwrap();
    let index = String::from_utf8_lossy(&index).into_owned();
    assert!(
        index.contains("JULIÁN") && index.contains("Größe.pdf"),
        "{index}"
    );
    let objects = world.keys_of(&bucket, "objects").await;
    let beside = objects
        .iter()
        .find(|key| key.ends_with(".metadata"))
        .unwrap();
    let beside = client::get_bytes(&world.s3, &bucket, beside).await.unwrap();
    let beside: serde_json::Value = serde_json::from_slice(&beside).unwrap();
    assert_eq!(beside["metadata"]["name"], "JULIÁN");

    let verify = world::s3bundler().access(world.access());
    let verify = verify.args(["verify", "--full", "--name", world::RUN, "--destination"]);
    let verified = verify
        .arg(format!("s3://{bucket}/{}", world::PREFIX))
        .run()
        .await
        .unwrap();
    assert_eq!(verified.code, Some(0), "{verified}");
}

/// What S3 answers in another region than the bucket's ("Error responses" and "HeadBucket", S3 API
/// reference).
fn elsewhere() -> [Fault; 3] {
    let document = |code: &str, message: &str, element: &str| {
        format!("<Error><Code>{code}</Code><Message>{message}</Message>{element}</Error>").into()
    };
    let region = ("x-amz-bucket-region".to_owned(), "eu-central-1".to_owned());
    let malformed = "The authorization header is malformed; the region 'us-east-1' is wrong; \
        expecting 'eu-central-1'";
    [
        Fault::Respond {
            status: 301,
            headers: vec![region.clone()],
            body: document("PermanentRedirect", "Use the specified endpoint.", ""),
        },
        Fault::Respond {
            status: 307,
            headers: vec![region],
            body: document("TemporaryRedirect", "Re-send this request.", ""),
        },
        Fault::Respond {
            status: 400,
            headers: vec![],
            body: document(
                "AuthorizationHeaderMalformed",
                malformed,
                "<Region>eu-central-1</Region>",
            ),
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_region_fails_the_group_and_names_bucket_regions_and_option() {
    let mut world = World::of_groups(2).await;
    world.max_object_size = Some(50_000);
    let (first, large) = (world.listed[0].clone(), world.listed[4].clone());
    let put = world
        .s3
        .put_object()
        .bucket(world::SOURCE)
        .key(&first)
        .tagging("a=b")
        .body(vec![b'x'; 700].into());
    put.send().await.unwrap();
    for (what, operation, key, named, exit) in [
        (
            "get",
            Operation::GetObject,
            Some(&first),
            "s3://source",
            ExitCode::Download,
        ),
        (
            "first-byte",
            Operation::GetObject,
            Some(&large),
            "s3://source",
            ExitCode::Download,
        ),
        (
            "tags",
            Operation::GetObjectTagging,
            Some(&first),
            "s3://source",
            ExitCode::Download,
        ),
        (
            "copy",
            Operation::CopyObject,
            None,
            "s3://elsewhere-copy",
            ExitCode::Upload,
        ),
    ] {
        let bucket = world.destination(&format!("elsewhere-{what}")).await;
        for fault in elsewhere() {
            let proxy = Proxy::start(world.access()).unwrap();
            let key = key.cloned();
            proxy.rule(move |seen| {
                let is_it = seen.operation == operation
                    && key.as_ref().is_none_or(|key| seen.key() == *key);
                if is_it { fault.clone() } else { Fault::Forward }
            });
            let done = world
                .program(&bucket)
                .access(proxy.access())
                .run()
                .await
                .unwrap();
            assert_eq!(done.code, Some(i32::from(exit.code())), "{what}: {done}");
            let last = done
                .stderr
                .lines()
                .rfind(|line| line.contains("--region"))
                .unwrap_or_default();
            for word in [
                named,
                "signed for us-east-1",
                "is in eu-central-1",
                "set --region eu-central-1",
            ] {
                assert!(last.contains(word), "{what}: {word}: {done}");
            }
        }
        // The other group was archived, and the same command goes on from there.
        assert_eq!(world.keys_of(&bucket, "catalog").await.len(), 1, "{what}");
        world.run(&bucket).await;
        assert_whole(&world, &bucket).await;
    }
}

/// The SDK tries a copy again after 5xx only.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_one_answer_failed_is_made_again() {
    const CONFLICT: &str =
        "<Error><Code>ConditionalRequestConflict</Code><Message>another writer</Message></Error>";
    const NO_UPLOAD: &str = "<Error><Code>NoSuchUpload</Code><Message>no upload</Message></Error>";
    let mut world = World::of_groups(1).await;
    world.max_object_size = Some(50_000);
    for (n, fault) in [
        answer(409, CONFLICT),
        answer(404, NO_UPLOAD),
        answer(400, UNKNOWN),
        answer(200, UNKNOWN),
        answer(200, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let bucket = world.destination(&format!("copy-{n}")).await;
        let proxy = Proxy::start(world.access()).unwrap();
        proxy.rule(once_each(
            |seen| seen.operation == Operation::CopyObject,
            vec![fault.clone()],
        ));
        let program = world.program(&bucket).args(["--retry-passes", "0"]);
        let done = program.access(proxy.access()).run().await.unwrap();
        assert_eq!(done.code, Some(0), "{fault:?}: {done}");
        assert_whole(&world, &bucket).await;
        proxy.fault_every(Operation::CopyObject, fault.clone());
        let bucket = world.destination(&format!("no-copy-{n}")).await;
        let program = world.program(&bucket).args(["--retry-passes", "0"]);
        let done = program.access(proxy.access()).run().await.unwrap();
        assert_eq!(done.code, Some(0), "{fault:?}: {done}");
        Whole::of(&world, &bucket)
            .failed(&world.listed[4], "Retry")
            .check()
            .await;
    }
}

/// What S3 answers if it compares a checksum, and the bytes were damaged on their way or broke off.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_bytes_arrived_damaged_is_sent_again() {
    const DIGEST: &str = "<Error><Code>BadDigest</Code><Message>other bytes</Message></Error>";
    const INCOMPLETE: &str =
        "<Error><Code>IncompleteBody</Code><Message>fewer bytes</Message></Error>";
    let world = World::of_groups(1).await;
    for (name, body) in [("digest", DIGEST), ("incomplete", INCOMPLETE)] {
        let bucket = world.destination(name).await;
        let proxy = Proxy::start(world.access()).unwrap();
        let writes =
            |seen: &Seen| matches!(seen.operation, Operation::PutObject | Operation::UploadPart);
        proxy.rule(once_each(writes, vec![answer(400, body)]));
        let done = world
            .program(&bucket)
            .access(proxy.access())
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(0), "{name}: {done}");
        assert_whole(&world, &bucket).await;
    }
}

/// S3 answers a copy with 200 before it knows how it ends, and KMS refuses with 400.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_any_status_are_sent_again() {
    const SLOW_DOWN: &str =
        "<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>slow down</Message></Error>";
    const KMS: &str =
        "<Error><Code>KMS.ThrottlingException</Code><Message>rate exceeded</Message></Error>";
    // One more than the tries of the SDK.
    const REFUSALS: u64 = 7;
    let mut world = World::of_groups(1).await;
    world.max_object_size = Some(50_000);
    let works = [Operation::CopyObject, Operation::CompleteMultipartUpload];
    let writes = [
        Operation::PutObject,
        Operation::CreateMultipartUpload,
        Operation::UploadPart,
    ];
    for (name, fault, operations) in [
        ("slow-down", answer(200, SLOW_DOWN), works.to_vec()),
        ("kms", answer(400, KMS), [&works[..], &writes].concat()),
    ] {
        let bucket = world.destination(name).await;
        let proxy = Proxy::start(world.access()).unwrap();
        let refused = operations.clone();
        proxy.rule(move |seen| {
            if refused.contains(&seen.operation) && seen.nth <= REFUSALS {
                fault.clone()
            } else {
                Fault::Forward
            }
        });
        let program = world.program(&bucket).args(["--retry-passes", "0"]);
        let done = program.access(proxy.access()).run().await.unwrap();
        assert_eq!(done.code, Some(0), "{name}: {done}");
        assert_whole(&world, &bucket).await;
        for operation in operations {
            assert!(proxy.count(operation) > REFUSALS, "{name}: {operation:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_used_denies_its_object_alone() {
    let world = World::of_groups(1).await;
    let bucket = world.destination("kms").await;
    let proxy = Proxy::start(world.access()).unwrap();
    let last = world.listed.last().unwrap().clone();
    proxy.rule(move |seen| {
        if gets_source(seen) && seen.key() == last {
            Fault::FailBefore {
                status: 400,
                code: "KMS.KMSInvalidStateException",
            }
        } else {
            Fault::Forward
        }
    });
    let program = world.program(&bucket).args(["--output", "json"]);
    let done = program.access(proxy.access()).run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["failed"]["AccessDenied"], 1, "{done}");
}

/// The number of HEADs of each key that were answered with 404.
fn heads_of_missing(proxy: &Proxy) -> BTreeMap<String, usize> {
    let mut heads = BTreeMap::new();
    for record in proxy.log() {
        if record.request.operation == Operation::HeadObject && record.status == Some(404) {
            *heads.entry(record.request.key()).or_default() += 1;
        }
    }
    heads
}

/// Archives a small object and copies a large one, through a proxy in front of this server.
async fn archive_and_copy(
    server: &Access,
    rule: impl Fn(&Seen) -> Fault + Send + Sync + 'static,
) -> Proxy {
    let s3 = client::s3(server);
    for bucket in ["source", "inventories", "archive"] {
        client::create_bucket(&s3, bucket).await.unwrap();
    }
    client::put_objects(
        &s3,
        "source",
        [("large", "x".repeat(5000)), ("small", "x".to_owned())],
    )
    .await
    .unwrap();
    let inventory = inventory_of_bucket(&s3, &Inventory::new("source", "inventories"))
        .await
        .unwrap()
        .manifest;
    let proxy = Proxy::start(server).unwrap();
    proxy.rule(rule);
    let program = world::s3bundler().access(proxy.access());
    // The CRC64NVME of moto differs from that of S3.
    let program = program.args([
        "run",
        "--inventory",
        &inventory,
        "--name",
        "r",
        "--no-crc64nvme",
    ]);
    let program = program.args([
        "--destination",
        "s3://archive/p",
        "--max-object-size",
        "1000",
        "--output",
        "json",
    ]);
    let done = program.run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        (&report["archived"], &report["copied"]),
        (&1.into(), &1.into()),
        "{done}"
    );
    proxy
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_a_missing_key_is_sent_once() {
    let (versitygw, moto) = (
        VersityGw::start().await.unwrap(),
        Moto::start().await.unwrap(),
    );
    for server in [versitygw.access(), moto.access()] {
        let heads = heads_of_missing(&archive_and_copy(server, |_| Fault::Forward).await);
        assert!(
            heads.keys().any(|key| key.starts_with("p/objects/")),
            "the copy is looked for before it is made: {heads:?}"
        );
        assert!(heads.values().all(|times| *times == 1), "{heads:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_a_page_answers_is_tried_again() {
    let server = VersityGw::start().await.unwrap();
    let heads_a_copy = |seen: &Seen| {
        seen.operation == Operation::HeadObject && seen.key().starts_with("p/objects/")
    };
    let heads = heads_of_missing(
        &archive_and_copy(
            server.access(),
            once_each(heads_a_copy, vec![answer(404, PAGE)]),
        )
        .await,
    );
    // The copy: the page, and the answer of the server. Its description: the page; it is there.
    let of_copy: Vec<_> = heads
        .iter()
        .filter(|(key, _)| key.starts_with("p/objects/"))
        .map(|(_, times)| *times)
        .collect();
    assert_eq!(of_copy, [2, 1], "{heads:?}");
}
