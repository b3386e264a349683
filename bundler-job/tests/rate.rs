//! The limit of requests a second, counted by the proxy in front of a real server.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::time::Instant;

use s3bundler_testbed::cli::Program;
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Operation, Proxy};
use s3bundler_testbed::servers::Moto;

/// Objects of the only group.
const OBJECTS: u32 = 8;
/// Requests a second.
const RATE: u32 = 5;

#[tokio::test]
async fn copies_and_their_reads_of_the_source_count_toward_the_requests_a_second() {
    let moto = Moto::start().await.unwrap();
    let s3 = client::s3(moto.access());
    for bucket in ["objects", "archives"] {
        client::create_bucket(&s3, bucket).await.unwrap();
    }
    let keys: Vec<_> = (0..OBJECTS).map(|n| format!("k{n}")).collect();
    client::put_objects(&s3, "objects", keys.iter().map(|key| (key.clone(), "0123456789"))).await.unwrap();
    let rows: Vec<_> = keys.iter().map(|key| format!("objects,{key},10\n")).collect();
    client::put_object(&s3, "archives", "manifests/1.index", rows.concat()).await.unwrap();
    for (size, least) in [("1", 2 * OBJECTS), ("1KiB", OBJECTS)] {
        let proxy = Proxy::start(moto.access()).unwrap();
        let begun = Instant::now();
        let done = Program::new(env!("CARGO_BIN_EXE_s3bundler"))
            .access(proxy.access())
            .args(["bundle", "--destination", &format!("s3://archives/{size}"), "--manifest"])
            .args(["s3://archives/manifests/1.index", "--max-object-size", size])
            .args(["--max-requests-per-second", &RATE.to_string()])
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(0), "{done}");
        let log = proxy.log();
        let reads = log.iter().filter(|it| {
            let copies = matches!(it.request.operation, Operation::CopyObject | Operation::UploadPartCopy);
            it.request.bucket() == "objects" || copies
        });
        let reads = u32::try_from(reads.count()).unwrap();
        assert!(reads >= least, "{size}: {reads}");
        // However loaded the machine is, fewer seconds than this would be more requests a second.
        let seconds = f64::from(reads - 1) / f64::from(RATE);
        assert!(begun.elapsed().as_secs_f64() >= seconds, "{size}: {reads} in {:?}", begun.elapsed());
    }
}
