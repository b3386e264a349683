//! What the inventory writer writes is what a reader of the S3 user guide would expect.

use std::collections::BTreeSet;
use std::io::Read;

use data_encoding::HEXLOWER;
use flate2::read::MultiGzDecoder;
use md5::{Digest, Md5};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{
    Checksum, Column, Inventory, Published, RawShard, Row, Synthetic, gzip, inventory_of_bucket,
    shard_of,
};
use s3bundler_testbed::servers::{Moto, VersityGw};
use serde_json::{Value, json};

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(bytes)
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn md5(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Md5::digest(bytes))
}

/// Reads an inventory back from S3, checking every checksum and size on the way, and gives the
/// manifest and all lines.
async fn read_back(
    s3: &aws_sdk_s3::Client,
    bucket: &str,
    published: &Published,
) -> (Value, Vec<String>) {
    assert_eq!(
        published.manifest,
        format!("s3://{bucket}/{}", published.manifest_key)
    );
    let manifest = client::get_bytes(s3, bucket, &published.manifest_key)
        .await
        .unwrap();
    let checksum_key = published
        .manifest_key
        .replace("manifest.json", "manifest.checksum");
    assert_eq!(
        client::get_bytes(s3, bucket, &checksum_key).await.unwrap(),
        format!("{}\n", md5(&manifest))
    );
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let mut lines = Vec::new();
    for file in manifest["files"].as_array().unwrap() {
        let data = client::get_bytes(s3, bucket, file["key"].as_str().unwrap())
            .await
            .unwrap();
        assert_eq!(file["size"], data.len());
        assert_eq!(file["MD5checksum"], md5(&data));
        lines.extend(gunzip(&data).split_terminator('\n').map(str::to_owned));
    }
    (manifest, lines)
}

#[tokio::test]
async fn rows_come_back_in_shards_whose_checksums_agree() {
    let server = VersityGw::start().await.unwrap();
    let s3 = client::s3(server.access());
    client::create_bucket(&s3, "inventories").await.unwrap();
    let inventory = Inventory::new("source", "inventories")
        .rows_per_shard(40)
        .created("2024-05-07T01:00:30Z".parse().unwrap());
    let published = inventory.publish(&s3, Synthetic::rows(100)).await.unwrap();
    assert_eq!(published.rows, 100);
    assert_eq!(
        published.manifest_key,
        "inventory/source/daily/2024-05-07T01-00Z/manifest.json"
    );
    let (manifest, lines) = read_back(&s3, "inventories", &published).await;
    assert_eq!(lines.len(), 100);
    assert_eq!(manifest["files"].as_array().unwrap().len(), 3);
    assert!(
        manifest["files"][0]["key"]
            .as_str()
            .unwrap()
            .starts_with("inventory/source/daily/data/")
    );
    assert_eq!(manifest["sourceBucket"], "source");
    assert_eq!(manifest["destinationBucket"], "arn:aws:s3:::inventories");
    assert_eq!(manifest["version"], "2016-11-30");
    assert_eq!(manifest["creationTimestamp"], "1715043630000");
    assert_eq!(manifest["fileFormat"], "CSV");
    assert_eq!(
        manifest["fileSchema"],
        "Bucket, Key, Size, LastModifiedDate, ETag, StorageClass"
    );
}

#[tokio::test]
async fn repeated_rows_are_in_data_files_of_their_own() {
    let server = VersityGw::start().await.unwrap();
    let s3 = client::s3(server.access());
    client::create_bucket(&s3, "inventories").await.unwrap();
    let inventory = Inventory::new("source", "inventories").rows_per_shard(40);
    let published = inventory
        .publish_repeated(&s3, Synthetic::rows(100), 3)
        .await
        .unwrap();
    assert_eq!(published.rows, 300);
    let keys: BTreeSet<_> = published.files.iter().map(|file| &file.key).collect();
    assert_eq!(keys.len(), 9);
    let (_, lines) = read_back(&s3, "inventories", &published).await;
    assert_eq!(lines.len(), 300);
    assert_eq!(lines[..100], lines[200..]);
}

#[test]
fn lines_are_those_of_s3() {
    // Values as in inventories that S3 delivered.
    let columns = &Column::ALL[..18];
    let rows = [
        Row::new("inventory-test/key 1", 5)
            .version("tpinzcbxOfWpZsmjvVgdHEvSohsY4TA0", true)
            .etag("d8e8fca2dc0f896fd7cb4cb0031ba249")
            .last_modified("2024-05-06T22:44:22Z".parse().unwrap()),
        Row::delete_marker(
            "inventory-test/key2",
            "gdN1exfZmD7m713patv8dlQ7fTNwle3v",
            true,
        )
        .last_modified("2024-05-06T22:46:14Z".parse().unwrap()),
    ];
    let text = gunzip(&shard_of("bucket", columns, &rows).unwrap());
    assert_eq!(
        text,
        concat!(
            r#""bucket","inventory-test/key+1","tpinzcbxOfWpZsmjvVgdHEvSohsY4TA0","true","false","5","2024-05-06T22:44:22.000Z","d8e8fca2dc0f896fd7cb4cb0031ba249","STANDARD","false","","SSE-S3","","","","","DISABLED","""#,
            "\n",
            r#""bucket","inventory-test/key2","gdN1exfZmD7m713patv8dlQ7fTNwle3v","true","true","","2024-05-06T22:46:14.000Z","","","","","","","","","","DISABLED","""#,
            "\n",
        )
    );
}

#[tokio::test]
async fn the_inventory_of_a_bucket_has_its_objects() {
    let server = VersityGw::start().await.unwrap();
    let s3 = client::s3(server.access());
    client::create_bucket(&s3, "source").await.unwrap();
    client::create_bucket(&s3, "inventories").await.unwrap();
    client::put_objects(
        &s3,
        "source",
        (0..1500).map(|n| (format!("folder {}/{n:04}", n % 7), "body")),
    )
    .await
    .unwrap();
    let inventory = Inventory::new("source", "inventories").columns(Column::all_current());
    let published = inventory_of_bucket(&s3, &inventory).await.unwrap();
    let (_, lines) = read_back(&s3, "inventories", &published).await;
    assert_eq!(lines.len(), 1500);
    assert!(
        lines[0].starts_with(r#""source","folder+0/0000","4","20"#),
        "{}",
        lines[0]
    );
    assert!(
        lines[0].contains(&format!(r#","{}","STANDARD","false","#, md5(b"body"))),
        "{}",
        lines[0]
    );
}

#[tokio::test]
async fn the_inventory_of_all_versions_has_delete_markers_and_the_null_version() {
    let server = Moto::start().await.unwrap();
    let s3 = client::s3(server.access());
    client::create_bucket(&s3, "inventories").await.unwrap();
    client::create_bucket(&s3, "source").await.unwrap();
    client::put_object(&s3, "source", "a", "null version")
        .await
        .unwrap();
    s3.put_bucket_versioning()
        .bucket("source")
        .versioning_configuration(
            aws_sdk_s3::types::VersioningConfiguration::builder()
                .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
                .build(),
        )
        .send()
        .await
        .unwrap();
    client::put_object(&s3, "source", "a", "second")
        .await
        .unwrap();
    s3.delete_object()
        .bucket("source")
        .key("a")
        .send()
        .await
        .unwrap();
    let inventory = Inventory::new("source", "inventories").columns(Column::VERSIONS);
    let published = inventory_of_bucket(&s3, &inventory).await.unwrap();
    let (_, lines) = read_back(&s3, "inventories", &published).await;
    let cells: Vec<Vec<&str>> = lines
        .iter()
        .map(|line| line.trim_matches('"').split("\",\"").collect())
        .collect();
    assert_eq!(cells.len(), 3);
    assert_eq!(&cells[0][3..6], ["true", "true", ""]);
    assert_eq!(&cells[1][3..6], ["false", "false", "6"]);
    assert_eq!(&cells[2][2..6], ["", "false", "false", "12"]);
}

#[tokio::test]
async fn bad_inventories_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let inventory = Inventory::new("source", "inventories").checksum(Checksum::Missing);
    let shard = RawShard {
        extension: "csv.gz".into(),
        bytes: gzip(b"not a row").unwrap().into(),
    };
    let published = inventory
        .publish_edited(folder.path(), [shard], |manifest| {
            manifest["files"][0]["MD5checksum"] = json!("00");
        })
        .await
        .unwrap();
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(&published.manifest).unwrap()).unwrap();
    assert_eq!(manifest["files"][0]["MD5checksum"], "00");
    assert!(!std::path::Path::new(&published.manifest.replace(".json", ".checksum")).exists());
    let data = std::fs::read(folder.path().join(&published.files[0].key)).unwrap();
    assert_eq!(gunzip(&data), "not a row");
    assert_eq!(
        Row::new("a b", 1)
            .with(Column::Key, "bad%zz")
            .cell(Column::Key, "source"),
        "bad%zz"
    );
}

#[tokio::test]
async fn a_synthetic_inventory_is_the_same_again_for_the_same_seed() {
    let folder = tempfile::tempdir().unwrap();
    let inventory = Inventory::new("source", "inventories")
        .rows_per_shard(3000)
        .compression(1);
    let first = inventory
        .publish(folder.path(), Synthetic::rows(10_000))
        .await
        .unwrap();
    let second = inventory
        .publish(folder.path(), Synthetic::rows(10_000))
        .await
        .unwrap();
    let other = inventory
        .publish(folder.path(), Synthetic::rows(10_000).seed(2))
        .await
        .unwrap();
    let sums = |published: &Published| {
        published
            .files
            .iter()
            .map(|file| file.md5.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(first.files.len(), 4);
    assert_eq!(sums(&first), sums(&second));
    assert_ne!(sums(&first), sums(&other));
}
