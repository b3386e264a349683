//! Group manifests that are given in the place of an inventory.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use flate2::Compression;
use flate2::write::GzEncoder;
use s3bundler::group::{GroupError, GroupRequest, ManifestProblem, Origin};
use s3bundler_contract::{ByteSize, ExitCode, HasExitCode, LeftOut};
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Seen};

use super::scene::{ARCHIVE, INVENTORIES, Scene, request_of};
use crate::world;

/// Rows as awslabs/s3bundler wrote them, of keys that are encoded already.
fn seed(keys: &[&str]) -> String {
    let row = |key: &&str| format!("source,{key},7\n");
    keys.iter().map(row).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

fn request_given(prefix: &str) -> GroupRequest {
    request_of(Origin::Manifests(prefix.parse().unwrap()))
}

/// Manifests of 3, 12 and 1 rows under `seed/`, among other things.
async fn given() -> Scene {
    let scene = Scene::start().await;
    let twelve: Vec<_> = (0..12).map(|n| format!("b%2F{n:02}+x")).collect();
    let twelve: Vec<_> = twelve.iter().map(String::as_str).collect();
    for (key, body) in [
        ("seed/a.0.index", seed(&["a", "b", "c"]).into_bytes()),
        ("seed/b.0.index", gzip(&seed(&twelve))),
        ("seed/b.0.index.dlq", b"not a manifest".to_vec()),
        ("seed/readme.txt", b"nor this".to_vec()),
        ("other/d.index", seed(&["z"]).into_bytes()),
    ] {
        client::put_object(&scene.client, INVENTORIES, key, body)
            .await
            .unwrap();
    }
    // Ours: literal keys, and the columns said.
    let ours = scene
        .client
        .put_object()
        .bucket(INVENTORIES)
        .key("seed/c.0.index")
        .metadata("columns", "Key,Bucket,Size");
    ours.body("c+%41,source,9\n".as_bytes().to_vec().into())
        .send()
        .await
        .unwrap();
    scene
}

const RUN: &str = "logs/groups/run/run.";

#[tokio::test]
async fn given_manifests_become_the_groups_of_a_run_and_share_none() {
    let scene = given().await;
    let request = request_given("s3://inventories/seed/");
    let (grouped, sent) = scene.group(&request).await.unwrap();
    let summary = &grouped.summary;
    assert_eq!(
        (summary.groups, summary.objects, summary.rows, summary.bytes),
        (4, 16, 16, 15 * 7 + 9)
    );
    assert_eq!(sent.len(), 4);
    let mut keys = Vec::new();
    for number in 0..4 {
        let (rows, _) = scene
            .manifest(ARCHIVE, &format!("{RUN}00000{number}.index"))
            .await;
        keys.push(rows.into_iter().map(|row| row.key).collect::<Vec<_>>());
    }
    assert_eq!(keys[0], ["a", "b", "c"]);
    assert_eq!(
        (keys[1].len(), keys[1][0].as_str(), &keys[2]),
        (
            10,
            "b/00 x",
            &vec!["b/10 x".to_owned(), "b/11 x".to_owned()]
        )
    );
    assert_eq!(keys[3], ["c+%41"]);

    // The same again is a resumption, and sends what has no receipt.
    scene.archive(&request, "run.000001").await;
    let (again, sent) = scene.group(&request).await.unwrap();
    assert_eq!(
        (again.resumed, again.already_archived, sent.len()),
        (true, 1, 3)
    );
    assert_eq!(again.summary, grouped.summary);
}

#[tokio::test]
async fn a_name_belongs_to_the_manifests_that_it_was_claimed_for() {
    let scene = given().await;
    let request = request_given("s3://inventories/seed/");
    scene.group(&request).await.unwrap();
    client::put_object(
        &scene.client,
        INVENTORIES,
        "seed/d.0.index",
        seed(&["late"]),
    )
    .await
    .unwrap();
    let refused = scene.refuse(&request).await;
    assert!(
        matches!(
            refused,
            GroupError::NameTaken {
                difference: "another inventory",
                ..
            }
        ),
        "{refused}"
    );
}

/// What a store answers that knows the first version of the request only, or not the prefix.
fn page(truncated: bool, keys: &[&str]) -> Fault {
    let object = |key: &&str| {
        format!("<Contents><Key>{key}</Key><ETag>\"e\"</ETag><Size>1</Size></Contents>")
    };
    let objects: String = keys.iter().map(object).collect();
    let next = if truncated {
        "<NextMarker>seed/a.0.index</NextMarker>"
    } else {
        ""
    };
    let body = format!(
        "<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{next}{objects}</ListBucketResult>"
    );
    Fault::Respond {
        status: 200,
        headers: vec![("content-type".into(), "application/xml".into())],
        body: body.into(),
    }
}

#[tokio::test]
async fn a_listing_that_is_not_whole_or_not_of_the_prefix_is_no_source() {
    let scene = given().await;
    for (truncated, keys, words) in [
        (true, &["seed/a.0.index"][..], "truncated"),
        (
            false,
            &["other/d.index", "seed/a.0.index"],
            "do not begin with the prefix",
        ),
    ] {
        scene.proxy.forward_all();
        scene.proxy.rule(move |seen: &Seen| {
            let is_listed =
                seen.operation == Operation::ListObjectsV2 && seen.bucket() == INVENTORIES;
            if is_listed {
                page(truncated, keys)
            } else {
                Fault::Forward
            }
        });
        let refused = scene.refuse(&request_given("s3://inventories/seed/")).await;
        assert!(refused.to_string().contains(words), "{refused}");
        assert_eq!(refused.exit_code(), ExitCode::Download);
        assert_eq!(
            client::list_keys(&scene.client, ARCHIVE, "").await.unwrap(),
            [""; 0]
        );
    }
}

#[tokio::test]
async fn given_manifests_are_selected_from_like_an_inventory() {
    let scene = given().await;
    let mut request = request_given("s3://inventories/seed/");
    request.select.exclude = vec!["b/".to_owned()];
    request.select.min_size = Some(ByteSize(8));
    let (grouped, _) = scene.group(&request).await.unwrap();
    assert_eq!(
        (
            grouped.summary.groups,
            grouped.summary.objects,
            grouped.summary.rows
        ),
        (1, 1, 16)
    );
    assert_eq!(
        grouped.summary.left_out,
        [(LeftOut::Excluded, 12), (LeftOut::TooSmall, 3)].into()
    );

    let mut request = request_given("s3://inventories/seed/");
    request.run = "classes".parse().unwrap();
    request.select.storage_classes = vec!["STANDARD".to_owned()];
    let refused = scene.refuse(&request).await;
    assert!(
        matches!(
            &refused,
            GroupError::Manifest {
                problem: ManifestProblem::Select(_),
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(refused.exit_code(), ExitCode::Usage);
    assert!(
        refused
            .to_string()
            .starts_with("the group manifest s3://inventories/seed/a.0.index"),
        "{refused}"
    );
}

#[tokio::test]
async fn manifests_that_are_not_there_or_are_none_are_told() {
    let scene = given().await;
    for (prefix, code, words) in [
        (
            "s3://inventories/none/",
            ExitCode::Unreadable,
            "no group manifest under s3://inventories/none/",
        ),
        (
            "s3://nowhere/seed/",
            ExitCode::Unreadable,
            "there is no bucket nowhere",
        ),
        (
            "s3://archive/",
            ExitCode::Usage,
            "those that run run writes itself",
        ),
    ] {
        let refused = scene.refuse(&request_given(prefix)).await;
        assert_eq!(refused.exit_code(), code, "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
    }
    let bad: [(&str, Vec<u8>, &str); 3] = [
        (
            "columns",
            b"source,a,7\nsource,b\n".to_vec(),
            "line 2: 2 columns where 3 are expected",
        ),
        ("escape", b"source,%zz,7\n".to_vec(), "bad URL escape"),
        ("cut-off", gzip(&seed(&["a"; 1000]))[..40].to_vec(), "line "),
    ];
    for (name, body, words) in bad {
        let key = format!("bad/{name}/x.index");
        client::put_object(&scene.client, INVENTORIES, &key, body)
            .await
            .unwrap();
        let mut request = request_given(&format!("s3://inventories/bad/{name}/"));
        request.run = name.parse().unwrap();
        let refused = scene.refuse(&request).await;
        assert_eq!(refused.exit_code(), ExitCode::Unreadable, "{refused}");
        assert!(
            refused.to_string().contains(&key) && refused.to_string().contains(words),
            "{refused}"
        );
        let summary = request.destination.layout.summary(&request.run);
        assert!(
            client::get_bytes(&scene.client, ARCHIVE, &summary)
                .await
                .is_err(),
            "it is not called whole"
        );
    }
}

/// The bytes of a multipart object: its ETag does not tell what they are.
async fn put_in_parts(scene: &Scene, key: &str, body: Vec<u8>) {
    let s3 = &scene.client;
    let upload = s3
        .create_multipart_upload()
        .bucket(INVENTORIES)
        .key(key)
        .send()
        .await
        .unwrap();
    let id = upload.upload_id().unwrap();
    let part = s3
        .upload_part()
        .bucket(INVENTORIES)
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
        .bucket(INVENTORIES)
        .key(key)
        .upload_id(id)
        .multipart_upload(parts);
    complete.send().await.unwrap();
}

/// Every row becomes a group as soon as it is read.
fn one_by_one(prefix: &str) -> GroupRequest {
    let mut request = request_given(prefix);
    request.group.max_objects = 1;
    request
}

#[tokio::test]
async fn an_existing_manifest_without_rows_is_skipped_with_a_warning_that_names_it() {
    let scene = Scene::start().await;
    for (key, body) in [
        ("seed/a.0.index", Vec::new()),
        ("seed/a.1.index", seed(&["a"]).into_bytes()),
        ("seed/a.2.index", gzip("")),
        ("seed/a.3.index", seed(&["b"]).into_bytes()),
        ("seed/a.4.index", Vec::new()),
    ] {
        client::put_object(&scene.client, INVENTORIES, key, body)
            .await
            .unwrap();
    }
    let program = world::s3bundler().access(scene.proxy.access());
    let done = program.args("group --manifests s3://inventories/seed/ --name run".split(' '));
    let done = done
        .args("--destination s3://archive/logs --output json".split(' '))
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        (&report["groups"], &report["objects"], &report["rows"]),
        (&2.into(), &2.into(), &2.into()),
        "{done}"
    );
    let warnings: Vec<_> = done
        .stderr
        .lines()
        .filter(|line| line.contains("the group manifest is empty"))
        .collect();
    assert_eq!(warnings.len(), 3, "{done}");
    for number in [0, 2, 4] {
        let named = format!("s3://inventories/seed/a.{number}.index");
        assert!(
            warnings
                .iter()
                .any(|line| line.contains("WARN") && line.contains(&named)),
            "{named}: {done}"
        );
    }
    for (number, key) in [(0, "a"), (1, "b")] {
        let (rows, _) = scene
            .manifest(ARCHIVE, &format!("{RUN}00000{number}.index"))
            .await;
        assert_eq!(
            rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
            [key]
        );
    }
}

#[tokio::test]
async fn of_an_existing_manifest_that_is_damaged_no_row_is_used() {
    let scene = Scene::start().await;
    let many: Vec<_> = (0..1000).map(|n| format!("k{n}")).collect();
    let many = seed(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let cut_off = gzip(&many)[..1000].to_vec();
    let none = [("", ""); 0];
    let bad = [
        (
            "row",
            format!("{many}source,b\n").into_bytes(),
            &none[..],
            "line 1001: 2 columns where 3 are expected",
        ),
        (
            "bucket",
            format!("{many},b,7\n").into_bytes(),
            &none,
            "line 1001: it names no bucket",
        ),
        ("cut-off", cut_off, &none, "cannot be read, line "),
        (
            "rows",
            many.clone().into_bytes(),
            &[("rows", "1001")],
            "has 1000 rows, but its writer recorded 1001",
        ),
        (
            "md5",
            many.clone().into_bytes(),
            &[("md5", "00000000000000000000000000000000")],
            "has the MD5 ",
        ),
        (
            "bad-row",
            format!("{many}source,b\n").into_bytes(),
            &[("md5", "00000000000000000000000000000000")],
            "has the MD5 ",
        ),
        (
            "emptied",
            Vec::new(),
            &[("rows", "1000")],
            "has 0 rows, but its writer recorded 1000",
        ),
    ];
    for (name, body, metadata, words) in bad {
        let key = format!("bad/{name}/x.index");
        let put = scene
            .client
            .put_object()
            .bucket(INVENTORIES)
            .key(&key)
            .body(body.into());
        let put = metadata
            .iter()
            .fold(put, |put, (name, value)| put.metadata(*name, *value));
        put.send().await.unwrap();
        let request = GroupRequest {
            run: name.parse().unwrap(),
            ..one_by_one(&format!("s3://inventories/bad/{name}/"))
        };
        let refused = scene.refuse(&request).await;
        assert_eq!(refused.exit_code(), ExitCode::Unreadable, "{refused}");
        assert!(
            refused.to_string().contains(&key) && refused.to_string().contains(words),
            "{refused}"
        );
        assert_eq!(scene.manifests(ARCHIVE, "logs/").await, [""; 0], "{name}");
    }
}

#[tokio::test]
async fn an_existing_manifest_that_is_damaged_on_the_way_is_downloaded_again() {
    let scene = Scene::start().await;
    let twelve: Vec<_> = (0..12).map(|n| format!("k{n:02}")).collect();
    let twelve = seed(&twelve.iter().map(String::as_str).collect::<Vec<_>>());
    client::put_object(&scene.client, INVENTORIES, "seed/x.index", twelve.clone())
        .await
        .unwrap();
    put_in_parts(&scene, "parts/x.index", twelve.clone().into_bytes()).await;
    let head = scene
        .client
        .head_object()
        .bucket(INVENTORIES)
        .key("parts/x.index")
        .send()
        .await
        .unwrap();
    let etag = head.e_tag().unwrap().to_owned();
    let put = scene
        .client
        .put_object()
        .bucket(INVENTORIES)
        .key("kms/x.index")
        .body(twelve.clone().into_bytes().into());
    let md5 = put
        .send()
        .await
        .unwrap()
        .e_tag()
        .unwrap()
        .trim_matches('"')
        .to_owned();
    let respond = |headers: &[(&str, &str)], body: String| {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Fault::Respond {
            status: 200,
            headers,
            body: body.into(),
        }
    };
    // Its length and its ETag are right by themselves: only the listing has another size.
    let short = respond(&[("etag", &etag)], twelve[..twelve.len() / 2].to_owned());
    // The ETag is not an MD5: only its writer recorded what it is.
    let headers = [
        ("etag", &*md5),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-meta-md5", &*md5),
    ];
    let other = respond(&headers, twelve.replace("k07", "k77"));
    // As long as it was, with a row that no reader understands.
    let broken = respond(&headers, twelve.replace("source,k07,7", "source;k07;7"));
    client::put_object(&scene.client, INVENTORIES, "bad/x.index", twelve.clone())
        .await
        .unwrap();
    for (prefix, fault, exit) in [
        ("seed", Fault::CorruptBody(100), ExitCode::Unreadable),
        ("parts", short, ExitCode::Download),
        ("kms", other, ExitCode::Unreadable),
        ("bad", broken, ExitCode::Unreadable),
    ] {
        let of_manifest = |times: usize| {
            let (fault, key) = (fault.clone(), format!("{prefix}/x.index"));
            let before = AtomicUsize::new(0);
            move |seen: &Seen| {
                let damaged = seen.operation == Operation::GetObject && seen.key() == key;
                let damaged = damaged && before.fetch_add(1, Ordering::SeqCst) < times;
                if damaged {
                    fault.clone()
                } else {
                    Fault::Forward
                }
            }
        };
        let request = GroupRequest {
            run: prefix.parse().unwrap(),
            ..one_by_one(&format!("s3://inventories/{prefix}/"))
        };
        scene.proxy.rule(of_manifest(usize::MAX));
        let refused = scene.refuse(&request).await;
        assert_eq!(refused.exit_code(), exit, "{refused}");
        assert!(
            refused.to_string().contains(&format!("{prefix}/x.index")),
            "{refused}"
        );
        assert!(!refused.to_string().contains("line "), "{refused}");
        let groups = scene.manifests(ARCHIVE, "logs/").await;
        assert!(
            groups
                .iter()
                .all(|key| !key.contains(&format!("/{prefix}/"))),
            "{groups:?}"
        );
        scene.proxy.rule(of_manifest(2));
        assert_eq!(
            scene.group(&request).await.unwrap().0.summary.groups,
            12,
            "{prefix}"
        );
    }
}

#[tokio::test]
async fn a_listing_that_is_cut_short_is_not_a_smaller_run() {
    let scene = given().await;
    let listing = scene
        .client
        .list_objects_v2()
        .bucket(INVENTORIES)
        .prefix("seed/")
        .send()
        .await
        .unwrap();
    let (first, second) = (&listing.contents()[0], &listing.contents()[1]);
    let entry = |object: &aws_sdk_s3::types::Object| {
        let (key, etag, size) = (
            object.key().unwrap(),
            object.e_tag().unwrap(),
            object.size().unwrap(),
        );
        format!("<Contents><Key>{key}</Key><ETag>{etag}</ETag><Size>{size}</Size></Contents>")
    };
    let page = |more: bool, entries: &str, end: &str| {
        let body = format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{entries}{end}");
        Fault::Respond {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        }
    };
    let cut_off = page(false, &(entry(first) + &entry(second)), "");
    let nowhere = page(true, &entry(first), "</ListBucketResult>");
    for (name, fault, times, exit) in [
        (
            "broken",
            Fault::Unframed {
                close: true,
                end: Some(600),
            },
            1,
            None,
        ),
        ("cut-off", cut_off.clone(), 1, None),
        (
            "cut-off-always",
            cut_off,
            usize::MAX,
            Some("an answer that is not S3's"),
        ),
        (
            "nowhere",
            nowhere,
            usize::MAX,
            Some("no NextContinuationToken"),
        ),
    ] {
        let before = AtomicUsize::new(0);
        scene.proxy.rule(move |seen| {
            let lists = seen.operation == Operation::ListObjectsV2 && seen.bucket() == INVENTORIES;
            let damaged = lists && before.fetch_add(1, Ordering::SeqCst) < times;
            if damaged {
                fault.clone()
            } else {
                Fault::Forward
            }
        });
        let request = GroupRequest {
            run: name.parse().unwrap(),
            ..request_given("s3://inventories/seed/")
        };
        match exit {
            None => assert_eq!(
                scene.group(&request).await.unwrap().0.summary.rows,
                16,
                "{name}"
            ),
            Some(words) => {
                let refused = scene.refuse(&request).await;
                assert_eq!(refused.exit_code(), ExitCode::Download, "{refused}");
                assert!(refused.to_string().contains(words), "{refused}");
            }
        }
    }
}
