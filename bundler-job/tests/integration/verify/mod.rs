//! Verifying runs on a real S3 server, each whole or wrong in one way. Every test is named by what
//! it shows.

use std::time::Duration;

mod accounts;
mod command;
mod made;
mod redone;
mod retried;
mod scene;

use crate::world::servers::versitygw;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use made::{Fate, MadeRun, object, s3_of, silent, usual};
use s3bundler::verify::{Finding, Part, Report, VerifyError, VerifyRequest};
use s3bundler_contract::attempt::index_of;
use s3bundler_contract::group_manifest::Columns;
use s3bundler_contract::{ArchiveFormat, Attempt, ExitCode, Group, GroupName, HasExitCode, Reason};
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};

/// Of `12345`, the object `a`.
const SHA256_OF_A: &str = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5";

/// The names of the findings, as in the JSON.
fn kinds(report: &Report) -> Vec<String> {
    let json = serde_json::to_value(report).unwrap();
    let names = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["finding"].as_str().unwrap().to_owned());
    names.collect()
}

#[tokio::test]
async fn a_whole_run_is_proved_by_checksums_and_by_its_bytes() {
    for format in ArchiveFormat::ALL {
        let run = MadeRun::of(format, &usual()).await;
        let report = run.verify().await;
        assert_eq!(report.findings, [], "{format}");
        assert_eq!(
            (
                report.groups,
                report.objects.rows(),
                report.objects.archived
            ),
            (2, 6, 4)
        );
        assert_eq!(
            (
                report.objects.copied,
                report.objects.failed[&Reason::NoSuchKey]
            ),
            (1, 1)
        );
        assert_eq!((report.unproven_checksums, report.members_read), (0, 0));
        let report = run.verify_full().await;
        assert_eq!(report.findings, [], "{format}");
        assert_eq!(report.members_read, 4);
    }
}

#[tokio::test]
async fn the_report_is_for_people_and_for_machines() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    run.delete(&run.key(&["archives/", "000001", ".tar"]).await)
        .await;
    let report = run.verify().await;
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..6],
        [
            format!("run run in s3://{}/p/: 2 groups, 6 rows", run.bucket()).as_str(),
            "  archived   4 objects, 1506 bytes",
            "  copied     1 objects, 3000 bytes",
            "  failed     1 objects, 2 bytes (NoSuchKey 1)",
            "  left out   2 of the inventory's 8 rows (Glacier 2)",
            "1 found:",
        ]
    );
    assert!(
        lines[6].contains(".tar, the archive of group run.000001, is missing; "),
        "{text}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        json["inventory"],
        serde_json::json!({ "rows": 8, "leftOut": { "Glacier": 2 } })
    );
    assert_eq!(json["findings"][0]["finding"], "missing");
    assert_eq!(json["findings"][0]["part"], "archive");
    assert!(
        json["findings"][0]["message"]
            .as_str()
            .unwrap()
            .contains("is missing"),
        "{json}"
    );
}

#[tokio::test]
async fn a_replaced_archive_of_the_same_size_is_found_by_its_checksum() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let archive = run.key(&["archives/", "000000", ".tar"]).await;
    let mut bytes = run.get(&archive).await;
    bytes[514] ^= 1;
    let put = run
        .client
        .put_object()
        .bucket(run.bucket())
        .key(&archive)
        .body(bytes.clone().into());
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &bytes);
    put.checksum_crc64_nvme(s3bundler::s3::crc64nvme_to_base64(sum))
        .send()
        .await
        .unwrap();
    let report = run.verify().await;
    assert!(
        matches!(&report.findings[..], [Finding::WrongChecksum { part: Part::Archive, object, .. }] if object.key == archive),
        "{report}"
    );
    assert_eq!(
        kinds(&run.verify_full().await),
        ["wrongChecksum", "wrongChecksum", "wrongMember"]
    );
    assert_eq!(
        kinds(&run.repair().await),
        ["wrongChecksum"],
        "an archive cannot be repaired"
    );
}

#[tokio::test]
async fn an_archive_of_another_size_is_found() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let archive = run.key(&["archives/", "000000", ".tar"]).await;
    let bytes = run.get(&archive).await;
    run.put(&archive, bytes[..bytes.len() - 512].to_vec()).await;
    let report = run.verify().await;
    assert!(
        matches!(
            report.findings[..],
            [Finding::WrongSize {
                part: Part::Archive,
                ..
            }]
        ),
        "{report}"
    );
}

#[tokio::test]
async fn a_member_that_never_was_the_object_is_found_by_reading_it() {
    for format in ArchiveFormat::ALL {
        let mut run = MadeRun::new(format).await;
        run.claim().await;
        let objects = &usual()[0];
        run.group(objects, |_, entries| entries[0].md5 = Some("0".repeat(32)))
            .await;
        run.summarize().await;
        assert_eq!(run.verify().await.findings, []);
        let report = run.verify_full().await;
        assert!(
            matches!(&report.findings[..], [Finding::WrongMember { source, .. }] if source.key == "a"),
            "{format} {report}"
        );
        assert_eq!(report.members_read, 1);
    }
}

#[tokio::test]
async fn a_member_with_another_sha256_than_the_catalogs_is_found_by_reading_it() {
    for (sha256, found) in [(SHA256_OF_A, false), (&*"0".repeat(64), true)] {
        let mut run = MadeRun::new(ArchiveFormat::Tar).await;
        run.claim().await;
        run.group(&usual()[0], |_, entries| {
            entries[0].sha256 = Some(sha256.to_owned());
        })
        .await;
        run.summarize().await;
        assert_eq!(run.verify().await.findings, []);
        let report = run.verify_full().await;
        let is_named = |finding: &Finding| {
            matches!(finding, Finding::WrongMember { source, problem, .. }
                if source.key == "a" && problem.contains(SHA256_OF_A) && problem.contains(sha256))
        };
        assert_eq!(
            (report.findings.len(), report.findings.iter().any(is_named)),
            (usize::from(found), found),
            "{report}"
        );
        assert_eq!(report.members_read, if found { 1 } else { 2 }, "{report}");
    }
}

#[tokio::test]
async fn a_missing_archive_is_found_and_no_receipt_is_written_over_it() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let receipt = run.key(&["receipts/", "000000"]).await;
    run.delete(&run.key(&["archives/", "000000", ".tar"]).await)
        .await;
    run.delete(&receipt).await;
    let report = run.repair().await;
    assert_eq!(kinds(&report), ["noReceipt", "missing"]);
    assert_eq!(report.repaired, []);
    assert!(
        !client::list_keys(&run.client, run.bucket(), "")
            .await
            .unwrap()
            .contains(&receipt)
    );
    assert_eq!(
        kinds(&run.verify_full().await),
        ["noReceipt", "missing"],
        "nothing to read is no failure"
    );
}

#[tokio::test]
async fn what_follows_from_a_catalog_is_written_again_the_same() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let index = run.key(&["archives/", "000000", ".index"]).await;
    let dead = run.key(&[".dlq"]).await;
    let receipt = run.key(&["receipts/", "000001"]).await;
    let (index_bytes, dead_bytes) = (run.get(&index).await, run.get(&dead).await);
    run.put(&index, index_bytes[..100].to_vec()).await;
    run.delete(&dead).await;
    run.delete(&receipt).await;
    let report = run.verify().await;
    assert_eq!(kinds(&report), ["noReceipt", "missing", "wrongSize"]);
    assert!(report.to_string().contains("verify --repair"), "{report}");
    let report = run.repair().await;
    assert_eq!(report.findings, []);
    assert_eq!(
        report
            .repaired
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["run.000000", "run.000001"]
    );
    assert_eq!(run.verify().await.findings, []);
    assert!(run.get(&index).await == index_bytes && run.get(&dead).await == dead_bytes);
    assert_eq!(run.key(&["receipts/", "000001"]).await, receipt);
    assert_eq!(run.repair().await.repaired, [], "nothing is left to do");
}

#[tokio::test]
async fn repairing_a_group_removes_what_its_other_attempts_left() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let group = GroupName::numbered(&run.request.run, 1);
    let archive = |group: &GroupName, n| {
        run.layout().archive(
            "src",
            &run.own(group),
            &Attempt::from_bits(n),
            ArchiveFormat::Tar,
        )
    };
    // Attempt 1 is the winner of group 1.
    let (winner, lost, open) = (archive(&group, 1), archive(&group, 77), archive(&group, 78));
    let (anothers, plain) = (
        archive(&GroupName::numbered(&run.request.run, 10), 77),
        lost.replacen(&lost[11..18], "", 1),
    );
    for key in [&lost, &index_of(&lost), &anothers, &plain] {
        run.put(key, b"torn".to_vec()).await;
    }
    run.client
        .create_multipart_upload()
        .bucket(run.bucket())
        .key(&open)
        .send()
        .await
        .unwrap();
    run.delete(&run.key(&["receipts/", "000001"]).await).await;
    let before = client::list_keys(&run.client, run.bucket(), "p/archives/")
        .await
        .unwrap();
    let left = [
        "lostAttempt",
        "lostAttempt",
        "lostAttempt",
        "uncommittedAttempt",
        "openUpload",
    ];
    assert_eq!(
        kinds(&run.verify().await),
        [&["noReceipt"][..], &left].concat()
    );
    let young = run.repair().await;
    assert_eq!(kinds(&young), left, "younger than an hour");
    assert_eq!((young.repaired.len(), young.removed.len()), (1, 0));
    assert_eq!(
        client::list_keys(&run.client, run.bucket(), "p/archives/")
            .await
            .unwrap(),
        before
    );
    let old = run
        .try_verify(|request| (request.repair, request.orphan_age) = (true, Duration::ZERO))
        .await
        .unwrap();
    assert_eq!(
        kinds(&old),
        ["uncommittedAttempt"],
        "a stalled worker may still commit it, however old it is"
    );
    let removed: Vec<_> = old
        .removed
        .iter()
        .map(|address| address.key.as_str())
        .collect();
    let mut expected = [lost.as_str(), &index_of(&lost), &plain, &open];
    expected.sort_unstable();
    assert_eq!(removed, expected);
    let keys = client::list_keys(&run.client, run.bucket(), "p/archives/")
        .await
        .unwrap();
    for (key, there) in [
        (&winner, true),
        (&index_of(&winner), true),
        (&lost, false),
        (&index_of(&lost), false),
    ] {
        assert_eq!(keys.contains(key), there, "{key}");
    }
    assert!(
        keys.contains(&anothers) && !keys.contains(&plain),
        "{plain} {keys:?}"
    );
    assert_eq!(
        client::list_open_uploads(&run.client, run.bucket())
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn attempts_are_kept_beside_an_archive_that_is_missing_or_damaged() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let group = run.own(&GroupName::numbered(&run.request.run, 1));
    let lost = run
        .layout()
        .archive("src", &group, &Attempt::from_bits(77), ArchiveFormat::Tar);
    let winner = run.key(&["archives/", "000001", ".tar"]).await;
    run.put(&lost, run.get(&winner).await).await;
    let repair = async || {
        let repair = |request: &mut VerifyRequest| {
            (request.repair, request.orphan_age) = (true, Duration::ZERO);
        };
        kinds(&run.try_verify(repair).await.unwrap())
    };
    run.put(&winner, b"torn".to_vec()).await;
    assert_eq!(repair().await, ["wrongSize", "lostAttempt"]);
    run.delete(&winner).await;
    assert_eq!(repair().await, ["missing", "lostAttempt"]);
    assert!(
        client::list_keys(&run.client, run.bucket(), "")
            .await
            .unwrap()
            .contains(&lost)
    );
}

#[tokio::test]
async fn archives_of_other_runs_and_of_earlier_releases_are_neither_reported_nor_removed() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let manifest = s3bundler_contract::S3Address::new("manifests", "x.index");
    let existing = Group {
        run: "other".parse().unwrap(),
        name: GroupName::foreign(&manifest),
        own: false,
    };
    let attempt = Attempt::from_bits(77);
    let others = [
        run.layout()
            .archive("src", &existing, &attempt, ArchiveFormat::Tar),
        format!("p/archives/src/{}-{attempt}.tar", existing.name),
        format!("p/archives/src/run.000000.index.dlq.0123abcd-{attempt}.tar"),
        format!("p/archives/src/another.000000-{attempt}.tar"),
    ];
    for key in &others {
        run.put(key, b"another's".to_vec()).await;
    }
    let repair =
        |request: &mut VerifyRequest| (request.repair, request.orphan_age) = (true, Duration::ZERO);
    let report = run.try_verify(repair).await.unwrap();
    assert_eq!((report.findings, report.removed), (vec![], vec![]));
    let keys = client::list_keys(&run.client, run.bucket(), "")
        .await
        .unwrap();
    assert!(others.iter().all(|key| keys.contains(key)), "{keys:?}");
}

#[tokio::test]
async fn an_altered_index_of_the_same_size_is_found_where_its_checksum_is_kept() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let index = run.key(&["archives/", "000000", ".index"]).await;
    let mut bytes = run.get(&index).await;
    bytes[200] ^= 1;
    let sum = s3bundler::s3::crc64nvme_to_base64(crc_fast::checksum(
        crc_fast::CrcAlgorithm::Crc64Nvme,
        &bytes,
    ));
    let put = run
        .client
        .put_object()
        .bucket(run.bucket())
        .key(&index)
        .body(bytes.into());
    put.checksum_crc64_nvme(sum).send().await.unwrap();
    let report = run.verify().await;
    assert!(
        matches!(
            report.findings[..],
            [Finding::WrongChecksum {
                part: Part::Index,
                ..
            }]
        ),
        "{report}"
    );
    assert_eq!(run.repair().await.findings, []);
}

#[tokio::test]
async fn a_store_without_checksums_leaves_sizes_and_says_so() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let report = run
        .try_verify(|request| request.crc64nvme = false)
        .await
        .unwrap();
    assert_eq!(report.findings, []);
    // Two archives, two indexes, one group's dead letters.
    assert_eq!(report.unproven_checksums, 5);
    assert!(
        report
            .to_string()
            .contains("5 objects without proof of all that they hold"),
        "{report}"
    );
}

#[tokio::test]
async fn an_index_and_dead_letters_without_checksums_are_read() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let full = |request: &mut VerifyRequest| (request.crc64nvme, request.full) = (false, true);
    let report = run.try_verify(full).await.unwrap();
    assert_eq!((report.findings, report.unproven_checksums), (vec![], 0));
    for (parts, part) in [
        (["archives/", "000000", ".index"], Part::Index),
        (["groups/", "000000", ".dlq"], Part::DeadLetters),
    ] {
        let key = run.key(&parts).await;
        let mut bytes = run.get(&key).await;
        bytes[3] ^= 1;
        run.put(&key, bytes).await;
        let report = run
            .try_verify(|request| request.crc64nvme = false)
            .await
            .unwrap();
        assert_eq!(
            (kinds(&report).len(), report.unproven_checksums),
            (0, 5),
            "{report}"
        );
        let report = run.try_verify(full).await.unwrap();
        let is_found = |it: &Finding| matches!(it, Finding::WrongChecksum { part: found, .. } if *found == part);
        assert!(
            report.findings.len() == 1 && is_found(&report.findings[0]),
            "{report}"
        );
        let repaired = run
            .try_verify(|request| (full(request), request.repair = true).1)
            .await
            .unwrap();
        assert_eq!(
            (repaired.findings.len(), repaired.repaired.len()),
            (0, 1),
            "{repaired}"
        );
    }
}

#[tokio::test]
async fn a_description_is_compared_with_its_row() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let metadata = run.key(&["objects/", ".metadata"]).await;
    let described = String::from_utf8(run.get(&metadata).await).unwrap();
    for (from, to, findings, unproven) in [
        ("value", "values", 1, 0),
        ("\"tags\":{}", "\"tags\":{\"a\":\"b\"}", 0, 1),
        // The object was written again before this run, with the same bytes.
        ("2026-11-22T01:00:00", "2026-11-22T02:00:00", 0, 1),
    ] {
        let changed = described.replacen(from, to, 1);
        assert_ne!(changed, described, "{from}");
        run.put(&metadata, changed.into_bytes()).await;
        let report = run.verify().await;
        assert_eq!(
            (report.findings.len(), report.unproven_checksums),
            (findings, unproven),
            "{from}: {report}"
        );
    }
}

#[tokio::test]
async fn a_description_in_an_archive_tier_is_unproven_if_it_has_a_plausible_size() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let metadata = run.key(&["objects/", ".metadata"]).await;
    let proxy = Proxy::start(versitygw().await).unwrap();
    let archived = metadata.clone();
    proxy.rule(move |seen| {
        let is_read = seen.operation == Operation::GetObject && seen.key() == archived;
        if is_read {
            Fault::FailBefore {
                status: 403,
                code: "InvalidObjectState",
            }
        } else {
            Fault::Forward
        }
    });
    let s3 = s3_of(proxy.access()).await;
    for (bytes, findings, unproven) in [
        (run.get(&metadata).await, 0, 1),
        (vec![], 1, 0),
        (vec![0; 2 << 20], 1, 0),
    ] {
        run.put(&metadata, bytes).await;
        let report = Box::pin(s3bundler::verify::verify(&s3, &run.request, &silent()))
            .await
            .unwrap();
        assert_eq!(
            (report.findings.len(), report.unproven_checksums),
            (findings, unproven),
            "{report}"
        );
        let wrong = |it: &Finding| {
            matches!(
                it,
                Finding::WrongBytes {
                    part: Part::CopyMetadata,
                    ..
                }
            )
        };
        assert!(report.findings.iter().all(wrong), "{report}");
    }
    run.put(&metadata, b"{\"format\":2}".to_vec()).await;
    let report = run.verify().await;
    assert!(
        report
            .to_string()
            .contains("it has format 2, which this release does not know"),
        "{report}"
    );
}

#[tokio::test]
async fn a_record_of_another_run_or_of_other_groups_is_none_of_this_run() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let (claim, summary) = ("p/runs/run.json", "p/runs/run.done.json");
    let (claimed, summarized) = (run.get(claim).await, run.get(summary).await);
    let renamed = |json: &[u8]| {
        String::from_utf8_lossy(json).replacen("\"run\": \"run\"", "\"run\": \"nur\"", 1)
    };
    let of_pass =
        String::from_utf8_lossy(&summarized).replacen("\"groups\"", "\"pass\": 1, \"groups\"", 1);
    for (key, wrong, words) in [
        (claim, renamed(&claimed), "it is of run nur"),
        (summary, renamed(&summarized), "it is of run nur"),
        (summary, of_pass, "it is the summary of retry pass 1"),
        (
            "p/runs/run.retry1.done.json",
            String::from_utf8_lossy(&summarized).into_owned(),
            "the summary of pass 0",
        ),
    ] {
        let right = if key == claim { &claimed } else { &summarized };
        assert_ne!(
            wrong.as_bytes(),
            if key.contains("retry") {
                &[][..]
            } else {
                right
            },
            "{key}"
        );
        run.put(key, wrong.into_bytes()).await;
        let error = run.verify_error().await;
        assert!(
            error.exit_code() == ExitCode::Unreadable && error.to_string().contains(words),
            "{key}: {error}"
        );
        run.put(key, right.clone()).await;
    }
}

#[tokio::test]
async fn an_object_of_the_right_size_that_something_else_wrote_is_found() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    for (parts, part) in [
        (["archives/", "000000", ".index"], Part::Index),
        (["archives/", "000001", ".tar"], Part::Archive),
    ] {
        let key = run.key(&parts).await;
        run.put(&key, run.get(&key).await).await;
        let report = run.verify().await;
        assert!(
            matches!(&report.findings[..], [Finding::OtherChecksum { part: found, .. }] if *found == part),
            "{report}"
        );
        let repaired = run.repair().await;
        assert_eq!(
            repaired.findings.is_empty(),
            part == Part::Index,
            "{repaired}"
        );
        assert_eq!(repaired.repaired.is_empty(), part != Part::Index);
    }
}

#[tokio::test]
async fn one_row_lost_and_another_doubled_do_not_balance() {
    let mut run = MadeRun::new(ArchiveFormat::Tar).await;
    run.claim().await;
    run.group(&usual()[0], |_, _| ()).await;
    run.group(&usual()[1], |_, entries| {
        entries[1].row.key = "c/d".to_owned();
    })
    .await;
    run.summarize().await;
    let report = run.verify().await;
    assert_eq!(kinds(&report), ["rowDigest", "groupRows"]);
    assert!(
        matches!(&report.findings[1], Finding::GroupRows { catalog, .. } if catalog.key.ends_with("run.000001.parquet")),
        "{report}"
    );
}

#[tokio::test]
async fn a_manifest_that_is_not_what_its_writer_recorded_says_nothing_of_its_group() {
    let mut run = MadeRun::new(ArchiveFormat::Tar).await;
    run.claim().await;
    run.group(&usual()[0], |_, _| ()).await;
    run.group(&usual()[1], |_, entries| {
        entries[1].row.key = "c/d".to_owned();
    })
    .await;
    run.summarize().await;
    let manifest = run.key(&["groups/", "000001.index"]).await;
    let body = run.get(&manifest).await;
    for (md5, rows, body, found) in [
        (
            true,
            "2",
            [&body[..], b"x\n"].concat(),
            &["rowDigest", "damagedManifest", "manifestChanged"][..],
        ),
        (true, "2", body.clone(), &["rowDigest", "damagedManifest"]),
        (false, "3", body, &["rowDigest", "damagedManifest"]),
    ] {
        let put = run
            .client
            .put_object()
            .bucket(&run.request.destination.bucket)
            .key(&manifest);
        let put = put
            .metadata("columns", Columns::full().to_string())
            .metadata("rows", rows);
        let put = if md5 {
            put.metadata("md5", "00000000000000000000000000000000")
        } else {
            put
        };
        put.body(body.into()).send().await.unwrap();
        let report = run.verify().await;
        assert_eq!(kinds(&report), found, "{report}");
        let (key, words) = (
            manifest.clone(),
            if md5 { "has the MD5 " } else { "has 2 rows" },
        );
        assert!(
            matches!(&report.findings[1], Finding::DamagedManifest { manifest, problem }
                if manifest.key == key && problem.starts_with(words)),
            "{report}"
        );
    }
}

#[tokio::test]
async fn a_row_that_no_catalog_has_is_found() {
    let mut run = MadeRun::new(ArchiveFormat::Tar).await;
    run.claim().await;
    let failed = |key| object(key, b"xx", Fate::Failed(Reason::Glacier));
    run.group(&[failed("a"), failed("b")], |_, entries| {
        drop(entries.pop());
    })
    .await;
    run.summarize().await;
    let report = run.verify().await;
    assert_eq!(kinds(&report), ["rowCount", "groupRows"]);
    assert!(
        report
            .to_string()
            .contains("2 in the manifest, 1 in the catalog"),
        "{report}"
    );
}

#[tokio::test]
async fn an_unfinished_grouping_is_a_finding() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    run.delete(&run.layout().summary(&run.request.run)).await;
    assert_eq!(kinds(&run.verify().await), ["groupingUnfinished"]);
    run.delete(&run.layout().claim(&run.request.run)).await;
    assert_eq!(
        kinds(&run.verify().await),
        ["noClaim", "groupingUnfinished"]
    );
}

#[tokio::test]
async fn names_too_many_are_found() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let receipt = run.key(&["receipts/", "000000"]).await;
    run.put(&receipt.replace("~a2~", "~a3~"), vec![]).await;
    run.put(&receipt.replace("000000", "000007"), vec![]).await;
    run.put("p/catalog/run=run/run.000009.parquet", b"PAR1".to_vec())
        .await;
    assert_eq!(
        kinds(&run.verify().await),
        [
            "strayManifest",
            "strayManifest",
            "noCatalog",
            "unreadableCatalog",
            "severalReceipts",
            "strayReceipt"
        ]
    );
}

#[tokio::test]
async fn a_receipt_with_other_figures_is_found_and_not_joined_by_another() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let receipt = run.key(&["receipts/", "000000"]).await;
    run.delete(&receipt).await;
    run.put(&receipt.replace("~b5~", "~b6~"), vec![]).await;
    let report = run.repair().await;
    assert_eq!(kinds(&report), ["wrongReceipt"]);
    assert_eq!(report.repaired, []);
}

#[tokio::test]
async fn copies_are_compared_by_size_etag_and_what_lies_beside_them() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let metadata = run.key(&["objects/", ".metadata"]).await;
    let copy = metadata.trim_end_matches(".metadata").to_owned();
    run.put(&copy, vec![7; 2999]).await;
    assert!(matches!(
        run.verify().await.findings[..],
        [Finding::WrongSize {
            part: Part::Copy,
            ..
        }]
    ));
    run.delete(&copy).await;
    assert!(matches!(
        run.verify().await.findings[..],
        [Finding::Missing {
            part: Part::Copy,
            ..
        }]
    ));
    // Garbage of the same size.
    run.put(&copy, vec![8; 3000]).await;
    for report in [
        run.verify().await,
        run.verify_full().await,
        run.repair().await,
    ] {
        assert!(
            matches!(
                report.findings[..],
                [Finding::WrongBytes {
                    part: Part::Copy,
                    ..
                }]
            ),
            "{report}"
        );
    }
    run.put(&copy, vec![7; 3000]).await;
    let described = run.get(&metadata).await;
    run.delete(&metadata).await;
    assert!(matches!(
        run.verify().await.findings[..],
        [Finding::Missing {
            part: Part::CopyMetadata,
            ..
        }]
    ));
    run.put(&metadata, b"{}".to_vec()).await;
    assert!(matches!(
        run.verify().await.findings[..],
        [Finding::WrongBytes {
            part: Part::CopyMetadata,
            ..
        }]
    ));
    run.put(&metadata, described).await;
    assert_eq!(run.verify_full().await.findings, []);
}

#[tokio::test]
async fn a_copy_in_parts_is_unproven_until_it_is_read() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let copy = run
        .key(&["objects/", ".metadata"])
        .await
        .trim_end_matches(".metadata")
        .to_owned();
    for (bytes, findings) in [(vec![7; 3000], 0), (vec![8; 3000], 1)] {
        put_in_parts(&run, &copy, bytes).await;
        let report = run.verify().await;
        assert_eq!(
            (report.findings.len(), report.unproven_checksums),
            (0, 1),
            "an ETag of parts is no MD5: {report}"
        );
        let report = run.verify_full().await;
        assert_eq!(
            (report.findings.len(), report.unproven_checksums),
            (findings, 0),
            "{report}"
        );
    }
}

/// Uploads an object as one part: its ETag is not the MD5 of its bytes.
async fn put_in_parts(run: &MadeRun, key: &str, bytes: Vec<u8>) {
    let (client, bucket) = (&run.client, run.bucket());
    let upload = client
        .create_multipart_upload()
        .bucket(bucket)
        .key(key)
        .checksum_algorithm(ChecksumAlgorithm::Crc32);
    let upload = upload.send().await.unwrap();
    let id = upload.upload_id().unwrap();
    let part = client
        .upload_part()
        .bucket(bucket)
        .key(key)
        .upload_id(id)
        .part_number(1)
        .body(bytes.into());
    let part = part.send().await.unwrap();
    let part = CompletedPart::builder()
        .part_number(1)
        .set_e_tag(part.e_tag)
        .set_checksum_crc32(part.checksum_crc32)
        .build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    let complete = client
        .complete_multipart_upload()
        .bucket(bucket)
        .key(key)
        .upload_id(id)
        .multipart_upload(parts);
    complete.send().await.unwrap();
}

#[tokio::test]
async fn a_replaced_manifest_and_one_that_is_gone_are_found() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let manifest = "p/groups/run/run.000000.index";
    run.put(manifest, b"src,other,1,,,,\n".to_vec()).await;
    assert_eq!(kinds(&run.verify().await), ["manifestChanged"]);
    run.delete(manifest).await;
    assert_eq!(kinds(&run.verify().await), ["noManifest"]);
}

#[tokio::test]
async fn a_catalog_that_is_damaged_or_of_another_group_is_found_and_the_rest_is_verified() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let (one, other) = (
        run.key(&["catalog/", "000000"]).await,
        run.key(&["catalog/", "000001"]).await,
    );
    let bytes = run.get(&one).await;
    run.put(&one, run.get(&other).await).await;
    assert_eq!(kinds(&run.verify().await), ["foreignCatalog"]);
    run.put(&one, bytes[..bytes.len() - 1].to_vec()).await;
    let report = run.verify_full().await;
    assert_eq!(kinds(&report), ["unreadableCatalog"]);
    assert_eq!(report.members_read, 2);
    run.delete(&one).await;
    let left = [
        "noCatalog",
        "strayReceipt",
        "uncommittedAttempt",
        "uncommittedAttempt",
    ];
    assert_eq!(
        kinds(&run.verify().await),
        left,
        "nothing names the archive and its index any more"
    );
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_catalog_is_found_and_nothing_is_repaired_from_it() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let catalog = run.key(&["catalog/", "000000"]).await;
    let index = run.key(&["archives/", "000000", ".index"]).await;
    let bytes = run.get(&catalog).await;
    run.delete(&index).await;
    for at in (0..bytes.len()).step_by(bytes.len() / 12) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        run.put(&catalog, damaged).await;
        let report = run.repair().await;
        assert_eq!(
            (kinds(&report), report.repaired),
            (vec!["unreadableCatalog".to_owned()], vec![]),
            "byte {at}"
        );
    }
    run.put(&catalog, bytes).await;
    let report = run.repair().await;
    assert_eq!((report.findings, report.repaired.len()), (vec![], 1));
}

#[tokio::test]
async fn what_keeps_verify_from_verifying_has_its_own_exit_code() {
    let run = MadeRun::of(ArchiveFormat::Tar, &usual()).await;
    let error = run
        .try_verify(|request| request.run = "other".parse().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, VerifyError::NoSuchRun { .. }), "{error}");
    assert_eq!(error.exit_code(), ExitCode::Usage);
    let error = run
        .try_verify(|request| request.scratch = "/nowhere".into())
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Local, "{error}");
    let mut access = versitygw().await.clone();
    access.secret_key = "wrong".to_owned();
    let denied = s3_of(&access).await;
    let error = Box::pin(s3bundler::verify::verify(&denied, &run.request, &silent()))
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Permission, "{error}");
    run.put("p/runs/run.json", b"{}".to_vec()).await;
    assert_eq!(run.verify_error().await.exit_code(), ExitCode::Unreadable);
}

impl MadeRun {
    async fn verify_error(&self) -> VerifyError {
        self.try_verify(|_| ()).await.unwrap_err()
    }
}
