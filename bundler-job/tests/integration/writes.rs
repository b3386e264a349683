//! What goes with every write, on a real server behind a proxy that plays stricter and lesser
//! stores.

use std::collections::BTreeSet;
use std::sync::Mutex;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use s3bundler_testbed::cli::Program;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy, Seen};

use crate::world::{self, PREFIX, Proxied, RUN, SOURCE, World, assert_whole, is_of, puts};

const CHECKSUMS: [&str; 2] = ["content-md5", "x-amz-checksum-crc64nvme"];
const CONDITION: &str = "if-none-match";
const PAYER: &str = "x-amz-request-payer";
/// What a store has instead of the bytes that were sent.
const DAMAGED: &str = "damaged";

/// One group, and an object that is copied.
async fn with_a_copy() -> Proxied {
    let mut world = World::of_groups(1).await;
    world.max_object_size = Some(50_000);
    Proxied::of(world).await
}

impl Proxied {
    fn verify(&self) -> Program {
        let program = world::s3bundler().access(self.proxy.access());
        program.args([
            "verify",
            "--name",
            RUN,
            "--destination",
            &format!("s3://{}/{PREFIX}", self.bucket),
        ])
    }
}

fn has(seen: &Seen, name: &str) -> bool {
    seen.headers.contains_key(name)
}

fn has_body(seen: &Seen) -> bool {
    matches!(seen.operation, Operation::PutObject | Operation::UploadPart)
}

/// As a bucket with a default retention ("Using S3 Object Lock", S3 user guide).
fn demands_checksums(seen: &Seen) -> Fault {
    let bare = has_body(seen) && !CHECKSUMS.iter().any(|name| has(seen, name));
    if bare {
        Fault::FailBefore {
            status: 400,
            code: "InvalidRequest",
        }
    } else {
        Fault::Forward
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_carries_the_checksum_of_the_options() {
    for (options, [sent, other]) in [
        (&[][..], [CHECKSUMS[1], CHECKSUMS[0]]),
        (&["--no-crc64nvme"], CHECKSUMS),
    ] {
        let scene = with_a_copy().await;
        scene.proxy.rule(demands_checksums);
        let done = scene.program().args(options).run().await.unwrap();
        assert_eq!(done.code, Some(0), "{options:?}: {done}");
        assert_whole(&scene.world, &scene.bucket).await;
        // What is derived is written again as it was.
        for kind in ["receipts", "archives"] {
            for key in scene.world.keys_of(&scene.bucket, kind).await {
                if kind == "receipts" || key.ends_with(".index") {
                    scene
                        .world
                        .s3
                        .delete_object()
                        .bucket(&scene.bucket)
                        .key(key)
                        .send()
                        .await
                        .unwrap();
                }
            }
        }
        let repaired = scene
            .verify()
            .arg("--repair")
            .args(options)
            .run()
            .await
            .unwrap();
        assert_eq!(repaired.code, Some(0), "{options:?}: {repaired}");
        assert_whole(&scene.world, &scene.bucket).await;
        let seen = scene.proxy.take_seen();
        // Such a store may refuse to be asked for checksums, too.
        let asked = seen.iter().any(|seen| has(seen, "x-amz-checksum-mode"));
        assert_eq!(asked, options.is_empty(), "{options:?}");
        for seen in seen.iter().filter(|seen| has_body(seen)) {
            assert!(
                has(seen, sent) && !has(seen, other),
                "{options:?}: {:?} {}",
                seen.operation,
                seen.path
            );
        }
        for kind in [
            "runs", "groups", "catalog", "archives", "objects", "receipts",
        ] {
            assert!(
                seen.iter().any(|seen| puts(seen, kind)),
                "{options:?}: no {kind}"
            );
        }
        assert!(
            seen.iter()
                .any(|seen| seen.operation == Operation::UploadPart),
            "{options:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_if_none_match_works_for_a_single_writer() {
    for (status, code) in [
        (501, "NotImplemented"),
        (400, "InvalidArgument"),
        (400, "InvalidRequest"),
        (405, "MethodNotAllowed"),
        // Whether the key exists or not.
        (412, "PreconditionFailed"),
    ] {
        let scene = with_a_copy().await;
        scene.proxy.rule(move |seen| {
            if has(seen, CONDITION) {
                Fault::FailBefore { status, code }
            } else {
                Fault::Forward
            }
        });
        let done = scene.run().await;
        assert_eq!(done.code, Some(6), "{status} {code}: {done}");
        assert!(
            done.stderr.contains("--single-writer"),
            "{status} {code}: {done}"
        );
        assert!(
            scene.world.snapshot(&scene.bucket).await.is_empty(),
            "{done}"
        );
        scene.proxy.clear_log();
        for _ in 0..2 {
            let done = scene.program().arg("--single-writer").run().await.unwrap();
            assert_eq!(done.code, Some(0), "{status} {code}: {done}");
            assert_whole(&scene.world, &scene.bucket).await;
        }
        let seen = scene.proxy.take_seen();
        assert!(
            seen.iter()
                .any(|seen| seen.operation == Operation::CopyObject)
        );
        for seen in seen {
            assert!(!has(&seen, CONDITION), "{:?} {}", seen.operation, seen.path);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_answer_to_if_none_match_names_the_option() {
    let scene = with_a_copy().await;
    let page = || Fault::Respond {
        status: 400,
        headers: vec![],
        body: Bytes::from_static(b"<html>no</html>"),
    };
    scene.proxy.rule(move |seen| {
        if has(seen, CONDITION) {
            page()
        } else {
            Fault::Forward
        }
    });
    let done = scene.run().await;
    assert_eq!(done.code, Some(6), "{done}");
    assert!(done.stderr.contains("--single-writer"), "{done}");
    assert!(
        scene.world.snapshot(&scene.bucket).await.is_empty(),
        "{done}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_writer_replaces_no_record_of_another_run() {
    let scene = with_a_copy().await;
    let done = scene.program().arg("--single-writer").run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    let before = scene.world.snapshot(&scene.bucket).await;
    let done = scene
        .program()
        .args(["--single-writer", "--max-objects", "4"])
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(6), "{done}");
    assert_eq!(scene.world.snapshot(&scene.bucket).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_whose_answers_are_lost_is_recognised() {
    for nth in [1, 2] {
        let scene = with_a_copy().await;
        scene.proxy.rule(move |seen| {
            let lost = puts(seen, "runs") && seen.key().contains("/probe-") && seen.nth == nth;
            if lost {
                Fault::DropAfter
            } else {
                Fault::Forward
            }
        });
        let done = scene.run().await;
        assert_eq!(done.code, Some(0), "{nth}: {done}");
        assert_whole(&scene.world, &scene.bucket).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_or_a_summary_that_the_store_lost_ends_the_run() {
    for (suffix, written) in [
        ("json", &["catalog", "archives", "groups"][..]),
        ("done.json", &[]),
    ] {
        let lost = format!("{PREFIX}/runs/{RUN}.{suffix}");
        let scene = with_a_copy().await;
        scene.proxy.rule(move |seen| {
            if puts(seen, "runs") && seen.key() == lost {
                Fault::Respond {
                    status: 200,
                    headers: vec![("etag".into(), "\"0\"".into())],
                    body: Bytes::new(),
                }
            } else {
                Fault::Forward
            }
        });
        let done = scene.run().await;
        assert_eq!(done.code, Some(4), "{suffix}: {done}");
        for kind in written {
            assert!(
                scene.world.keys_of(&scene.bucket, kind).await.is_empty(),
                "{suffix}: {kind}"
            );
        }
        scene.proxy.forward_all();
        let done = scene.run().await;
        assert_eq!(done.code, Some(0), "{suffix}: {done}");
        assert_whole(&scene.world, &scene.bucket).await;
    }
}

/// A PUT that was answered as done, of which nothing was stored.
fn lost() -> Fault {
    Fault::Respond {
        status: 200,
        headers: vec![("etag".into(), "\"0\"".into())],
        body: Bytes::new(),
    }
}

/// What nothing else would read before the process ends.
const DERIVED: [(&str, &str); 4] = [
    ("archives", ".index"),
    ("groups", ".dlq"),
    ("objects", ".metadata"),
    ("receipts", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn derived_objects_that_the_store_lost_are_written_again() {
    let scene = with_a_copy().await;
    let asked = Mutex::new(BTreeSet::new());
    scene.proxy.rule(move |seen| {
        let is_one =
            |(kind, ending): &(&str, &str)| puts(seen, kind) && seen.key().ends_with(ending);
        let first = DERIVED.iter().any(is_one) && asked.lock().unwrap().insert(seen.key());
        if first { lost() } else { Fault::Forward }
    });
    let done = scene.run().await;
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(&scene.world, &scene.bucket).await;
    let seen = scene.proxy.take_seen();
    for (kind, ending) in DERIVED {
        let put = seen
            .iter()
            .filter(|seen| puts(seen, kind) && seen.key().ends_with(ending))
            .count();
        assert_eq!(put, 2, "{kind} {ending}");
    }
}

/// Some stores send HEADs without Content-Length, above all those of empty objects such as receipts.
#[tokio::test(flavor = "multi_thread")]
async fn derived_objects_whose_heads_have_no_length_are_not_lost() {
    let scene = with_a_copy().await;
    let is_derived = |seen: &Seen| {
        let is_one =
            |(kind, ending): &(&str, &str)| is_of(seen, kind) && seen.key().ends_with(ending);
        DERIVED.iter().any(is_one)
    };
    scene.proxy.rule(move |seen| {
        if seen.operation == Operation::HeadObject && is_derived(seen) {
            Fault::Unframed {
                close: true,
                end: None,
            }
        } else {
            Fault::Forward
        }
    });
    let done = scene.run().await;
    assert_eq!(done.code, Some(0), "{done}");
    let seen = scene.proxy.take_seen();
    for (kind, ending) in DERIVED {
        let put = seen
            .iter()
            .filter(|seen| puts(seen, kind) && seen.key().ends_with(ending))
            .count();
        assert_eq!(put, 1, "{kind} {ending}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_group_ends_well_whose_derived_objects_the_store_keeps_losing() {
    for (kind, ending) in DERIVED {
        let scene = with_a_copy().await;
        let size = scene.world.max_object_size.unwrap().to_string();
        let group = [
            "group",
            "--inventory",
            &scene.world.inventory,
            "--max-object-size",
            &size,
        ];
        let grouped = scene
            .world
            .command(&scene.bucket, &group)
            .run()
            .await
            .unwrap();
        assert_eq!(grouped.code, Some(0), "{grouped}");
        scene.proxy.rule(move |seen| {
            if puts(seen, kind) && seen.key().ends_with(ending) {
                lost()
            } else {
                Fault::Forward
            }
        });
        let manifest = scene
            .world
            .only_group(&scene.bucket)
            .await
            .address()
            .to_string();
        let bundle = ["bundle", "--manifest", &manifest];
        let bundle = || {
            scene
                .world
                .command(&scene.bucket, &bundle)
                .access(scene.proxy.access())
                .run()
        };
        let done = bundle().await.unwrap();
        assert_eq!(done.code, Some(4), "{kind}: {done}");
        assert_eq!(
            scene.world.keys_of(&scene.bucket, "receipts").await,
            [""; 0],
            "{kind}: {done}"
        );
        scene.proxy.forward_all();
        let done = bundle().await.unwrap();
        assert_eq!(done.code, Some(0), "{kind}: {done}");
        assert_whole(&scene.world, &scene.bucket).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_a_page_answers_is_sent_again() {
    const KINDS: [&str; 6] = [
        "runs", "groups", "catalog", "archives", "objects", "receipts",
    ];
    let scene = with_a_copy().await;
    let answered = Mutex::new(BTreeSet::new());
    scene.proxy.rule(move |seen| {
        let kind = KINDS.into_iter().find(|kind| puts(seen, kind));
        // The probe has a rule of its own for lost writes.
        let first = kind.is_some_and(|kind| {
            !seen.key().contains("/probe-") && answered.lock().unwrap().insert(kind)
        });
        if first {
            let headers = vec![("content-type".into(), "text/html".into())];
            return Fault::Respond {
                status: 200,
                headers,
                body: "<html>sign in</html>".into(),
            };
        }
        Fault::Forward
    });
    let done = scene.run().await;
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(&scene.world, &scene.bucket).await;
    let done = scene.verify().arg("--full").run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    let seen = scene.proxy.take_seen();
    for kind in KINDS {
        let keys: Vec<_> = seen
            .iter()
            .filter(|seen| puts(seen, kind))
            .map(Seen::key)
            .collect();
        let twice = |key: &String| keys.iter().filter(|other| *other == key).count() == 2;
        assert!(keys.iter().any(twice), "{kind}: {keys:?}");
    }
}

/// A store that compares no checksum, behind a network that changes bytes.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_damaged_on_their_way_are_written_again() {
    const KINDS: [&str; 6] = [
        "runs", "groups", "catalog", "archives", "objects", "receipts",
    ];
    for options in [&[][..], &["--no-crc64nvme"]] {
        let scene = with_a_copy().await;
        let answered = Mutex::new(BTreeSet::new());
        let s3 = scene.world.s3.clone();
        scene.proxy.rule(move |seen| {
            let kind = if seen.operation == Operation::UploadPart {
                Some("parts")
            } else {
                KINDS
                    .into_iter()
                    .find(|kind| puts(seen, kind) && !seen.key().contains("/probe-"))
            };
            if kind.is_none_or(|kind| !answered.lock().unwrap().insert(kind)) {
                return Fault::Forward;
            }
            if kind != Some("parts") {
                let put = s3
                    .put_object()
                    .bucket(seen.bucket())
                    .key(seen.key())
                    .body(Bytes::from(DAMAGED).into())
                    .send();
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(put))
                    .unwrap();
            }
            let etag = format!("\"{}\"", HEXLOWER.encode(&Md5::digest(DAMAGED)));
            Fault::Respond {
                status: 200,
                headers: vec![("etag".into(), etag)],
                body: Bytes::new(),
            }
        });
        let done = scene.program().args(options).run().await.unwrap();
        assert_eq!(done.code, Some(0), "{options:?}: {done}");
        assert_whole(&scene.world, &scene.bucket).await;
        let done = scene
            .verify()
            .arg("--full")
            .args(options)
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(0), "{options:?}: {done}");
        // What the first PUT wrote is replaced, and nothing else.
        let replaces = scene
            .proxy
            .take_seen()
            .into_iter()
            .filter(|seen| has(seen, "if-match") && has_body(seen))
            .count();
        assert_eq!(
            replaces, 4,
            "claim, manifest, catalog and description of a copy: {options:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_the_store_lost_is_put_by_the_next_start() {
    let scene = with_a_copy().await;
    scene.proxy.rule(|seen| {
        if puts(seen, "groups") {
            Fault::Respond {
                status: 200,
                headers: vec![("etag".into(), "\"0\"".into())],
                body: Bytes::new(),
            }
        } else {
            Fault::Forward
        }
    });
    let done = scene.run().await;
    assert!(done.code.is_some_and(|code| code != 0), "{done}");
    let runs = scene.world.keys_of(&scene.bucket, "runs").await;
    assert_eq!(
        runs,
        [format!("{PREFIX}/runs/{RUN}.json")],
        "no summary counts it"
    );
    scene.proxy.forward_all();
    let done = scene.run().await;
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(&scene.world, &scene.bucket).await;
}

/// As a Requester Pays bucket ("Using Requester Pays buckets", S3 user guide).
fn demands_a_payer(seen: &Seen) -> Fault {
    let copies = matches!(
        seen.operation,
        Operation::CopyObject | Operation::UploadPartCopy
    );
    let bare = (seen.bucket() == SOURCE || copies) && !has(seen, PAYER);
    if bare {
        Fault::FailBefore {
            status: 403,
            code: "AccessDenied",
        }
    } else {
        Fault::Forward
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requester_pays_for_reads_of_sources_and_for_copies() {
    for option in [&["--request-payer"][..], &["--request-payer", "requester"]] {
        let scene = with_a_copy().await;
        scene.proxy.rule(demands_a_payer);
        let done = scene.program().args(option).run().await.unwrap();
        assert_eq!(done.code, Some(0), "{done}");
        assert_whole(&scene.world, &scene.bucket).await;
        for seen in scene
            .proxy
            .take_seen()
            .iter()
            .filter(|seen| seen.bucket() == scene.bucket)
        {
            assert_eq!(
                has(seen, PAYER),
                seen.operation == Operation::CopyObject,
                "{:?} {}",
                seen.operation,
                seen.path
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_list_uploads_is_used_with_one_warning() {
    for (status, code) in [(501, "NotImplemented"), (405, "MethodNotAllowed")] {
        let world = World::of_groups(3).await;
        let bucket = world.destination("dst").await;
        let proxy = Proxy::start(world.access()).unwrap();
        proxy.fault_every(
            Operation::ListMultipartUploads,
            Fault::FailBefore { status, code },
        );
        let done = world
            .program(&bucket)
            .access(proxy.access())
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(0), "{done}");
        assert_whole(&world, &bucket).await;
        assert_eq!(
            done.stderr.matches("ListMultipartUploads").count(),
            2,
            "one line, with its cause: {done}"
        );
    }
}
