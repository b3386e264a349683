//! Answers to GETs whose length or bytes nothing proves, on a real server behind the fault proxy:
//! what is archived is the object, or the object is a dead letter.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::world::{self, Proxied, SOURCE, Whole, World, assert_whole, gets_source, key};
use aws_sdk_s3::primitives::DateTimeFormat;
use aws_sdk_s3::types::{
    BucketVersioningStatus, CompletedMultipartUpload, CompletedPart, VersioningConfiguration,
};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use s3bundler_testbed::cli::Outcome;
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Seen};

/// The object that faults are for: 100,000 bytes.
const LARGE: usize = 4;

impl Proxied {
    /// The large object is an upload in parts, so that its ETag is no MD5.
    async fn with_large_in_parts() -> Self {
        let scene = Self::of_groups(1).await;
        let body: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        put_in_parts(&scene.world.s3, &key(LARGE), body.into(), None).await;
        scene
    }

    /// A fault of the GETs of the large object, by their number.
    fn fault_large(&self, fault: impl Fn(u64, &Seen) -> Fault + Send + Sync + 'static) {
        let gets = AtomicU64::new(0);
        self.proxy.rule(move |seen| {
            if !gets_source(seen) || seen.key() != key(LARGE) {
                return Fault::Forward;
            }
            fault(gets.fetch_add(1, Ordering::SeqCst) + 1, seen)
        });
    }

    fn ranges_of_large(&self) -> Vec<Option<String>> {
        let log = self.proxy.log();
        let gets = log
            .iter()
            .filter(|it| gets_source(&it.request) && it.request.key() == key(LARGE));
        gets.map(|it| {
            it.request
                .headers
                .get("range")
                .map(|range| range.to_str().unwrap().to_owned())
        })
        .collect()
    }

    async fn large_etag(&self) -> String {
        let head = self
            .world
            .s3
            .head_object()
            .bucket(SOURCE)
            .key(key(LARGE))
            .send()
            .await
            .unwrap();
        head.e_tag().unwrap().to_owned()
    }
}

async fn put_in_parts(s3: &aws_sdk_s3::Client, key: &str, body: Bytes, encoding: Option<&str>) {
    let upload = s3
        .create_multipart_upload()
        .bucket(SOURCE)
        .key(key)
        .set_content_encoding(encoding.map(str::to_owned));
    let upload = upload.send().await.unwrap();
    let id = upload.upload_id().unwrap();
    let part = s3
        .upload_part()
        .bucket(SOURCE)
        .key(key)
        .upload_id(id)
        .part_number(1)
        .body(body.into());
    let part = part.send().await.unwrap();
    let part = CompletedPart::builder()
        .part_number(1)
        .set_e_tag(part.e_tag().map(str::to_owned))
        .build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    let complete = s3
        .complete_multipart_upload()
        .bucket(SOURCE)
        .key(key)
        .upload_id(id)
        .multipart_upload(parts);
    complete.send().await.unwrap();
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

fn respond(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Fault {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Fault::Respond {
        status,
        headers,
        body: body.into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_without_a_length_are_read_to_their_end() {
    for close in [false, true] {
        let scene = Proxied::with_large_in_parts().await;
        // Objects, the inventory, the group's manifest, the claim and the catalog alike.
        scene
            .proxy
            .fault_every(Operation::GetObject, Fault::Unframed { close, end: None });
        scene.run_whole().await;
        // Again, so that what is committed is read, too.
        scene.run_whole().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_that_ends_early_is_not_whole() {
    let scene = Proxied::with_large_in_parts().await;
    scene.fault_large(|n, _| {
        if n == 1 {
            Fault::Unframed {
                close: true,
                end: Some(10_000),
            }
        } else {
            Fault::Forward
        }
    });
    scene.run_whole().await;
    assert_eq!(
        scene.ranges_of_large(),
        [None, Some("bytes=10000-99999".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_without_a_length_that_ends_early_is_not_whole() {
    for end in [0, 20] {
        let scene = Proxied::of_groups(1).await;
        let gets = AtomicU64::new(0);
        scene.proxy.rule(move |seen| {
            let manifest = world::gets(seen, "groups") && gets.fetch_add(1, Ordering::SeqCst) == 0;
            if manifest {
                Fault::Unframed {
                    close: true,
                    end: Some(end),
                }
            } else {
                Fault::Forward
            }
        });
        scene.run_whole().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_another_object_is_not_added_on_a_store_that_ignores_if_match() {
    let scene = Proxied::with_large_in_parts().await;
    scene.fault_large(|n, _| match n {
        1 => Fault::TruncateBody(10_000),
        2 => {
            let headers = [
                ("etag", "\"other-1\""),
                ("content-range", "bytes 10000-99999/100000"),
            ];
            respond(206, &headers, vec![b'B'; 90_000])
        }
        _ => Fault::Forward,
    });
    scene.run_whole().await;
    assert_eq!(scene.ranges_of_large()[2], None, "read again as a whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_range_than_the_one_that_was_asked_for_is_not_the_rest() {
    let scene = Proxied::with_large_in_parts().await;
    let etag = scene.large_etag().await;
    scene.fault_large(move |n, _| match n {
        1 => Fault::TruncateBody(10_000),
        // All of it, or another part, of the right length.
        2 => respond(200, &[("etag", &etag)], vec![b'B'; 90_000]),
        _ => Fault::Forward,
    });
    scene.run_whole().await;
    let scene = Proxied::with_large_in_parts().await;
    let etag = scene.large_etag().await;
    scene.fault_large(move |n, _| match n {
        1 => Fault::TruncateBody(10_000),
        2 => respond(
            206,
            &[("etag", &etag), ("content-range", "bytes 0-89999/100000")],
            vec![b'B'; 90_000],
        ),
        _ => Fault::Forward,
    });
    scene.run_whole().await;
    assert_eq!(scene.ranges_of_large()[2], None, "read again as a whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_compresses_is_not_the_object() {
    let scene = Proxied::with_large_in_parts().await;
    let etag = scene.large_etag().await;
    let body = client::get_bytes(&scene.world.s3, SOURCE, &key(LARGE))
        .await
        .unwrap();
    let encoded = gzip(&body);
    scene.fault_large(move |n, seen| {
        assert_eq!(seen.headers.get("accept-encoding").unwrap(), "identity");
        if n == 1 {
            respond(
                200,
                &[("etag", &etag), ("content-encoding", "gzip")],
                encoded.clone(),
            )
        } else {
            Fault::Forward
        }
    });
    scene.run_whole().await;

    let scene = Proxied::with_large_in_parts().await;
    let (etag, encoded) = (scene.large_etag().await, gzip(&body));
    scene.fault_large(move |_, _| {
        respond(
            200,
            &[("etag", &etag), ("content-encoding", "gzip")],
            encoded.clone(),
        )
    });
    scene.run_ends_with(0).await;
    Whole::of(&scene.world, &scene.bucket)
        .failed(&key(LARGE), "ChecksumMismatch")
        .check()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_was_stored_encoded_is_archived_as_it_is() {
    let scene = Proxied::of_groups(1).await;
    put_in_parts(
        &scene.world.s3,
        &key(LARGE),
        gzip(&vec![b'x'; 100_000]),
        Some("gzip"),
    )
    .await;
    scene.run_whole().await;
    assert_eq!(scene.ranges_of_large(), [None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_etag_with_another_size_than_listed_is_a_mismatch() {
    let scene = Proxied::of_groups(1).await;
    put_in_parts(
        &scene.world.s3,
        &key(LARGE),
        vec![b'x'; 100_000].into(),
        None,
    )
    .await;
    let inventory = scene.world.another_inventory().await;
    let etag = scene.large_etag().await;
    scene.fault_large(move |_, _| respond(200, &[("etag", &etag)], vec![b'x'; 99_999]));
    let program = scene
        .world
        .program_of(&inventory, &scene.bucket, "other")
        .access(scene.proxy.access());
    let done = program.run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(scene.ranges_of_large(), [None, None]);
    assert!(done.stdout.contains("ChecksumMismatch"), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_an_etag_is_identified_or_asked_for_again() {
    let page = respond(
        200,
        &[("content-type", "text/html")],
        "<html>sign in</html>",
    );
    let scene = Proxied::with_large_in_parts().await;
    scene.fault_large(move |n, _| if n == 1 { page.clone() } else { Fault::Forward });
    scene.run_whole().await;
    assert_eq!(scene.ranges_of_large(), [None, None]);

    let scene = Proxied::with_large_in_parts().await;
    let head = scene
        .world
        .s3
        .head_object()
        .bucket(SOURCE)
        .key(key(LARGE))
        .send()
        .await
        .unwrap();
    let modified = head
        .last_modified()
        .unwrap()
        .fmt(DateTimeFormat::HttpDate)
        .unwrap();
    let half = respond(200, &[("last-modified", &modified)], vec![b'x'; 50_000]);
    scene.fault_large(move |n, _| if n == 1 { half.clone() } else { Fault::Forward });
    scene.run_whole().await;
    assert_eq!(scene.ranges_of_large(), [None, None]);

    // Only the ETag is not there: the bytes are right.
    let scene = Proxied::with_large_in_parts().await;
    scene.fault_large(|_, _| Fault::SetHeader {
        name: "etag",
        value: b"",
    });
    scene.run_whole().await;
    assert_eq!(scene.ranges_of_large(), [None]);
    let entries = catalog(&scene)
        .await
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .collect::<Vec<_>>();
    let etag = entries
        .iter()
        .find(|entry| entry.row.key == key(LARGE))
        .unwrap()
        .row
        .etag
        .clone();
    assert_eq!(
        etag.as_deref(),
        Some(scene.large_etag().await.trim_matches('"'))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_etag_is_that_of_the_listing() {
    // Another size, and other bytes.
    for size in [20_000, 100_000] {
        let scene = Proxied::of_groups(1).await;
        let (etag, body) = (format!("W/{}", scene.large_etag().await), vec![b'x'; size]);
        scene.fault_large(move |n, _| {
            if n == 1 {
                respond(200, &[("etag", &etag)], body.clone())
            } else {
                Fault::Forward
            }
        });
        scene.run_whole().await;
        assert_eq!(scene.ranges_of_large(), [None, None], "{size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_nothing_proves_and_the_manifest_denies_is_asked_for() {
    for (size, body, gets) in [("100000", 50_000, 2), ("", 0, 2), ("50000", 100_000, 1)] {
        let scene = Proxied::with_large_in_parts().await;
        client::create_bucket(&scene.world.s3, "manifests")
            .await
            .unwrap();
        let row = format!("{SOURCE},logs+%C3%A4%2B%25/day%3D1%262/0004.json,{size}\n");
        client::put_object(&scene.world.s3, "manifests", "m.csv", row)
            .await
            .unwrap();
        let etag = scene.large_etag().await;
        scene.fault_large(move |n, _| match n {
            1 if body < 100_000 => respond(200, &[("etag", &etag)], vec![b'x'; body]),
            _ => Fault::Forward,
        });
        let program = world::s3bundler().access(scene.proxy.access());
        let program = program
            .args("bundle --manifest s3://manifests/m.csv --fieldnames Bucket,Key,Size".split(' '));
        let done = program
            .args(["--destination", &format!("s3://{}/p", scene.bucket)])
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(0), "{done}");
        assert!(
            done.stdout.contains("archived     1 objects, 97.66 KiB"),
            "{size}: {done}"
        );
        assert_eq!(scene.ranges_of_large(), vec![None; gets], "{size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_asked_on_another_connection() {
    let scene = Proxied::of_groups(1).await;
    scene.fault_large(|n, _| if n == 1 { Fault::Hang } else { Fault::Forward });
    let done = scene
        .program()
        .args(["--first-byte-timeout", "1"])
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(&scene.world, &scene.bucket).await;
    assert!(
        scene.ranges_of_large().contains(&None),
        "{:?}",
        scene.ranges_of_large()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_falls_silent_is_resumed_on_another_connection() {
    let scene = Proxied::with_large_in_parts().await;
    scene.fault_large(|n, _| {
        if n == 1 {
            Fault::StallBody(10_000)
        } else {
            Fault::Forward
        }
    });
    scene.run_whole().await;
    assert!(
        scene
            .ranges_of_large()
            .contains(&Some("bytes=10000-99999".to_owned())),
        "{:?}",
        scene.ranges_of_large()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn current_versions_are_read_without_version_ids() {
    let scene = Proxied::of_groups(1).await;
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let versioning = scene
        .world
        .s3
        .put_bucket_versioning()
        .bucket(SOURCE)
        .versioning_configuration(enabled);
    let versioned = versioning.send().await.is_ok();
    let put = scene
        .world
        .s3
        .put_object()
        .bucket(SOURCE)
        .key(key(LARGE))
        .tagging("a=b")
        .body(vec![b'x'; 100_000].into());
    let put = put.send().await.unwrap();
    assert_eq!(versioned, put.version_id().is_some());
    scene.fault_large(|n, _| {
        if n == 1 {
            Fault::TruncateBody(10_000)
        } else {
            Fault::Forward
        }
    });
    scene.run_whole().await;
    let log = scene.proxy.log();
    assert!(
        log.iter()
            .any(|it| it.request.operation == Operation::GetObjectTagging)
    );
    for it in log {
        assert!(
            !it.request.query.to_ascii_lowercase().contains("versionid"),
            "{:?}",
            it.request
        );
    }
}

/// The large object with tags, and faults of GetObjectTagging by their number.
async fn with_tag_faults(
    fault: impl Fn(u64) -> Fault + Send + Sync + 'static,
) -> (Proxied, Outcome) {
    let scene = Proxied::of_groups(1).await;
    let put = scene
        .world
        .s3
        .put_object()
        .bucket(SOURCE)
        .key(key(LARGE))
        .tagging("a=b")
        .body(vec![b'x'; 100_000].into());
    put.send().await.unwrap();
    let asked = AtomicU64::new(0);
    scene.proxy.rule(move |seen| {
        if seen.operation == Operation::GetObjectTagging && seen.key() == key(LARGE) {
            return fault(asked.fetch_add(1, Ordering::SeqCst) + 1);
        }
        Fault::Forward
    });
    let done = scene.run_whole().await;
    assert_eq!(scene.ranges_of_large(), [None], "its bytes are read once");
    (scene, done)
}

async fn catalog(scene: &Proxied) -> s3bundler::catalog::Catalog {
    let keys = scene.world.keys_of(&scene.bucket, "catalog").await;
    catalog_at(scene, &keys[0]).await
}

async fn catalog_at(scene: &Proxied, key: &str) -> s3bundler::catalog::Catalog {
    let bytes = client::get_bytes(&scene.world.s3, &scene.bucket, key)
        .await
        .unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    s3bundler::catalog::Catalog::open(file).unwrap()
}

/// The tags and headers of the large object in the catalog.
async fn cataloged(scene: &Proxied) -> (Vec<(String, String)>, Option<String>) {
    let catalog = catalog(scene).await;
    let entry = catalog
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .find(|entry| entry.row.key == key(LARGE))
        .unwrap();
    (
        entry.tags.into_iter().collect(),
        entry.headers.get("s3bundler-missing-tags").cloned(),
    )
}

/// Why tags are missing, of each archived object.
async fn missing_tags(scene: &Proxied) -> Vec<Option<String>> {
    let catalog = catalog(scene).await;
    catalog
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| matches!(entry.outcome, s3bundler::catalog::Outcome::Archived(_)))
        .map(|entry| entry.headers.get("s3bundler-missing-tags").cloned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sha256_of_every_object_is_in_the_catalog_if_asked_for() {
    for asked in [true, false] {
        let scene = Proxied::with_large_in_parts().await;
        let program = if asked {
            scene.program().arg("--sha256")
        } else {
            scene.program()
        };
        let done = program.run().await.unwrap();
        assert_eq!(done.code, Some(0), "{done}");
        let catalog = catalog(&scene).await;
        let mut archived = 0;
        for entry in catalog.entries().unwrap().map(Result::unwrap) {
            let expected = if matches!(entry.outcome, s3bundler::catalog::Outcome::Archived(_))
                && asked
            {
                archived += 1;
                let bytes = client::get_bytes(&scene.world.s3, SOURCE, &entry.row.key)
                    .await
                    .unwrap();
                Some(
                    data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(&bytes)),
                )
            } else {
                None
            };
            assert_eq!(entry.sha256, expected, "{}", entry.row.key);
        }
        assert!(!asked || archived == 4, "{archived}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_fail_are_asked_for_again_by_themselves() {
    let cut_off = respond(
        200,
        &[("content-type", "application/xml")],
        "<Tagging><TagSet>",
    );
    let failing = [
        Fault::FailBefore {
            status: 500,
            code: "InternalError",
        },
        Fault::Throttle,
        cut_off,
    ];
    for fault in failing {
        let (scene, _) = with_tag_faults(move |n| {
            if n <= 2 {
                fault.clone()
            } else {
                Fault::Forward
            }
        })
        .await;
        assert_eq!(
            cataloged(&scene).await,
            (vec![("a".to_owned(), "b".to_owned())], None)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_contradict_the_get_are_asked_for_once_more() {
    let xml = |body| respond(200, &[("content-type", "application/xml")], body);
    let none = move || xml("<Tagging><TagSet></TagSet></Tagging>");
    let damaged =
        move || xml("<Tagging><TagSet><Tag><Kex>a</Kex><Value>b</Value></Tag></TagSet></Tagging>");
    let gone = || Fault::FailBefore {
        status: 404,
        code: "NoSuchKey",
    };
    for fault in [none(), damaged(), gone()] {
        let (scene, _) = with_tag_faults(move |n| {
            if n == 1 {
                fault.clone()
            } else {
                Fault::Forward
            }
        })
        .await;
        assert_eq!(
            cataloged(&scene).await,
            (vec![("a".to_owned(), "b".to_owned())], None)
        );
    }
    // They were removed after the GET.
    let (scene, _) = with_tag_faults(move |_| none()).await;
    assert_eq!(cataloged(&scene).await, (vec![], None));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_cannot_be_had_are_recorded_as_such() {
    let html = || respond(501, &[("content-type", "text/html")], "<html>501</html>");
    let method = || Fault::FailBefore {
        status: 405,
        code: "MethodNotAllowed",
    };
    let gone = || Fault::FailBefore {
        status: 404,
        code: "NoSuchKey",
    };
    let denied = || Fault::FailBefore {
        status: 403,
        code: "AccessDenied",
    };
    let faults = [
        (html(), "HTTP 501"),
        (method(), "MethodNotAllowed"),
        (gone(), "NoSuchKey"),
        (denied(), "AccessDenied"),
    ];
    for (fault, code) in faults {
        let (scene, done) = with_tag_faults(move |_| fault.clone()).await;
        let (tags, missing) = cataloged(&scene).await;
        assert_eq!((tags, missing.as_deref()), (vec![], Some(code)));
        assert_eq!(
            done.stderr.matches("tags cannot be read").count(),
            1,
            "{done}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_tags_cannot_be_asked_for_may_have_some_unless_the_store_has_none() {
    let fail = |status, code| Fault::FailBefore { status, code };
    let no_key = "<Tagging><TagSet><Tag><Kex>a</Kex><Value>b</Value></Tag></TagSet></Tagging>";
    // One object of the directory asks for all of them.
    for (fault, expected, requests) in [
        (fail(500, "InternalError"), Some("InternalError"), 4),
        (fail(400, "InvalidRequest"), Some("InvalidRequest"), 3),
        (
            respond(200, &[("content-type", "application/xml")], no_key),
            Some("Foreign"),
            5,
        ),
        (fail(405, "MethodNotAllowed"), None, 1),
        (fail(501, "NotImplemented"), None, 1),
    ] {
        let scene = Proxied::of_groups(1).await;
        scene.proxy.fault_every(Operation::GetObjectTagging, fault);
        scene.run_whole().await;
        let missing = missing_tags(&scene).await;
        assert_eq!(missing, vec![expected.map(str::to_owned); 4]);
        let asked = scene.proxy.count(Operation::GetObjectTagging);
        assert_eq!(asked, requests, "{expected:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_question_whether_tags_are_shown_is_asked_again_if_it_fails_and_no_row_misses_tags() {
    for fault in [
        Fault::Throttle,
        Fault::FailBefore {
            status: 500,
            code: "InternalError",
        },
    ] {
        let scene = Proxied::of_groups(1).await;
        scene.proxy.rule(move |seen| match seen.operation {
            Operation::GetObjectTagging if seen.nth <= 2 => fault.clone(),
            _ => Fault::Forward,
        });
        scene.run_whole().await;
        assert_eq!(scene.proxy.count(Operation::GetObjectTagging), 3);
        let entries = catalog(&scene)
            .await
            .entries()
            .unwrap()
            .map(Result::unwrap)
            .collect::<Vec<_>>();
        assert!(
            entries
                .iter()
                .all(|entry| !entry.headers.contains_key("s3bundler-missing-tags")),
            "{entries:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_are_refused_while_others_are_accepted_are_never_missing() {
    // More often than a failing request is tried.
    let (scene, _) = with_tag_faults(|n| {
        if n <= 15 {
            Fault::Throttle
        } else {
            Fault::Forward
        }
    })
    .await;
    assert_eq!(
        cataloged(&scene).await,
        (vec![("a".to_owned(), "b".to_owned())], None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_may_not_see_tags_is_told_once() {
    let scene = Proxied::of_groups(1).await;
    scene.proxy.fault_every(
        Operation::GetObjectTagging,
        Fault::FailBefore {
            status: 403,
            code: "AccessDenied",
        },
    );
    let done = scene.run_whole().await;
    assert_eq!(
        done.stderr.matches("s3:GetObjectTagging").count(),
        1,
        "{done}"
    );
    assert_eq!(scene.proxy.count(Operation::GetObjectTagging), 1);
    let missing = missing_tags(&scene).await;
    assert_eq!(
        missing,
        vec![Some("AccessDenied".to_owned()); 4],
        "every object may have tags"
    );
}

/// S3 shows the number of tags only to a reader that may read them, and policies name prefixes or
/// tags.
#[tokio::test(flavor = "multi_thread")]
async fn tags_that_only_some_objects_hide_are_recorded_for_those() {
    const HIDDEN: [&str; 4] = ["closed/none", "closed/tagged", "mixed/none", "mixed/secret"];
    let keys = [
        "closed/none",
        "closed/tagged",
        "mixed/none",
        "mixed/secret",
        "mixed/tagged",
        "open/none",
        "open/tagged",
        "top",
    ];
    let mut world =
        World::of_objects(keys.map(|key| (key.to_owned(), Bytes::from_static(b"x")))).await;
    world.group_rows = 4;
    for key in [
        "closed/tagged",
        "mixed/secret",
        "mixed/tagged",
        "open/tagged",
    ] {
        let put = world
            .s3
            .put_object()
            .bucket(SOURCE)
            .key(key)
            .tagging("a=b")
            .body(vec![b'x'].into());
        put.send().await.unwrap();
    }
    let scene = Proxied::of(world).await;
    scene.proxy.rule(|seen| match seen.operation {
        Operation::GetObject if HIDDEN.contains(&seen.key().as_str()) => Fault::SetHeader {
            name: "x-amz-tagging-count",
            value: b"0",
        },
        Operation::GetObjectTagging if HIDDEN.contains(&seen.key().as_str()) => Fault::FailBefore {
            status: 403,
            code: "AccessDenied",
        },
        _ => Fault::Forward,
    });
    let done = scene.run_ends_with(0).await;
    assert_eq!(
        done.stderr.matches("s3:GetObjectTagging").count(),
        1,
        "{done}"
    );
    let keys = scene.world.keys_of(&scene.bucket, "catalog").await;
    let mut found = Vec::new();
    for catalog in &keys {
        for entry in catalog_at(&scene, catalog)
            .await
            .entries()
            .unwrap()
            .map(Result::unwrap)
        {
            let missing = entry
                .headers
                .get("s3bundler-missing-tags")
                .map(String::as_str);
            found.push((
                entry.row.key.clone(),
                entry.tags.len(),
                missing.map(str::to_owned),
            ));
        }
    }
    found.sort();
    let expected = [
        ("closed/none", 0, Some("AccessDenied")),
        ("closed/tagged", 0, Some("AccessDenied")),
        ("mixed/none", 0, Some("AccessDenied")),
        ("mixed/secret", 0, Some("AccessDenied")),
        ("mixed/tagged", 1, None),
        ("open/none", 0, None),
        ("open/tagged", 1, None),
        ("top", 0, None),
    ];
    assert_eq!(
        found,
        expected.map(|(key, tags, missing)| (key.to_owned(), tags, missing.map(str::to_owned)))
    );
    let verified = scene
        .world
        .command(&scene.bucket, &["verify", "--output", "json"])
        .run()
        .await
        .unwrap();
    assert_eq!(verified.code, Some(0), "{verified}");
    let report: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(report["missingTags"], 4, "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_unknown_size_share_a_small_scratch_directory() {
    const SIZE: usize = 3 << 20;
    let key = |n: usize| format!("object-{n:02}");
    let mut world = World::of_objects(
        (0..12).map(|n| (key(n), Bytes::from(vec![u8::try_from(n).unwrap(); SIZE]))),
    )
    .await;
    world.group_rows = 12;
    let bucket = world.destination("archive").await;
    client::create_bucket(&world.s3, "manifests").await.unwrap();
    // Every third size is known, every third is unknown, and every third has grown since.
    let row = |n: usize| match n % 3 {
        0 => format!("{SOURCE},\"{}\",\n", key(n)),
        1 => format!("{SOURCE},\"{}\",{SIZE}\n", key(n)),
        _ => format!("{SOURCE},\"{}\",{}\n", key(n), SIZE / 2),
    };
    let manifest: String = (0..12).map(row).collect();
    client::put_object(&world.s3, "manifests", "m.csv", manifest)
        .await
        .unwrap();
    let program = world::s3bundler().access(world.access()).args([
        "bundle",
        "--manifest",
        "s3://manifests/m.csv",
        "--fieldnames",
        "Bucket,Key,Size",
        "--memory",
        "18MiB",
        "--groups",
        "1",
        "--scratch-size",
        "4MiB",
        "--destination",
    ]);
    let done = program.arg(format!("s3://{bucket}/p")).run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("archived     12 objects"), "{done}");
}
