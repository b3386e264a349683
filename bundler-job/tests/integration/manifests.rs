//! Group manifests that arrive damaged, on a real server behind the fault proxy. Their answers look
//! whole: the length is right and the ETag is not an MD5, as under SSE-KMS. So only what the
//! grouper recorded of their content tells.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::world::{self, PREFIX, RUN, World, assert_whole, gets};
use aws_sdk_s3::types::ChecksumMode;
use bytes::Bytes;
use s3bundler_contract::ExitCode;
use s3bundler_testbed::cli::{Outcome, Program};
use s3bundler_testbed::client;
use s3bundler_testbed::proxy::{Fault, Proxy};

const METADATA: &str = "x-amz-meta-";

/// A world of one group, whose manifest the proxy can answer for.
struct Bench {
    world: World,
    proxy: Proxy,
}

/// The manifest as the grouper wrote it.
struct Written {
    body: Bytes,
    etag: String,
    metadata: Vec<(String, String)>,
}

impl Bench {
    async fn new() -> Self {
        let world = World::of_groups(1).await;
        let proxy = Proxy::start(world.access()).unwrap();
        Self { world, proxy }
    }

    /// A destination with the run's group in it, which no worker has seen.
    async fn grouped(&self, bucket: &str) -> (String, Written) {
        let bucket = self.world.destination(bucket).await;
        let group = self
            .program("group", &bucket)
            .args(["--inventory", &self.world.inventory]);
        let done = group
            .arg("--max-objects")
            .arg(world::ROWS.to_string())
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(0), "{done}");
        let head = self
            .world
            .s3
            .head_object()
            .bucket(&bucket)
            .key(manifest_key())
            .send()
            .await
            .unwrap();
        let body = client::get_bytes(&self.world.s3, &bucket, &manifest_key())
            .await
            .unwrap();
        let metadata = head.metadata().unwrap().clone().into_iter().collect();
        (
            bucket,
            Written {
                body,
                etag: head.e_tag().unwrap().to_owned(),
                metadata,
            },
        )
    }

    /// A command on a run's place in a bucket, straight to the server.
    fn program(&self, command: &str, bucket: &str) -> Program {
        let program = world::s3bundler().access(self.world.access());
        let destination = format!("s3://{bucket}/{PREFIX}");
        program.args([command, "--name", RUN, "--destination", &destination])
    }

    /// `bundle` of the manifest by its address, so that no message says anything of it, through the
    /// proxy.
    async fn bundle(&self, bucket: &str) -> Outcome {
        let manifest = format!("s3://{bucket}/{}", manifest_key());
        let program = self
            .program("bundle", bucket)
            .args(["--manifest", &manifest]);
        program.access(self.proxy.access()).run().await.unwrap()
    }

    /// `run`, whose messages say what the manifest holds, through the proxy.
    async fn run(&self, bucket: &str) -> Outcome {
        self.world
            .program(bucket)
            .access(self.proxy.access())
            .run()
            .await
            .unwrap()
    }

    /// From now on GETs of the manifest bring this body, with the metadata of these names alone.
    fn answer(&self, written: &Written, body: &Bytes, names: &[&str]) {
        self.answer_times(written, body, names, usize::MAX);
    }

    /// The same for the next so many GETs.
    fn answer_times(&self, written: &Written, body: &Bytes, names: &[&str], times: usize) {
        let mut headers = vec![
            ("etag".to_owned(), written.etag.clone()),
            (
                "x-amz-server-side-encryption".to_owned(),
                "aws:kms".to_owned(),
            ),
        ];
        let said = written
            .metadata
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()));
        headers.extend(said.map(|(name, value)| (format!("{METADATA}{name}"), value.clone())));
        assert_eq!(headers.len(), 2 + names.len(), "{:?}", written.metadata);
        let (body, answered) = (body.clone(), AtomicUsize::new(0));
        self.proxy.rule(move |seen| {
            let is_manifest = gets(seen, "groups") && seen.key().ends_with(".index");
            if is_manifest && answered.fetch_add(1, Ordering::SeqCst) < times {
                return Fault::Respond {
                    status: 200,
                    headers: headers.clone(),
                    body: body.clone(),
                };
            }
            Fault::Forward
        });
    }

    /// Nothing of the group counts, and nothing of it is left: what is there is what the grouper
    /// wrote.
    async fn assert_nothing_committed(&self, bucket: &str, case: &str) {
        let there = client::list_keys(&self.world.s3, bucket, &format!("{PREFIX}/"))
            .await
            .unwrap();
        let kinds: BTreeSet<_> = there
            .iter()
            .map(|key| key[PREFIX.len() + 1..].split('/').next().unwrap())
            .collect();
        assert_eq!(kinds, ["groups", "runs"].into(), "{case}: {there:?}");
        assert_eq!(self.world.open_uploads(bucket).await, [], "{case}");
    }
}

fn manifest_key() -> String {
    format!("{PREFIX}/groups/{RUN}/{RUN}.000000.index")
}

impl Written {
    /// Its first rows.
    fn rows(&self, count: usize) -> Bytes {
        let lines = self.body.split_inclusive(|byte| *byte == b'\n').take(count);
        lines.flatten().copied().collect()
    }

    /// Its rows, and one that no reader understands.
    fn with(&self, row: &[u8]) -> Bytes {
        [&self.body, row].concat().into()
    }

    /// As many rows of another object of each row's size.
    fn another(&self) -> Bytes {
        let text = String::from_utf8(self.body.to_vec())
            .unwrap()
            .replace(".json", ".jsom");
        assert_ne!(text.as_bytes(), self.body);
        text.into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_not_what_its_metadata_records_is_not_committed() {
    let bench = Bench::new().await;
    let (bucket, written) = bench.grouped("metadata").await;
    let all = ["columns", "rows", "md5"];
    for (case, body, names, words) in [
        ("cut off", written.rows(3), &all[..], "has the MD5 "),
        ("another body", written.another(), &all, "has the MD5 "),
        (
            "another body, by the MD5 alone",
            written.another(),
            &["columns", "md5"],
            "has the MD5 ",
        ),
        // What a row says of itself says nothing, since it is not the row that was written.
        ("a bad row", written.with(b"x\n"), &all, "has the MD5 "),
        (
            "a row that is not UTF-8",
            written.with(b"source,\xff,1,,,,\n"),
            &["columns", "md5"],
            "has the MD5 ",
        ),
        (
            "a row that cannot be an object",
            written.with(b",k,1,,,,\n"),
            &["md5"],
            "has the MD5 ",
        ),
        (
            "a quote that never ends",
            written.with(b"\"source,k"),
            &all,
            "has the MD5 ",
        ),
        (
            "a bad row, by the rows alone",
            written.with(b"x\n"),
            &["columns", "rows"],
            "line 6: 1 columns",
        ),
        (
            "cut off, by the rows alone",
            written.rows(3),
            &["columns", "rows"],
            "has 3 rows, but its writer recorded 5",
        ),
        (
            "empty, by the rows alone",
            Bytes::new(),
            &["columns", "rows"],
            "has 0 rows, but its writer recorded 5",
        ),
        ("empty", Bytes::new(), &["columns"], "has no rows"),
    ] {
        bench.answer(&written, &body, names);
        bench.proxy.clear_log();
        let done = bench.bundle(&bucket).await;
        assert_eq!(
            done.code,
            Some(i32::from(ExitCode::Unreadable.code())),
            "{case}: {done}"
        );
        let read = bench
            .proxy
            .log()
            .iter()
            .filter(|it| gets(&it.request, "groups"))
            .count();
        assert_eq!(
            read,
            if words.contains("MD5") { 3 } else { 1 },
            "{case}: it may have been damaged on its way"
        );
        let named = done
            .stderr
            .contains(&format!("s3://{bucket}/{}", manifest_key()));
        assert!(named && done.stderr.contains(words), "{case}: {done}");
        bench.assert_nothing_committed(&bucket, case).await;
    }
    // The same group once the cause has gone.
    bench.proxy.forward_all();
    let done = bench.bundle(&bucket).await;
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(&bench.world, &bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_without_a_recorded_count_or_md5_is_committed() {
    let bench = Bench::new().await;
    for (n, names) in [&["columns"][..], &["columns", "rows"], &["columns", "md5"]]
        .into_iter()
        .enumerate()
    {
        let (bucket, written) = bench.grouped(&format!("absent-{n}")).await;
        bench.answer(&written, &written.body, names);
        let done = bench.bundle(&bucket).await;
        assert_eq!(done.code, Some(0), "{names:?}: {done}");
        assert_whole(&bench.world, &bucket).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_not_what_its_message_records_is_not_committed() {
    let bench = Bench::new().await;
    let (_, written) = bench.grouped("model").await;
    for (n, (case, body, words)) in [
        ("cut off", written.rows(3), "has the MD5 "),
        ("another body", written.another(), "has the MD5 "),
        ("a bad row", written.with(b"x\n"), "has the MD5 "),
        (
            "empty",
            Bytes::new(),
            "has the MD5 d41d8cd98f00b204e9800998ecf8427e",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let bucket = bench.world.destination(&format!("message-{n}")).await;
        // The metadata is lost, as with a copy that someone made.
        bench.answer(&written, &body, &["columns"]);
        // The first start has the figures of what it cut, the second those of what is there.
        for start in ["first", "second"] {
            let done = bench.run(&bucket).await;
            assert_eq!(
                done.code,
                Some(i32::from(ExitCode::Unreadable.code())),
                "{case}, {start}: {done}"
            );
            assert!(done.stderr.contains(words), "{case}, {start}: {done}");
            bench.assert_nothing_committed(&bucket, case).await;
        }
        bench.proxy.forward_all();
        let done = bench.run(&bucket).await;
        assert_eq!(done.code, Some(0), "{case}: {done}");
        assert_whole(&bench.world, &bucket).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_was_damaged_on_the_way_is_downloaded_again() {
    let bench = Bench::new().await;
    let (bucket, written) = bench.grouped("again").await;
    bench.answer_times(
        &written,
        &written.with(b"x\n"),
        &["columns", "rows", "md5"],
        2,
    );
    let done = bench.bundle(&bucket).await;
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(&bench.world, &bucket).await;

    let bucket = bench.world.destination("again-by-message").await;
    bench.answer_times(&written, &written.another(), &["columns"], 2);
    let done = bench.run(&bucket).await;
    assert_eq!(done.code, Some(0), "{done}");
    assert_whole(&bench.world, &bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_manifest_of_the_run_itself_is_no_group() {
    let bench = Bench::new().await;
    let (bucket, _) = bench.grouped("emptied").await;
    let put = bench
        .world
        .s3
        .put_object()
        .bucket(&bucket)
        .key(manifest_key())
        .metadata("columns", "Bucket,Key,Size");
    put.body(Vec::new().into()).send().await.unwrap();
    let done = bench.bundle(&bucket).await;
    assert_eq!(
        done.code,
        Some(i32::from(ExitCode::Unreadable.code())),
        "{done}"
    );
    assert!(
        done.stderr
            .contains("has no rows: an empty manifest is not a group"),
        "{done}"
    );
    bench.assert_nothing_committed(&bucket, "emptied").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_was_damaged_on_the_way_is_downloaded_again() {
    let bench = Bench::new().await;
    let (bucket, _) = bench.grouped("cataloged").await;
    assert_eq!(bench.bundle(&bucket).await.code, Some(0));
    let key = format!("{PREFIX}/catalog/run={RUN}/{RUN}.000000.parquet");
    let head = bench
        .world
        .s3
        .head_object()
        .bucket(&bucket)
        .key(&key)
        .checksum_mode(ChecksumMode::Enabled);
    let head = head.send().await.unwrap();
    // Under SSE-KMS only the store's own checksum tells, which is sent to those who ask.
    let headers = [
        ("etag", head.e_tag().unwrap()),
        ("x-amz-server-side-encryption", "aws:kms"),
        (
            "x-amz-checksum-crc64nvme",
            head.checksum_crc64_nvme().unwrap(),
        ),
    ];
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut damaged = client::get_bytes(&bench.world.s3, &bucket, &key)
        .await
        .unwrap()
        .to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for (times, code) in [(2, 0), (usize::MAX, i32::from(ExitCode::Download.code()))] {
        let (headers, body, key, answered) = (
            headers.clone(),
            Bytes::from(damaged.clone()),
            key.clone(),
            AtomicUsize::new(0),
        );
        bench.proxy.rule(move |seen| {
            let asks = seen.headers.contains_key("x-amz-checksum-mode");
            let is_catalog = gets(seen, "catalog") && seen.key() == key && asks;
            if is_catalog && answered.fetch_add(1, Ordering::SeqCst) < times {
                return Fault::Respond {
                    status: 200,
                    headers: headers.clone(),
                    body: body.clone(),
                };
            }
            Fault::Forward
        });
        let done = bench.bundle(&bucket).await;
        assert_eq!(done.code, Some(code), "{times}: {done}");
    }
}
