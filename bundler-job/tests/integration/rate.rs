//! The limit of requests a second, counted by the proxy in front of a real server.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::world;
use crate::world::large::{Large, PARTS};
use s3bundler_testbed::cli::Outcome;
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::Moto;

/// Objects of the only group.
const OBJECTS: u32 = 8;
/// Requests a second.
const RATE: u32 = 5;
/// The same where parts are copied.
const PARTS_A_SECOND: u32 = 30;

/// A server with a group of so many objects.
async fn scene(objects: u32) -> Moto {
    let moto = Moto::start().await.unwrap();
    let s3 = client::s3(moto.access());
    for bucket in ["objects", "archives"] {
        client::create_bucket(&s3, bucket).await.unwrap();
    }
    let keys: Vec<_> = (0..objects).map(|n| format!("k{n}")).collect();
    client::put_objects(
        &s3,
        "objects",
        keys.iter().map(|key| (key.clone(), "0123456789")),
    )
    .await
    .unwrap();
    let rows: Vec<_> = keys
        .iter()
        .map(|key| format!("objects,{key},10\n"))
        .collect();
    client::put_object(&s3, "archives", "manifests/1.index", rows.concat())
        .await
        .unwrap();
    moto
}

/// Archives the group through the proxy, under a prefix of its own.
async fn bundle(proxy: &Proxy, prefix: &str, options: &[&str]) -> Outcome {
    let destination = format!("s3://archives/{prefix}");
    let program = world::s3bundler().access(proxy.access());
    let program = program.args(["bundle", "--destination", &destination, "--manifest"]);
    let done = program
        .arg("s3://archives/manifests/1.index")
        .args(options)
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    done
}

/// Requests that read the source.
fn reads(proxy: &Proxy) -> u32 {
    let log = proxy.log();
    let reads = log.iter().filter(|it| {
        let copies = matches!(
            it.request.operation,
            Operation::CopyObject | Operation::UploadPartCopy
        );
        it.request.bucket() == "objects" || copies
    });
    u32::try_from(reads.count()).unwrap()
}

#[tokio::test]
async fn copies_and_their_reads_of_the_source_count_toward_the_requests_a_second() {
    let moto = scene(OBJECTS).await;
    let parts = u32::try_from(PARTS).unwrap();
    for (prefix, size, large, least) in [
        ("copied", "1", false, 2 * OBJECTS),
        ("archived", "1KiB", false, OBJECTS),
        // Every part is a request to the source.
        ("parts", "1", true, OBJECTS * (1 + parts)),
    ] {
        let proxy = Proxy::start(moto.access()).unwrap();
        if large {
            let large = Large::of("objects");
            proxy.rule(move |seen| large.fault(seen));
        }
        let begun = Instant::now();
        let rate = if large { PARTS_A_SECOND } else { RATE };
        let options = [
            "--max-object-size",
            size,
            "--max-requests-per-second",
            &rate.to_string(),
        ];
        bundle(&proxy, prefix, &options).await;
        let reads = reads(&proxy);
        assert!(reads >= least, "{prefix}: {reads}");
        // However loaded the machine is, fewer seconds than this would be more requests a second.
        let seconds = f64::from(reads - 1) / f64::from(rate);
        assert!(
            begun.elapsed().as_secs_f64() >= seconds,
            "{prefix}: {reads} in {:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn parts_of_a_copy_that_are_refused_are_copied_in_the_same_upload() {
    let moto = scene(1).await;
    let proxy = Proxy::start(moto.access()).unwrap();
    let (large, refused) = (Large::of("objects"), AtomicU32::new(0));
    // The SDK tries a request six times.
    proxy.rule(move |seen| {
        let is_part =
            seen.operation == Operation::UploadPartCopy && seen.query.contains("partNumber=3");
        if is_part && refused.fetch_add(1, Ordering::Relaxed) < 7 {
            Fault::Throttle
        } else {
            large.fault(seen)
        }
    });
    let done = bundle(&proxy, "refused", &["--max-object-size", "1"]).await;
    assert!(
        done.stdout.contains("copied       1 objects, 5.00 GiB"),
        "{done}"
    );
    assert!(done.stdout.contains("failed       0 objects"), "{done}");
    assert_eq!(proxy.count(Operation::CreateMultipartUpload), 1, "{done}");
    assert_eq!(proxy.count(Operation::UploadPartCopy), PARTS + 7, "{done}");
}
