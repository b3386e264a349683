//! The command on runs that `s3bundler run` made: what it prints, and how it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use s3bundler_contract::Verification;
use s3bundler_testbed::cli::{Outcome, Program, Signal};
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy, Seen};

use crate::world::{self, PREFIX, RUN, World, gets, key};

fn verify(world: &World, bucket: &str, args: &[&str]) -> Program {
    world::s3bundler()
        .access(world.access())
        .args([
            "verify",
            "--name",
            RUN,
            "--destination",
            &format!("s3://{bucket}/{PREFIX}"),
        ])
        .args(args)
}

async fn verified(world: &World, bucket: &str, args: &[&str]) -> Outcome {
    verify(world, bucket, args).run().await.unwrap()
}

fn json(outcome: &Outcome) -> serde_json::Value {
    serde_json::from_slice(outcome.stdout.as_bytes())
        .unwrap_or_else(|error| panic!("{error}: {outcome}"))
}

async fn one_of(world: &World, bucket: &str, kind: &str, ending: &str) -> String {
    world
        .keys_of(bucket, kind)
        .await
        .into_iter()
        .find(|key| key.ends_with(ending))
        .unwrap()
}

#[tokio::test]
async fn what_run_archives_verify_proves_in_every_format() {
    let world = World::of_groups(2).await;
    for format in ["tar", "tar.gz", "tar.zst"] {
        let bucket = world.destination(&format.replace('.', "-")).await;
        // The objects of 100,000 bytes are copied.
        let run = world
            .program(&bucket)
            .args(["--format", format, "--max-object-size", "50k"])
            .run()
            .await
            .unwrap();
        assert_eq!(run.code, Some(0), "{run}");
        let done = verified(&world, &bucket, &["--full", "--output", "json"]).await;
        assert_eq!(done.code, Some(0), "{done}");
        let report = json(&done);
        assert_eq!(report["findings"], serde_json::json!([]));
        assert_eq!(report["inventory"]["rows"], 10);
        assert_eq!(
            report["objects"]["failed"],
            serde_json::json!({ "NoSuchKey": 2 })
        );
        assert_eq!(
            (&report["objects"]["copied"], &report["membersRead"]),
            (&1.into(), &7.into())
        );
        assert_eq!(
            report["unprovenChecksums"], 0,
            "the server keeps what the uploads carry"
        );
        let text = verified(&world, &bucket, &[]).await;
        assert!(text.stdout.ends_with("nothing found\n"), "{text}");
    }
}

#[tokio::test]
async fn findings_end_in_8_and_a_repair_in_0() {
    let world = World::of_groups(2).await;
    let bucket = world.destination("tampered").await;
    world.run(&bucket).await;
    let before = world.snapshot(&bucket).await;
    let index = one_of(&world, &bucket, "archives", ".index").await;
    client::put_object(&world.s3, &bucket, &index, "bucket,key\n")
        .await
        .unwrap();
    for key in [
        world.keys_of(&bucket, "receipts").await.remove(0),
        one_of(&world, &bucket, "groups", ".dlq").await,
    ] {
        world
            .s3
            .delete_object()
            .bucket(&bucket)
            .key(key)
            .send()
            .await
            .unwrap();
    }
    let done = verified(&world, &bucket, &[]).await;
    assert_eq!(done.code, Some(8), "{done}");
    assert!(done.stdout.contains("3 found:"), "{done}");
    assert!(
        done.stderr
            .contains(&format!("s3bundler: run {RUN}: 3 findings")),
        "{done}"
    );
    let done = verified(&world, &bucket, &["--repair"]).await;
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(
        world.snapshot(&bucket).await,
        before,
        "repair writes what the bundler wrote, byte for byte"
    );
}

#[tokio::test]
async fn the_program_that_started_the_container_is_told_the_numbers_and_the_first_findings() {
    let world = World::of_groups(2).await;
    let bucket = world.destination("told").await;
    world.run(&bucket).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("termination-log");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "").unwrap();
    let done = verified(&world, &bucket, &["--termination-log", path]).await;
    assert_eq!(done.code, Some(0), "{done}");
    let told = || Verification::parse(&std::fs::read_to_string(&file).unwrap());
    let good = Verification {
        full: false,
        groups: 2,
        objects: 8,
        unproven: 0,
        findings: 0,
        leftovers: 0,
        first: Vec::new(),
    };
    assert_eq!(told(), Some(good.clone()));

    // What a worker that was killed leaves is found, and nothing is wrong.
    let archive = one_of(&world, &bucket, "archives", ".tar").await;
    let (group, attempt) = archive.rsplit_once('-').unwrap();
    let attempt: String = attempt.trim_end_matches(".tar").chars().rev().collect();
    let lost = format!("{group}-{attempt}.tar");
    client::put_object(&world.s3, &bucket, &lost, "lost")
        .await
        .unwrap();
    let done = verified(&world, &bucket, &["--termination-log", path]).await;
    assert_eq!(done.code, Some(8), "{done}");
    let mut left = told().unwrap();
    let finding = left.first.pop().unwrap();
    assert!(finding.contains(&lost), "{finding}");
    let expected = Verification {
        leftovers: 1,
        ..good.clone()
    };
    assert_eq!(left, expected);

    world
        .s3
        .delete_object()
        .bucket(&bucket)
        .key(&archive)
        .send()
        .await
        .unwrap();
    let args = ["--full", "--termination-log", path];
    let done = verified(&world, &bucket, &args).await;
    assert_eq!(done.code, Some(8), "{done}");
    let mut bad = told().unwrap();
    let first = bad.first.remove(0);
    assert!(
        first.contains(&archive),
        "what is wrong comes first: {first}"
    );
    assert_eq!(std::mem::take(&mut bad.first), [finding]);
    let expected = Verification {
        full: true,
        findings: 1,
        leftovers: 1,
        ..good
    };
    assert_eq!(bad, expected);

    // Nothing is known of what could not be read.
    std::fs::write(&file, "").unwrap();
    let nothing = world.destination("nothing").await;
    let done = verified(&world, &nothing, &args).await;
    assert_eq!(done.code, Some(6), "{done}");
    assert_eq!(told(), None);
}

#[tokio::test]
async fn a_replaced_archive_is_found_by_checksum_and_by_reading() {
    let world = World::of_groups(1).await;
    let bucket = world.destination("replaced").await;
    world.run(&bucket).await;
    let archive = one_of(&world, &bucket, "archives", ".tar").await;
    let mut bytes = client::get_bytes(&world.s3, &bucket, &archive)
        .await
        .unwrap()
        .to_vec();
    let at = bytes.len() - 2000;
    bytes[at] ^= 1;
    client::put_object(&world.s3, &bucket, &archive, bytes)
        .await
        .unwrap();
    let done = verified(&world, &bucket, &[]).await;
    assert_eq!(done.code, Some(8), "{done}");
    assert!(
        done.stdout.contains(&format!(
            "{archive}, the archive of its group, has a checksum of another kind"
        )),
        "{done}"
    );
    let done = verified(&world, &bucket, &["--full", "--output", "json"]).await;
    assert_eq!(done.code, Some(8), "{done}");
    let report = json(&done);
    let found: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["finding"].clone())
        .collect();
    assert_eq!(found, ["wrongChecksum", "otherChecksum", "wrongMember"]);
}

#[tokio::test]
async fn a_group_whose_archive_is_gone_is_archived_again_as_the_finding_says() {
    let world = World::of_groups(1).await;
    let bucket = world.destination("again").await;
    world.run(&bucket).await;
    let archive = one_of(&world, &bucket, "archives", ".tar").await;
    world
        .s3
        .delete_object()
        .bucket(&bucket)
        .key(&archive)
        .send()
        .await
        .unwrap();
    let done = verified(&world, &bucket, &[]).await;
    assert!(
        done.stdout.contains(&format!(
            "with `s3bundler group --redo N --groups {RUN}.000000`"
        )),
        "{done}"
    );
    assert!(
        done.stdout
            .contains("`s3bundler bundle --manifest MANIFEST` under the name of another run"),
        "{done}"
    );
    let manifest = format!(
        "s3://{bucket}/{}",
        one_of(&world, &bucket, "groups", ".index").await
    );
    let before = world.snapshot(&bucket).await;
    let elsewhere = format!("s3://{bucket}/elsewhere");
    let program = world::s3bundler().access(world.access());
    let bundle = [
        "bundle",
        "--manifest",
        &manifest,
        "--destination",
        &elsewhere,
        "--name",
        "again",
    ];
    let done = program.args(bundle).run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    let program = world::s3bundler().access(world.access());
    let verify = [
        "verify",
        "--full",
        "--destination",
        &elsewhere,
        "--name",
        "again",
    ];
    let done = program.args(verify).run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("read       4 members"), "{done}");
    let after = world.snapshot(&bucket).await;
    assert!(
        before.iter().all(|(key, md5)| after.get(key) == Some(md5)),
        "nothing of the first run changed"
    );
}

#[tokio::test]
async fn a_signal_ends_it_with_the_signals_code() {
    let world = World::of_groups(1).await;
    let bucket = world.destination("stopped").await;
    world.run(&bucket).await;
    let proxy = Proxy::start(world.access()).unwrap();
    proxy.rule(|seen| {
        if gets(seen, "catalog") {
            Fault::Hang
        } else {
            Fault::Forward
        }
    });
    for (signal, code) in [(Signal::Interrupt, 130), (Signal::Terminate, 143)] {
        let running = verify(&world, &bucket, &[])
            .access(proxy.access())
            .spawn()
            .unwrap();
        running.wait_for_output("verifying").await.unwrap();
        running.signal(signal).unwrap();
        assert_eq!(running.wait().await.unwrap().code, Some(code));
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_damage() {
    let world = World::of_groups(2).await;
    let bucket = world.destination("broken").await;
    world.run(&bucket).await;
    let proxy = Proxy::start(world.access()).unwrap();
    // Every other answer: each body is cut short once, and the rest of it is asked for.
    let (archives, catalogs) = (AtomicU64::new(0), AtomicU64::new(0));
    proxy.rule(move |seen| {
        let nth = |kind, count: &AtomicU64| {
            gets(seen, kind).then(|| count.fetch_add(1, Ordering::Relaxed))
        };
        match (nth("archives", &archives), nth("catalog", &catalogs)) {
            (Some(0 | 2), _) => Fault::TruncateBody(5000),
            (_, Some(0 | 2)) => Fault::TruncateBody(500),
            _ => Fault::Forward,
        }
    });
    let done = verify(&world, &bucket, &["--full", "--groups", "1"])
        .access(proxy.access())
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    // Claim, summary, and two GETs each of two catalogs and two archives.
    assert_eq!(proxy.count(Operation::GetObject), 10);
    proxy.rule(|seen| {
        if gets(seen, "archives") {
            Fault::DropBefore
        } else {
            Fault::Forward
        }
    });
    let done = verify(&world, &bucket, &["--full"])
        .access(proxy.access())
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(5), "{done}");
}

#[tokio::test]
async fn one_damaged_answer_is_no_finding() {
    let world = World::of_groups(1).await;
    let bucket = world.destination("once").await;
    let run = world
        .program(&bucket)
        .args(["--max-object-size", "50k"])
        .run()
        .await
        .unwrap();
    assert_eq!(run.code, Some(0), "{run}");
    let proxy = Proxy::start(world.access()).unwrap();
    let page = || Fault::Respond {
        status: 200,
        headers: Vec::new(),
        body: "<html>sign in</html>".into(),
    };
    let gone = || Fault::Respond {
        status: 404,
        headers: Vec::new(),
        body: "".into(),
    };
    for (operation, kind, fault) in [
        (Operation::GetObject, "archives", Fault::CorruptBody(700)),
        (Operation::GetObject, "archives", page()),
        (Operation::GetObject, "objects", Fault::CorruptBody(700)),
        (Operation::GetObject, "objects", page()),
        (Operation::HeadObject, "archives", gone()),
        (Operation::HeadObject, "objects", gone()),
        (Operation::HeadObject, "groups", gone()),
    ] {
        let (case, before) = (format!("{operation:?} {kind} {fault:?}"), AtomicU64::new(0));
        let folder = format!("{PREFIX}/{kind}/");
        proxy.clear_log();
        proxy.rule(move |seen| {
            let asked = seen.operation == operation && seen.key().starts_with(&folder);
            let first = asked && before.fetch_add(1, Ordering::SeqCst) == 0;
            if first { fault.clone() } else { Fault::Forward }
        });
        let done = verify(&world, &bucket, &["--full"])
            .access(proxy.access())
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(0), "{case}: {done}");
        let asked = proxy
            .log()
            .iter()
            .filter(|it| it.request.operation == operation)
            .count();
        assert!(asked >= 2, "{case}: {asked}");
    }
}

#[tokio::test]
async fn a_member_larger_than_memory_is_read_all_the_same() {
    const SIZE: usize = 192 << 20;
    let bytes: Vec<u8> = (0..SIZE)
        .map(|at| u8::try_from(at * 31 % 251).unwrap())
        .collect();
    let world = World::of_objects([(key(0), bytes.into())]).await;
    let bucket = world.destination("large").await;
    world.run(&bucket).await;
    let done = verified(&world, &bucket, &["--full", "--output", "json"]).await;
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(json(&done)["membersRead"], 1);
    assert!(done.peak_memory < 96 << 20, "{} bytes", done.peak_memory);
}

/// Objects that rotted in the store: ETag and checksum are those of the bytes that were written.
#[tokio::test]
async fn bytes_that_the_store_itself_contradicts_are_findings() {
    let mut world = World::of_groups(2).await;
    world.max_object_size = Some(50_000);
    for options in [&[][..], &["--no-crc64nvme"]] {
        let bucket = world
            .destination(&format!("rotten-{}", options.len()))
            .await;
        let run = world
            .program(&bucket)
            .args(["--format", "tar.zst"])
            .args(options)
            .run()
            .await
            .unwrap();
        assert_eq!(run.code, Some(0), "{run}");
        for (kind, ending, full, code, found) in [
            ("archives", ".tar.zst", true, 8, Some("archive")),
            ("objects", "", true, 8, Some("copy")),
            ("objects", ".metadata", false, 8, Some("copyMetadata")),
            ("catalog", ".parquet", false, 8, None),
            ("runs", "26.json", false, 3, None),
            ("runs", "done.json", false, 3, None),
        ] {
            let rotten = world
                .keys_of(&bucket, kind)
                .await
                .into_iter()
                .find(|key| key.ends_with(ending))
                .unwrap();
            let proxy = Proxy::start(world.access()).unwrap();
            let key = rotten.clone();
            let reads =
                move |seen: &Seen| seen.operation == Operation::GetObject && seen.key() == key;
            proxy.rule(move |seen| {
                if reads(seen) {
                    Fault::CorruptBody(20)
                } else {
                    Fault::Forward
                }
            });
            let args = [
                &["--output", "json"][..],
                options,
                if full { &["--full"][..] } else { &[] },
            ]
            .concat();
            let done = verify(&world, &bucket, &args)
                .access(proxy.access())
                .run()
                .await
                .unwrap();
            assert_eq!(done.code, Some(code), "{rotten}: {done}");
            if code == 3 {
                assert!(
                    done.stderr.contains(&format!("{rotten} is damaged")),
                    "{done}"
                );
                continue;
            }
            let findings = json(&done)["findings"].clone();
            let of = findings
                .as_array()
                .unwrap()
                .iter()
                .find(|it| it["message"].as_str().unwrap().contains(&rotten));
            let of = of.unwrap_or_else(|| panic!("{rotten}: {done}"));
            match found {
                Some(part) => assert_eq!(of["part"], part, "{rotten}: {done}"),
                None => assert_eq!(of["finding"], "unreadableCatalog", "{rotten}: {done}"),
            }
        }
    }
}

/// What a store keeps of an index without a checksum is its ETag.
#[tokio::test]
async fn an_index_that_rotted_in_the_store_is_found_by_reading_it_and_written_again() {
    let world = World::of_groups(1).await;
    let bucket = world.destination("rotten-index").await;
    let options = ["--no-crc64nvme"];
    let run = world.program(&bucket).args(options).run().await.unwrap();
    assert_eq!(run.code, Some(0), "{run}");
    let index = one_of(&world, &bucket, "archives", ".index").await;
    let proxy = Proxy::start(world.access()).unwrap();
    let (key, written) = (index.clone(), Arc::new(AtomicBool::new(false)));
    proxy.rule(move |seen| match seen.operation {
        Operation::PutObject if seen.key() == key => {
            written.store(true, Ordering::Relaxed);
            Fault::Forward
        }
        Operation::GetObject if seen.key() == key && !written.load(Ordering::Relaxed) => {
            Fault::CorruptBody(20)
        }
        _ => Fault::Forward,
    });
    let full = [&options[..], &["--full", "--output", "json"]].concat();
    let done = verify(&world, &bucket, &full)
        .access(proxy.access())
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(8), "{done}");
    let finding = &json(&done)["findings"][0];
    assert_eq!(
        (&finding["finding"], &finding["part"]),
        (&"wrongBytes".into(), &"index".into()),
        "{done}"
    );
    let repair = [&full[..], &["--repair"]].concat();
    let done = verify(&world, &bucket, &repair)
        .access(proxy.access())
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
}
