//! A run that an earlier release wrote (`golden/run/README.md`): it verifies byte for byte, and
//! nothing of it is deleted, moved or written again.

use std::collections::BTreeMap;
use std::path::Path;

use crate::world;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::ChecksumAlgorithm;
use s3bundler_testbed::cli::Outcome;
use s3bundler_testbed::client;
use s3bundler_testbed::servers::Moto;
use serde::Deserialize;

const BUCKET: &str = "archive";

#[derive(Deserialize)]
struct Object {
    file: String,
    bucket: String,
    key: String,
    metadata: BTreeMap<String, String>,
}

struct World {
    server: Moto,
    s3: Client,
}

impl World {
    async fn new() -> Self {
        let server = Moto::start().await.unwrap();
        let s3 = client::s3(server.access());
        for bucket in ["manifests", BUCKET] {
            client::create_bucket(&s3, bucket).await.unwrap();
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/run");
        let objects: Vec<Object> =
            serde_json::from_slice(&std::fs::read(folder.join("objects.json")).unwrap()).unwrap();
        for Object {
            file,
            bucket,
            key,
            metadata,
        } in objects
        {
            let body = std::fs::read(folder.join(file)).unwrap();
            let put = s3
                .put_object()
                .bucket(bucket)
                .key(key)
                .set_metadata(Some(metadata.into_iter().collect()));
            put.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                .body(body.into())
                .send()
                .await
                .unwrap();
        }
        Self { server, s3 }
    }

    async fn s3bundler(&self, args: &[&str]) -> Outcome {
        let program = world::s3bundler().access(self.server.access());
        program
            .args(
                [
                    args,
                    &["--destination", "s3://archive/p", "--name", "golden"],
                ]
                .concat(),
            )
            .run()
            .await
            .unwrap()
    }

    /// Keys and ETags of everything in both buckets.
    async fn snapshot(&self) -> BTreeMap<String, String> {
        let mut objects = BTreeMap::new();
        for bucket in ["manifests", BUCKET] {
            let listed = self
                .s3
                .list_objects_v2()
                .bucket(bucket)
                .send()
                .await
                .unwrap();
            let listed = listed.contents.unwrap_or_default().into_iter();
            objects.extend(
                listed.map(|it| (format!("{bucket}/{}", it.key.unwrap()), it.e_tag.unwrap())),
            );
        }
        objects
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        client::list_keys(&self.s3, BUCKET, prefix).await.unwrap()
    }

    async fn delete(&self, key: &str) {
        self.s3
            .delete_object()
            .bucket(BUCKET)
            .key(key)
            .send()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_run_of_an_earlier_release_verifies_byte_for_byte() {
    let world = World::new().await;
    let before = world.snapshot().await;
    for args in [
        &["verify"][..],
        &["verify", "--full"],
        &["verify", "--repair"],
    ] {
        let done = world.s3bundler(args).await;
        assert_eq!(done.code, Some(0), "{done}");
        assert!(
            done.stdout.contains("3 groups, 6 rows")
                && done.stdout.contains("3 rows of other manifests"),
            "{done}"
        );
    }
    let full = world.s3bundler(&["verify", "--full"]).await;
    assert!(
        full.stdout.contains("read       5 members, byte for byte"),
        "{full}"
    );
    assert_eq!(world.snapshot().await, before);
}

#[tokio::test]
async fn archives_of_an_earlier_release_are_used_and_never_swept() {
    let world = World::new().await;
    let archives = world.keys("p/archives/").await;
    let archive = archives
        .iter()
        .find(|key| key.contains("/x.") && key.ends_with(".tar"))
        .unwrap();
    assert!(!archive.contains("run="), "{archive}");
    // What may be the archive of another run of the same manifest.
    let (stem, _) = archive.rsplit_once('-').unwrap();
    let anothers = format!("{stem}-aaaaaaaa.tar");
    client::put_object(&world.s3, BUCKET, &anothers, "another run's")
        .await
        .unwrap();
    world
        .delete(&world.keys("p/receipts/golden/x.").await[0])
        .await;
    let before = world.snapshot().await;
    let done = world
        .s3bundler(&["bundle", "--manifest", "s3://manifests/other/x.index"])
        .await;
    assert_eq!(done.code, Some(0), "{done}");
    assert!(
        done.stdout
            .starts_with("0 groups archived, 1 archived before\n"),
        "{done}"
    );
    let after = world.snapshot().await;
    let lost: Vec<_> = before
        .iter()
        .filter(|(key, etag)| after.get(*key) != Some(etag))
        .collect();
    assert_eq!(lost, [], "everything is as it was");
    assert_eq!(world.keys("p/receipts/golden/x.").await.len(), 1);
    for args in [&["verify", "--full"][..], &["verify", "--repair"]] {
        let done = world.s3bundler(args).await;
        assert_eq!(done.code, Some(0), "{done}");
    }
    assert!(world.keys("p/archives/").await.contains(&anothers));
}

#[tokio::test]
async fn dead_letters_of_an_earlier_release_that_are_gone_are_written_under_the_destination() {
    let world = World::new().await;
    world
        .s3
        .delete_object()
        .bucket("manifests")
        .key("other/x.index.dlq")
        .send()
        .await
        .unwrap();
    let done = world.s3bundler(&["verify"]).await;
    assert_eq!(done.code, Some(8), "{done}");
    let done = world.s3bundler(&["verify", "--repair"]).await;
    assert_eq!(done.code, Some(0), "{done}");
    let dead_letters = world.keys("p/groups/golden/x.").await;
    assert!(
        matches!(&dead_letters[..], [one] if one.ends_with(".index.dlq")),
        "{dead_letters:?}"
    );
}
