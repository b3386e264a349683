//! Group manifests that no grouper of ours wrote: those of awslabs/s3bundler, those of people, and
//! our own dead letters.

#[allow(dead_code, reason = "a part of it is used here")]
use std::collections::BTreeMap;
use std::io::Write as _;

use crate::world;
use crate::world::archived::Archived;
use aws_sdk_s3::Client;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use s3bundler_testbed::cli::Outcome;
use s3bundler_testbed::client;
use s3bundler_testbed::servers::Moto;

const KEYS: [&str; 4] = ["plain", "a b/c+d, \"e\".txt", "ä/%41", "x=1&y=2"];

struct World {
    server: Moto,
    s3: Client,
}

impl World {
    /// Objects whose bytes are their keys, a bucket for manifests, and one for archives.
    async fn new() -> Self {
        let server = Moto::start().await.unwrap();
        let s3 = client::s3(server.access());
        for bucket in ["source", "manifests", "archive"] {
            client::create_bucket(&s3, bucket).await.unwrap();
        }
        client::put_objects(&s3, "source", KEYS.map(|key| (key, key)))
            .await
            .unwrap();
        Self { server, s3 }
    }

    async fn manifest(&self, key: &str, body: impl Into<Bytes>) {
        client::put_object(&self.s3, "manifests", key, body.into())
            .await
            .unwrap();
    }

    async fn bundle(&self, arguments: &[&str]) -> Outcome {
        let program = world::s3bundler().access(self.server.access());
        let program = program
            .args(["bundle", "--destination", "s3://archive/p"])
            .args(arguments.iter().copied());
        let done = program.run().await.unwrap();
        assert_eq!(done.code, Some(0), "{done}");
        done
    }

    fn archived(&self) -> Archived {
        Archived {
            s3: self.s3.clone(),
            bucket: "archive".to_owned(),
            prefix: "p/".to_owned(),
        }
    }

    /// What is archived: keys and how often, each with the bytes that it should have.
    async fn found(&self) -> BTreeMap<String, usize> {
        let archived = self.archived();
        let mut found = BTreeMap::new();
        for row in archived.index().await {
            if row["outcome"] == "archived" {
                assert_eq!(archived.bytes_of(&row).await, row["key"], "{row:?}");
                *found.entry(row["key"].clone()).or_default() += 1;
            }
        }
        found
    }

    async fn verify(&self, name: &str) {
        let program = world::s3bundler().access(self.server.access());
        let verify = [
            "verify",
            "--full",
            "--destination",
            "s3://archive/p",
            "--name",
            name,
        ];
        let done = program.args(verify).run().await.unwrap();
        assert_eq!(done.code, Some(0), "{done}");
    }
}

/// As awslabs/s3bundler writes them: no header, no metadata, keys form-url-encoded as in the
/// inventory.
fn seed_manifest(keys: &[&str]) -> String {
    let row = |key: &&str| {
        let encoded: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
        format!("\"source\",\"{encoded}\",\"{}\"\n", key.len())
    };
    keys.iter().map(row).collect()
}

#[tokio::test]
async fn manifests_of_awslabs_s3bundler_are_archived_compressed_or_not() {
    let world = World::new().await;
    world
        .manifest("seed/run-key.1.index", seed_manifest(&KEYS[..2]))
        .await;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(seed_manifest(&KEYS[2..]).as_bytes())
        .unwrap();
    world
        .manifest("seed/run-key.2.index", gzip.finish().unwrap())
        .await;
    let manifests = [
        "--manifest",
        "s3://manifests/seed/run-key.1.index",
        "-m",
        "s3://manifests/seed/run-key.2.index",
    ];
    let done = world
        .bundle(&[&manifests[..], &["--name", "seed"]].concat())
        .await;
    assert!(
        done.stdout
            .starts_with("2 groups archived\n  archived     4 objects"),
        "{done}"
    );
    assert_eq!(
        world.found().await,
        KEYS.map(|key| (key.to_owned(), 1)).into()
    );
    world.verify("seed").await;
    let again = world
        .bundle(&[&manifests[..], &["--name", "seed"]].concat())
        .await;
    assert!(
        again
            .stdout
            .starts_with("0 groups archived, 2 archived before\n"),
        "{again}"
    );
}

#[tokio::test]
async fn fieldnames_say_what_the_columns_are() {
    let world = World::new().await;
    // Keys stay as they are where the columns are named.
    world
        .manifest(
            "mine.csv",
            format!("5,source,,{}\n7,source,,\"{}\"\n", KEYS[0], KEYS[3]),
        )
        .await;
    let arguments = [
        "--manifest",
        "s3://manifests/mine.csv",
        "--fieldnames",
        "Size,Bucket,ETag,Key",
    ];
    world.bundle(&arguments).await;
    assert_eq!(
        world.found().await,
        [KEYS[0], KEYS[3]].map(|key| (key.to_owned(), 1)).into()
    );
}

// The seventh counterexample of the commit protocol.
#[tokio::test]
async fn manifests_of_one_name_in_two_places_are_two_groups() {
    let world = World::new().await;
    for (place, keys) in [("a", &KEYS[..2]), ("b", &KEYS[1..3])] {
        world
            .manifest(&format!("{place}/x.index"), seed_manifest(keys))
            .await;
    }
    for place in ["a", "b"] {
        let done = world
            .bundle(&["--manifest", &format!("s3://manifests/{place}/x.index")])
            .await;
        assert!(
            done.stdout
                .starts_with("1 groups archived\n  archived     2 objects"),
            "{done}"
        );
    }
    let times = [(KEYS[0], 1), (KEYS[1], 2), (KEYS[2], 1)];
    assert_eq!(
        world.found().await,
        times.map(|(key, times)| (key.to_owned(), times)).into()
    );
    world.verify("manifests").await;
}

#[tokio::test]
async fn dead_letters_are_a_manifest_to_feed_back_in() {
    let world = World::new().await;
    client::put_object(
        &world.s3,
        "manifests",
        "x.index",
        seed_manifest(&["plain", "late, \"&\""]),
    )
    .await
    .unwrap();
    let done = world
        .bundle(&["--manifest", "s3://manifests/x.index"])
        .await;
    assert!(done.stdout.contains("NoSuchKey"), "{done}");
    client::put_object(&world.s3, "source", "late, \"&\"", "late, \"&\"")
        .await
        .unwrap();
    // Of the run, under its destination: the manifest's own bucket may be read-only.
    let dead_letters = world.archived().keys("groups").await.pop().unwrap();
    assert!(
        dead_letters.starts_with("manifests/x.") && dead_letters.ends_with(".index.dlq"),
        "{dead_letters}"
    );
    assert_eq!(
        client::list_keys(&world.s3, "manifests", "").await.unwrap(),
        ["x.index"]
    );
    world
        .bundle(&[
            "--manifest",
            &format!("s3://archive/p/groups/{dead_letters}"),
            "--name",
            "again",
        ])
        .await;
    assert_eq!(
        world.found().await,
        ["plain", "late, \"&\""]
            .map(|key| (key.to_owned(), 1))
            .into()
    );
    world.verify("again").await;
}

#[tokio::test]
async fn all_manifests_under_a_prefix_are_a_run_of_their_own() {
    let world = World::new().await;
    world
        .manifest("seed/run-key.1.index", seed_manifest(&KEYS[..1]))
        .await;
    world
        .manifest("seed/run-key.2.index", seed_manifest(&KEYS[1..]))
        .await;
    let run = || {
        let program = world::s3bundler().access(world.server.access());
        program.args([
            "run",
            "--manifests",
            "s3://manifests/seed/",
            "--destination",
            "s3://archive/p",
            "--name",
            "seed",
        ])
    };
    let done = run().run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(
        done.stdout.starts_with("run seed is complete: 2 groups"),
        "{done}"
    );
    assert_eq!(
        world.found().await,
        KEYS.map(|key| (key.to_owned(), 1)).into()
    );
    world.verify("seed").await;
    let again = run().run().await.unwrap();
    assert!(
        again
            .stdout
            .starts_with("run seed was complete: 2 groups, nothing to do"),
        "{again}"
    );
}

/// Keys and ETags of everything in the destination.
async fn snapshot(world: &World) -> BTreeMap<String, String> {
    let listed = world
        .s3
        .list_objects_v2()
        .bucket("archive")
        .send()
        .await
        .unwrap();
    assert_ne!(listed.is_truncated(), Some(true));
    let objects = listed.contents.unwrap_or_default().into_iter();
    objects
        .map(|object| (object.key.unwrap(), object.e_tag.unwrap()))
        .collect()
}

/// What differs from an earlier snapshot. New objects do not count.
fn lost(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    before
        .iter()
        .filter(|(key, etag)| after.get(*key) != Some(etag))
        .map(|(key, _)| key.clone())
        .collect()
}

#[tokio::test]
async fn one_manifest_in_two_runs_is_two_archives_also_if_the_sources_were_deleted_in_between() {
    let world = World::new().await;
    world.manifest("seed/x.index", seed_manifest(&KEYS)).await;
    for key in &KEYS[..2] {
        world
            .s3
            .delete_object()
            .bucket("source")
            .key(*key)
            .send()
            .await
            .unwrap();
    }
    let manifest = ["--manifest", "s3://manifests/seed/x.index", "--name"];
    world.bundle(&[&manifest[..], &["first"]].concat()).await;
    let first = snapshot(&world).await;
    for key in &KEYS[2..] {
        world
            .s3
            .delete_object()
            .bucket("source")
            .key(*key)
            .send()
            .await
            .unwrap();
    }
    let done = world.bundle(&[&manifest[..], &["second"]].concat()).await;
    assert!(done.stdout.contains("failed       4 objects"), "{done}");
    assert_eq!(
        lost(&first, &snapshot(&world).await),
        [""; 0],
        "the second run changes nothing of the first"
    );
    assert_eq!(
        world.found().await,
        [(KEYS[2].to_owned(), 1), (KEYS[3].to_owned(), 1)].into()
    );
    for name in ["first", "second"] {
        world.verify(name).await;
        let archived = world.archived().keys("groups").await;
        let dead_letters = archived
            .iter()
            .filter(|key| key.starts_with(&format!("{name}/")))
            .count();
        assert_eq!(dead_letters, 1, "{archived:?}");
    }
}

#[tokio::test]
async fn one_manifest_in_two_runs_at_once_is_two_archives() {
    let world = World::new().await;
    world.manifest("seed/x.index", seed_manifest(&KEYS)).await;
    let bundle = async |name: &str| {
        world
            .bundle(&["--manifest", "s3://manifests/seed/x.index", "--name", name])
            .await;
    };
    tokio::join!(bundle("first"), bundle("second"));
    assert_eq!(
        world.found().await,
        KEYS.map(|key| (key.to_owned(), 2)).into()
    );
    for name in ["first", "second"] {
        world.verify(name).await;
    }
}

#[tokio::test]
async fn dead_letters_that_are_fed_back_under_two_names_and_fail_again_spoil_neither_run() {
    let world = World::new().await;
    client::put_object(
        &world.s3,
        "manifests",
        "x.index",
        seed_manifest(&["plain", "gone"]),
    )
    .await
    .unwrap();
    world
        .bundle(&["--manifest", "s3://manifests/x.index", "--name", "first"])
        .await;
    let dead_letters = format!(
        "s3://archive/p/groups/{}",
        world.archived().keys("groups").await.pop().unwrap()
    );
    let before = snapshot(&world).await;
    // Its own name is one that it may get, too.
    for name in ["again", "once-more", "first"] {
        let done = world
            .bundle(&["--manifest", &dead_letters, "--name", name])
            .await;
        assert!(done.stdout.contains("NoSuchKey"), "{done}");
    }
    assert_eq!(lost(&before, &snapshot(&world).await), [""; 0]);
    for name in ["first", "again", "once-more"] {
        world.verify(name).await;
    }
}

#[tokio::test]
async fn an_existing_manifest_without_rows_or_with_others_than_recorded_is_not_archived() {
    let world = World::new().await;
    let put = async |key: &str, body: &str, metadata: &[(&str, &str)]| {
        let put = world
            .s3
            .put_object()
            .bucket("manifests")
            .key(key)
            .body(body.as_bytes().to_vec().into());
        metadata
            .iter()
            .fold(put, |put, (name, value)| put.metadata(*name, *value))
            .send()
            .await
            .unwrap();
    };
    for (key, body, metadata, words) in [
        (
            "empty.index",
            String::new(),
            &[][..],
            "has no rows: an empty manifest is not a group",
        ),
        (
            "rows.index",
            seed_manifest(&KEYS),
            &[("rows", "5")],
            "has 4 rows, but its writer recorded 5",
        ),
        (
            "md5.index",
            seed_manifest(&KEYS),
            &[("md5", "0cc175b9c0f1b6a831c399e269772661")],
            "has the MD5 ",
        ),
    ] {
        put(key, &body, metadata).await;
        let manifest = format!("s3://manifests/{key}");
        let program = world::s3bundler().access(world.server.access());
        let program = program.args(["bundle", "--destination", "s3://archive/p", "--name", "run"]);
        let done = program.args(["--manifest", &manifest]).run().await.unwrap();
        assert_eq!(done.code, Some(3), "{key}: {done}");
        assert!(
            done.stderr.contains(&manifest) && done.stderr.contains(words),
            "{key}: {done}"
        );
        let there = client::list_keys(&world.s3, "archive", "").await.unwrap();
        assert_eq!(there, [""; 0], "{key}");
    }
    // Metadata of other programs under these names is not compared.
    put(
        "others.index",
        &seed_manifest(&KEYS),
        &[("rows", "four"), ("md5", "DMF1ucDxtqgxw5niaXcmYQ==")],
    )
    .await;
    world
        .bundle(&["--manifest", "s3://manifests/others.index", "--name", "run"])
        .await;
    assert_eq!(
        world.found().await,
        KEYS.map(|key| (key.to_owned(), 1)).into()
    );
}
