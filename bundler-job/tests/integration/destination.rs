//! What goes with requests: owners with every one, encryption with all that is written, tags on
//! archives, indexes and copies, as a proxy sees them and as the server keeps them.

use std::collections::BTreeMap;

use crate::world;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::ServerSideEncryption;
use s3bundler_contract::ExitCode;
use s3bundler_testbed::cli::Program;
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, inventory_of_bucket};
use s3bundler_testbed::proxy::{Fault, Operation, Proxy, Seen};
use s3bundler_testbed::servers::Moto;

const OWNER: &str = "x-amz-expected-bucket-owner";
const SOURCE_OWNER: &str = "x-amz-source-expected-bucket-owner";
const ENCRYPTION: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
/// Moto gives every bucket to this account.
const ACCOUNT: &str = "123456789012";
/// The source's, as these tests say: moto does not look at headers of owners, so the two can be
/// told apart.
const OTHER: &str = "210987654321";
const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const OPTIONS: [&str; 12] = [
    "--encryption",
    "sse-kms",
    "--kms-key-id",
    KEY,
    "--tag",
    "team=a b",
    "--tag",
    "cost=1=2",
    "--source-owner",
    OTHER,
    "--destination-owner",
    ACCOUNT,
];

/// A server with two small objects and a large, tagged one, their inventory, and an empty
/// destination.
struct Scene {
    _moto: Moto,
    proxy: Proxy,
    s3: Client,
    inventory: String,
}

impl Scene {
    async fn new() -> Self {
        let moto = Moto::start().await.unwrap();
        let s3 = client::s3(moto.access());
        for bucket in ["source", "inventories", "archive"] {
            client::create_bucket(&s3, bucket).await.unwrap();
        }
        client::put_objects(&s3, "source", [("a", "1234"), ("b", "5678")])
            .await
            .unwrap();
        let large = s3
            .put_object()
            .bucket("source")
            .key("large")
            .body(vec![7; 5000].into());
        large
            .tagging("team=source&kept=yes")
            .metadata("m", "1")
            .send()
            .await
            .unwrap();
        let inventory = inventory_of_bucket(&s3, &Inventory::new("source", "inventories"))
            .await
            .unwrap()
            .manifest;
        Self {
            proxy: Proxy::start(moto.access()).unwrap(),
            _moto: moto,
            s3,
            inventory,
        }
    }

    fn program(&self, command: &str) -> Program {
        let program = world::s3bundler().access(self.proxy.access());
        // Moto's CRC64NVME is none.
        program.args([
            command,
            "--name",
            "r",
            "--destination",
            "s3://archive/p",
            "--no-crc64nvme",
        ])
    }

    fn run(&self) -> Program {
        self.program("run")
            .args(["--inventory", &self.inventory, "--max-object-size", "1000"])
            .args(OPTIONS)
    }

    /// The keys of the destination by what they are.
    async fn written(&self) -> BTreeMap<&'static str, Vec<String>> {
        let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for key in client::list_keys(&self.s3, "archive", "").await.unwrap() {
            let kind = match () {
                () if key.ends_with(".tar") => "archive",
                () if key.starts_with("p/archives/") && key.ends_with(".index") => "index",
                () if key.ends_with(".metadata") => "metadata",
                () if key.starts_with("p/objects/") => "copy",
                () if key.starts_with("p/catalog/") => "catalog",
                () if key.starts_with("p/receipts/") => "receipt",
                () => "other",
            };
            kinds.entry(kind).or_default().push(key);
        }
        kinds
    }

    async fn tags(&self, key: &str) -> Vec<String> {
        let tags = self
            .s3
            .get_object_tagging()
            .bucket("archive")
            .key(key)
            .send()
            .await
            .unwrap();
        let mut tags: Vec<_> = tags
            .tag_set()
            .iter()
            .map(|tag| format!("{}: {}", tag.key(), tag.value()))
            .collect();
        tags.sort();
        tags
    }
}

fn header<'a>(seen: &'a Seen, name: &str) -> Option<&'a str> {
    seen.headers.get(name).map(|value| value.to_str().unwrap())
}

/// Owner and encryption of every request, and that they are signed.
fn assert_headers(seen: &[Seen]) {
    for seen in seen {
        let what = format!("{:?} {}", seen.operation, seen.path);
        let destination = seen.bucket() == "archive";
        assert_eq!(
            header(seen, OWNER),
            Some(if destination { ACCOUNT } else { OTHER }),
            "{what}"
        );
        let copies = matches!(
            seen.operation,
            Operation::CopyObject | Operation::UploadPartCopy
        );
        assert_eq!(
            header(seen, SOURCE_OWNER),
            copies.then_some(OTHER),
            "{what}"
        );
        let writes = matches!(
            seen.operation,
            Operation::PutObject | Operation::CreateMultipartUpload | Operation::CopyObject
        );
        assert!(destination || !writes, "{what}");
        assert_eq!(
            header(seen, ENCRYPTION),
            writes.then_some("aws:kms"),
            "{what}"
        );
        assert_eq!(header(seen, KMS_KEY), writes.then_some(KEY), "{what}");
        let authorization = header(seen, "authorization").unwrap();
        let signed = authorization
            .split("SignedHeaders=")
            .nth(1)
            .unwrap()
            .split(',')
            .next()
            .unwrap();
        for name in [OWNER, SOURCE_OWNER, ENCRYPTION, KMS_KEY, "x-amz-tagging"] {
            assert_eq!(
                signed.split(';').any(|it| it == name),
                header(seen, name).is_some(),
                "{what}: {name}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_sends_owners_encryption_and_tags_with_what_they_are_for() {
    let scene = Scene::new().await;
    let done = scene.run().run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    let seen = scene.proxy.take_seen();
    assert_headers(&seen);
    for operation in [
        Operation::GetObject,
        Operation::GetObjectTagging,
        Operation::PutObject,
        Operation::CreateMultipartUpload,
        Operation::UploadPart,
        Operation::CopyObject,
        Operation::ListObjectsV2,
    ] {
        assert!(
            seen.iter().any(|seen| seen.operation == operation),
            "no {operation:?}"
        );
    }

    let written = scene.written().await;
    for (kind, tags) in [
        ("archive", &["cost: 1=2", "team: a b"][..]),
        ("index", &["cost: 1=2", "team: a b"]),
        ("copy", &["cost: 1=2", "kept: yes", "team: a b"]),
        ("metadata", &[]),
        ("catalog", &[]),
        ("receipt", &[]),
        ("other", &[]),
    ] {
        assert!(!written[kind].is_empty(), "{kind}");
        for key in &written[kind] {
            assert_eq!(scene.tags(key).await, tags, "{key}");
            let head = scene
                .s3
                .head_object()
                .bucket("archive")
                .key(key)
                .send()
                .await
                .unwrap();
            assert_eq!(
                head.server_side_encryption()
                    .map(ServerSideEncryption::as_str),
                Some("aws:kms"),
                "{key}"
            );
            assert_eq!(head.ssekms_key_id(), Some(KEY), "{key}");
        }
    }
    let copy = scene
        .s3
        .head_object()
        .bucket("archive")
        .key(&written["copy"][0])
        .send()
        .await
        .unwrap();
    assert_eq!(copy.metadata().unwrap()["m"], "1");

    // An index that was lost is written again as it was.
    let index = &written["index"][0];
    scene
        .s3
        .delete_object()
        .bucket("archive")
        .key(index)
        .send()
        .await
        .unwrap();
    let repaired = scene
        .program("verify")
        .arg("--repair")
        .args(OPTIONS)
        .run()
        .await
        .unwrap();
    assert_eq!(repaired.code, Some(0), "{repaired}");
    assert_headers(&scene.proxy.take_seen());
    assert_eq!(scene.tags(index).await, ["cost: 1=2", "team: a b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_options_nothing_is_sent() {
    let scene = Scene::new().await;
    let run =
        scene
            .program("run")
            .args(["--inventory", &scene.inventory, "--max-object-size", "1000"]);
    let done = run.run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    for seen in scene.proxy.take_seen() {
        for name in [
            OWNER,
            SOURCE_OWNER,
            ENCRYPTION,
            KMS_KEY,
            "x-amz-tagging",
            "x-amz-tagging-directive",
        ] {
            assert_eq!(
                header(&seen, name),
                None,
                "{:?} {}",
                seen.operation,
                seen.path
            );
        }
    }
    // As before: the source's tags are carried.
    assert_eq!(
        scene.tags(&scene.written().await["copy"][0]).await,
        ["kept: yes", "team: source"]
    );
}

/// Moto answers whoever names the wrong owner too, so the proxy refuses it as S3 does ("Verifying
/// bucket ownership with bucket owner condition", S3 user guide).
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_another_account_ends_a_run_in_7_with_nothing_archived() {
    let scene = Scene::new().await;
    scene.proxy.rule(|seen| {
        let owner = if seen.bucket() == "archive" {
            ACCOUNT
        } else {
            OTHER
        };
        let refused = header(seen, OWNER).is_some_and(|named| named != owner);
        if refused {
            Fault::FailBefore {
                status: 403,
                code: "AccessDenied",
            }
        } else {
            Fault::Forward
        }
    });
    for (source, destination) in [(ACCOUNT, ACCOUNT), (OTHER, OTHER)] {
        let run = scene.program("run").args(["--inventory", &scene.inventory]);
        let done = run
            .args(["--source-owner", source, "--destination-owner", destination])
            .run()
            .await
            .unwrap();
        assert_eq!(
            done.code,
            Some(ExitCode::Permission.code().into()),
            "{done}"
        );
        let written = scene.written().await;
        assert!(
            !written.contains_key("archive") && !written.contains_key("receipt"),
            "{written:?}"
        );
    }
    let run = scene.program("run").args(["--inventory", &scene.inventory]);
    let done = run
        .args(["--source-owner", OTHER, "--destination-owner", ACCOUNT])
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_make_no_sense_end_in_6_before_anything_is_asked() {
    let scene = Scene::new().await;
    let eleven: Vec<String> = (0..11)
        .flat_map(|n| ["--tag".to_owned(), format!("t{n}=")])
        .collect();
    let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
    for (options, named) in [
        (&["--kms-key-id", KEY][..], "--kms-key-id"),
        (
            &["--kms-key-id", KEY, "--encryption", "sse-s3"],
            "--kms-key-id",
        ),
        (&["--tag", "novalue"], "KEY=VALUE"),
        (&["--tag", "a=1", "--tag", "a=2"], "--tag"),
        (&eleven, "11 tags"),
        (&["--source-owner", "12345"], "12 digits"),
        (&["--destination-owner", "12345678901x"], "12 digits"),
    ] {
        let run = scene
            .program("run")
            .args(["--inventory", &scene.inventory])
            .args(options);
        let done = run.run().await.unwrap();
        assert_eq!(
            done.code,
            Some(ExitCode::Usage.code().into()),
            "{options:?}: {done}"
        );
        assert!(done.stderr.contains(named), "{options:?}: {done}");
    }
    assert_eq!(scene.proxy.requests(), 0);
}
