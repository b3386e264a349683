//! The simulated S3 beside real servers: the same requests, and what each answers. Where they differ
//! is in docs/simulator-differences.md, which `make generate` writes; another difference fails here.

use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload,
    CompletedPart, Delete, EncodingType, GlacierJobParameters, MetadataDirective, ObjectIdentifier,
    RestoreRequest, StorageClass, Tag, Tagging, Tier, VersioningConfiguration,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use data_encoding::BASE64;
use s3bundler_testbed::client;
use s3bundler_testbed::generated::assert_generated;
use s3bundler_testbed::servers::{Access, Moto, VersityGw, VersityGwOptions};
use s3bundler_testbed::simulator::{Population, Simulator, SimulatorOptions};

const BUCKET: &str = "conformance";
/// The smallest part but the last.
const PART: usize = 5 << 20;

/// What was asked, and what was answered.
type Transcript = Vec<(String, String)>;

struct Asking {
    s3: Client,
    transcript: Transcript,
}

impl Asking {
    /// Notes an answer: what `tell` says of it, or its status and code.
    fn note<T, E: ProvideErrorMetadata + std::error::Error>(
        &mut self,
        what: impl Into<String>,
        answer: Result<T, SdkError<E, HttpResponse>>,
        tell: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let (told, output) = match answer {
            Ok(output) => (tell(&output), Some(output)),
            Err(error) => {
                let status = error
                    .raw_response()
                    .map_or_else(|| "none".to_owned(), |it| it.status().as_u16().to_string());
                let code = error.code().unwrap_or_default();
                (format!("{status} {code}").trim_end().to_owned(), None)
            }
        };
        self.transcript.push((what.into(), told));
        output
    }
}

fn done<T>(_: &T) -> String {
    "done".to_owned()
}

fn text(bytes: &'static str) -> ByteStream {
    ByteStream::from_static(bytes.as_bytes())
}

/// All requests, in one order.
async fn transcript(access: &Access) -> Transcript {
    let mut asking = Asking {
        s3: client::s3(access),
        transcript: Vec::new(),
    };
    buckets(&mut asking).await;
    reads(&mut asking).await;
    conditional_writes(&mut asking).await;
    checksums(&mut asking).await;
    metadata_and_tags(&mut asking).await;
    listings(&mut asking).await;
    uploads(&mut asking).await;
    copies(&mut asking).await;
    versions(&mut asking).await;
    tiers(&mut asking).await;
    asking.transcript
}

async fn buckets(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    asking.note(
        "HeadBucket before it is there",
        s3.head_bucket().bucket(BUCKET).send().await,
        done,
    );
    asking.note(
        "CreateBucket",
        s3.create_bucket().bucket(BUCKET).send().await,
        done,
    );
    asking.note(
        "HeadBucket",
        s3.head_bucket().bucket(BUCKET).send().await,
        done,
    );
    asking.note(
        "GetObject in a bucket that is not there",
        s3.get_object().bucket("nowhere").key("k").send().await,
        done,
    );
}

async fn reads(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let key = "reads/ä +%&=.txt";
    let put = s3
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .body(text("0123456789"));
    asking.note("PutObject", put.send().await, |it| {
        it.e_tag().unwrap_or_default().to_owned()
    });
    let empty = s3
        .put_object()
        .bucket(BUCKET)
        .key("reads/empty")
        .body(text(""));
    asking.note("PutObject of nothing", empty.send().await, |it| {
        it.e_tag().unwrap_or_default().to_owned()
    });
    asking.note(
        "HeadObject",
        s3.head_object().bucket(BUCKET).key(key).send().await,
        |it| {
            format!(
                "{:?} {:?} {:?}",
                it.content_length(),
                it.e_tag(),
                it.content_type()
            )
        },
    );
    asking.note(
        "GetObject of nothing",
        s3.get_object()
            .bucket(BUCKET)
            .key("reads/empty")
            .send()
            .await,
        |it| format!("{:?}", it.content_length()),
    );
    for range in [
        "bytes=0-0",
        "bytes=3-5",
        "bytes=8-100",
        "bytes=4-",
        "bytes=-3",
        "bytes=10-12",
    ] {
        let get = s3.get_object().bucket(BUCKET).key(key).range(range);
        let got = asking.note(format!("GetObject {range}"), get.send().await, |it| {
            format!("{:?} {:?}", it.content_length(), it.content_range())
        });
        if let Some(got) = got {
            let bytes = got.body.collect().await.unwrap().into_bytes();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            asking
                .transcript
                .push((format!("its bytes of {range}"), text));
        }
    }
    let empty = s3
        .get_object()
        .bucket(BUCKET)
        .key("reads/empty")
        .range("bytes=0-0");
    asking.note("GetObject of nothing, bytes=0-0", empty.send().await, done);
    asking.note(
        "GetObject that is not there",
        s3.get_object().bucket(BUCKET).key("none").send().await,
        done,
    );
    asking.note(
        "HeadObject that is not there",
        s3.head_object().bucket(BUCKET).key("none").send().await,
        done,
    );
    let etag = "\"781e5e245d69b566979b86e28d23f2c7\"";
    for (what, wanted) in [("its ETag", etag), ("another ETag", "\"0\"")] {
        let get = || s3.get_object().bucket(BUCKET).key(key);
        asking.note(
            format!("GetObject if-match {what}"),
            get().if_match(wanted).send().await,
            done,
        );
        asking.note(
            format!("GetObject if-none-match {what}"),
            get().if_none_match(wanted).send().await,
            done,
        );
    }
}

async fn conditional_writes(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let put = |body| s3.put_object().bucket(BUCKET).key("once").body(text(body));
    for what in ["a new key", "a key that is there"] {
        asking.note(
            format!("PutObject if-none-match * to {what}"),
            put("first").if_none_match("*").send().await,
            done,
        );
    }
    let first = "\"8b04d5e3775d298e78455efc5ca404d5\"";
    for (what, wanted) in [("another ETag", "\"0\""), ("its ETag", first)] {
        asking.note(
            format!("PutObject if-match {what}"),
            put("second").if_match(wanted).send().await,
            done,
        );
    }
    let none = s3.put_object().bucket(BUCKET).key("none").body(text("x"));
    asking.note(
        "PutObject if-match where nothing is",
        none.if_match(first).send().await,
        done,
    );
    for what in ["there", "not there"] {
        asking.note(
            format!("DeleteObject that is {what}"),
            s3.delete_object().bucket(BUCKET).key("once").send().await,
            done,
        );
    }
}

async fn checksums(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let put = || {
        s3.put_object()
            .bucket(BUCKET)
            .key("sums")
            .body(text("hello"))
    };
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, b"hello");
    for (what, sum) in [("wrong", !sum), ("right", sum)] {
        let sum = BASE64.encode(&sum.to_be_bytes());
        asking.note(
            format!("PutObject with a {what} CRC64NVME"),
            put().checksum_crc64_nvme(sum).send().await,
            done,
        );
    }
    for (what, sum) in [
        ("wrong", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("right", "XUFAKrxLKna5cZ2REBfFkg=="),
    ] {
        asking.note(
            format!("PutObject with a {what} Content-MD5"),
            put().content_md5(sum).send().await,
            done,
        );
    }
    let stored = put().checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
    asking.note(
        "PutObject with CRC64NVME of the SDK",
        stored.send().await,
        |it| format!("{:?} {:?}", it.checksum_crc64_nvme(), it.checksum_type()),
    );
    let head = s3.head_object().bucket(BUCKET).key("sums");
    asking.note(
        "HeadObject with checksums",
        head.checksum_mode(ChecksumMode::Enabled).send().await,
        |it| format!("{:?} {:?}", it.checksum_crc64_nvme(), it.checksum_type()),
    );
}

async fn metadata_and_tags(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let key = "described";
    let put = s3.put_object().bucket(BUCKET).key(key).body(text("x"));
    let put = put
        .content_type("text/x")
        .content_language("fi")
        .cache_control("no-store");
    let put = put.metadata("a", "b c").tagging("t=1%3D2+3&u=");
    asking.note("PutObject with metadata and tags", put.send().await, done);
    asking.note(
        "GetObject of it",
        s3.get_object().bucket(BUCKET).key(key).send().await,
        |it| {
            format!(
                "{:?} {:?} {:?} {:?} {:?}",
                it.content_type(),
                it.content_language(),
                it.cache_control(),
                it.metadata(),
                it.tag_count(),
            )
        },
    );
    let tags = async || s3.get_object_tagging().bucket(BUCKET).key(key).send().await;
    let told = |it: &aws_sdk_s3::operation::get_object_tagging::GetObjectTaggingOutput| {
        let tags = it.tag_set().iter();
        let mut tags: Vec<_> = tags
            .map(|it| format!("{}={}", it.key(), it.value()))
            .collect();
        tags.sort();
        tags.join("&")
    };
    asking.note("GetObjectTagging", tags().await, told);
    let tag = Tag::builder().key("only").value("one").build().unwrap();
    let tagging = Tagging::builder().tag_set(tag).build().unwrap();
    let set = s3
        .put_object_tagging()
        .bucket(BUCKET)
        .key(key)
        .tagging(tagging);
    asking.note("PutObjectTagging", set.send().await, done);
    asking.note("GetObjectTagging of others", tags().await, told);
    asking.note(
        "DeleteObjectTagging",
        s3.delete_object_tagging()
            .bucket(BUCKET)
            .key(key)
            .send()
            .await,
        done,
    );
    asking.note("GetObjectTagging of none", tags().await, told);
    asking.note(
        "GetObjectTagging of what is not there",
        s3.get_object_tagging()
            .bucket(BUCKET)
            .key("none")
            .send()
            .await,
        done,
    );
}

async fn listings(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    for key in ["l/a", "l/b/1", "l/b/2", "l/c d+é", "l/e"] {
        let put = s3.put_object().bucket(BUCKET).key(key).body(text("x"));
        put.send().await.unwrap();
    }
    let list = || s3.list_objects_v2().bucket(BUCKET).prefix("l/");
    let told = |it: &aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output| {
        let keys = it.contents().iter().filter_map(|it| it.key());
        let folders = it.common_prefixes().iter().filter_map(|it| it.prefix());
        let truncated = it.is_truncated();
        format!(
            "{:?} {:?} truncated {truncated:?}",
            keys.collect::<Vec<_>>(),
            folders.collect::<Vec<_>>()
        )
    };
    asking.note("ListObjectsV2", list().send().await, told);
    asking.note(
        "ListObjectsV2 with a delimiter",
        list().delimiter("/").send().await,
        told,
    );
    asking.note(
        "ListObjectsV2 with keys encoded",
        list().encoding_type(EncodingType::Url).send().await,
        told,
    );
    asking.note(
        "ListObjectsV2 after a key",
        list().start_after("l/b/1").send().await,
        told,
    );
    let broken = list().continuation_token("not a token");
    asking.note(
        "ListObjectsV2 with an invalid token",
        broken.send().await,
        told,
    );
    for delimiter in [None, Some("/".to_owned())] {
        let (mut token, mut page) = (None, 0);
        loop {
            page += 1;
            let asked = list()
                .max_keys(2)
                .set_delimiter(delimiter.clone())
                .set_continuation_token(token);
            let what = format!("ListObjectsV2 by two, delimiter {delimiter:?}, page {page}");
            let Some(listed) = asking.note(what, asked.send().await, told) else {
                break;
            };
            token = listed.next_continuation_token;
            if token.is_none() || page > 5 {
                break;
            }
        }
    }
    let objects =
        ["l/a", "l/none"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder()
        .set_objects(Some(objects.to_vec()))
        .build()
        .unwrap();
    asking.note(
        "DeleteObjects",
        s3.delete_objects()
            .bucket(BUCKET)
            .delete(delete)
            .send()
            .await,
        |it| {
            format!(
                "{} deleted, {} errors",
                it.deleted().len(),
                it.errors().len()
            )
        },
    );
    asking.note("ListObjectsV2 after that", list().send().await, told);
}

fn part(number: i32, etag: &str, sum: Option<&str>) -> CompletedPart {
    CompletedPart::builder()
        .part_number(number)
        .e_tag(etag)
        .set_checksum_crc64_nvme(sum.map(str::to_owned))
        .build()
}

fn parts(parts: impl IntoIterator<Item = CompletedPart>) -> CompletedMultipartUpload {
    let parts = parts.into_iter().collect();
    CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build()
}

async fn uploads(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let key = "uploaded";
    let create = s3.create_multipart_upload().bucket(BUCKET).key(key);
    let create = create
        .metadata("a", "b")
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
    let upload = asking.note("CreateMultipartUpload", create.send().await, done);
    let upload = upload.unwrap().upload_id.unwrap();
    let mut sums = Vec::new();
    for (number, body) in [(1, vec![7; PART]), (2, vec![8; 10])] {
        let part = s3.upload_part().bucket(BUCKET).key(key).upload_id(&upload);
        let part = part
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .body(body.into());
        let sent = asking.note(format!("UploadPart {number}"), part.send().await, |it| {
            it.e_tag().unwrap_or_default().to_owned()
        });
        let sent = sent.unwrap();
        sums.push((sent.e_tag.unwrap(), sent.checksum_crc64_nvme));
    }
    asking.note(
        "ListParts",
        s3.list_parts()
            .bucket(BUCKET)
            .key(key)
            .upload_id(&upload)
            .send()
            .await,
        |it| {
            let parts = it.parts().iter();
            format!(
                "{:?}",
                parts
                    .map(|it| (it.part_number(), it.size()))
                    .collect::<Vec<_>>()
            )
        },
    );
    asking.note(
        "ListMultipartUploads",
        s3.list_multipart_uploads().bucket(BUCKET).send().await,
        |it| {
            format!(
                "{:?}",
                it.uploads().iter().map(|it| it.key()).collect::<Vec<_>>()
            )
        },
    );
    let complete = || {
        s3.complete_multipart_upload()
            .bucket(BUCKET)
            .key(key)
            .upload_id(&upload)
    };
    let named = |number, n: usize| part(number, &sums[n].0, sums[n].1.as_deref());
    let (first, second) = (named(1, 0), named(2, 1));
    for (what, named) in [
        (
            "parts in the wrong order",
            vec![second.clone(), first.clone()],
        ),
        ("a part that was not sent", vec![first.clone(), named(3, 1)]),
        ("a part of another ETag", vec![named(1, 1)]),
    ] {
        asking.note(
            format!("CompleteMultipartUpload with {what}"),
            complete().multipart_upload(parts(named)).send().await,
            done,
        );
    }
    let whole = complete()
        .multipart_upload(parts([first, second]))
        .if_none_match("*");
    asking.note("CompleteMultipartUpload", whole.send().await, |it| {
        it.e_tag().unwrap_or_default().to_owned()
    });
    asking.note(
        "HeadObject of what was uploaded",
        s3.head_object()
            .bucket(BUCKET)
            .key(key)
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await,
        |it| {
            format!(
                "{:?} {:?} {:?} {:?}",
                it.content_length(),
                it.metadata(),
                it.checksum_crc64_nvme(),
                it.checksum_type()
            )
        },
    );
    // Over what is there, and with parts that are too small.
    for (what, sizes, condition) in [
        (
            "if-none-match * to a key that is there",
            [PART, 1],
            Some("*"),
        ),
        ("a part that is too small", [10, 10], None),
    ] {
        let create = s3.create_multipart_upload().bucket(BUCKET).key(key);
        let upload = create.send().await.unwrap().upload_id.unwrap();
        let mut sent = Vec::new();
        for (number, size) in (1..).zip(sizes) {
            let part_of = s3.upload_part().bucket(BUCKET).key(key).upload_id(&upload);
            let part_of = part_of.part_number(number).body(vec![1; size].into());
            let etag = part_of.send().await.unwrap().e_tag.unwrap();
            sent.push(part(number, &etag, None));
        }
        let complete = s3.complete_multipart_upload().bucket(BUCKET).key(key);
        let complete = complete.upload_id(&upload).multipart_upload(parts(sent));
        asking.note(
            format!("CompleteMultipartUpload with {what}"),
            complete
                .set_if_none_match(condition.map(str::to_owned))
                .send()
                .await,
            done,
        );
        let abort = s3.abort_multipart_upload().bucket(BUCKET).key(key);
        asking.note(
            format!("AbortMultipartUpload of {what}"),
            abort.upload_id(&upload).send().await,
            done,
        );
    }
    let unknown = s3.abort_multipart_upload().bucket(BUCKET).key(key);
    asking.note(
        "AbortMultipartUpload of one that is over",
        unknown.upload_id(&upload).send().await,
        done,
    );
}

async fn copies(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let source = s3
        .put_object()
        .bucket(BUCKET)
        .key("source")
        .body(text("0123456789"));
    source
        .metadata("a", "b")
        .tagging("t=1")
        .send()
        .await
        .unwrap();
    let copy = || {
        s3.copy_object()
            .bucket(BUCKET)
            .key("copy")
            .copy_source(format!("{BUCKET}/source"))
    };
    asking.note("CopyObject", copy().send().await, |it| {
        let result = it.copy_object_result();
        format!("{:?}", result.and_then(|it| it.e_tag()))
    });
    asking.note(
        "HeadObject of the copy",
        s3.head_object().bucket(BUCKET).key("copy").send().await,
        |it| format!("{:?} {:?}", it.content_length(), it.metadata()),
    );
    let replaced = copy()
        .metadata_directive(MetadataDirective::Replace)
        .metadata("c", "d");
    asking.note(
        "CopyObject with other metadata",
        replaced.send().await,
        done,
    );
    asking.note(
        "HeadObject of that copy",
        s3.head_object().bucket(BUCKET).key("copy").send().await,
        |it| format!("{:?}", it.metadata()),
    );
    asking.note(
        "CopyObject if the source has another ETag",
        copy().copy_source_if_match("\"0\"").send().await,
        done,
    );
    let missing = s3.copy_object().bucket(BUCKET).key("copy");
    asking.note(
        "CopyObject of what is not there",
        missing.copy_source(format!("{BUCKET}/none")).send().await,
        done,
    );
    let of_parts = s3.copy_object().bucket(BUCKET).key("copy");
    asking.note(
        "CopyObject of what was uploaded in parts",
        of_parts
            .copy_source(format!("{BUCKET}/uploaded"))
            .send()
            .await,
        |it| format!("{:?}", it.copy_object_result().and_then(|it| it.e_tag())),
    );
    let create = s3.create_multipart_upload().bucket(BUCKET).key("parts");
    let upload = create.send().await.unwrap().upload_id.unwrap();
    let part = s3
        .upload_part_copy()
        .bucket(BUCKET)
        .key("parts")
        .upload_id(&upload);
    let part = part.part_number(1).copy_source(format!("{BUCKET}/source"));
    asking.note(
        "UploadPartCopy of a range",
        part.copy_source_range("bytes=2-4").send().await,
        |it| format!("{:?}", it.copy_part_result().and_then(|it| it.e_tag())),
    );
}

async fn versions(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let bucket = "conformance-versions";
    s3.create_bucket().bucket(bucket).send().await.unwrap();
    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    asking.note(
        "PutBucketVersioning",
        s3.put_bucket_versioning()
            .bucket(bucket)
            .versioning_configuration(versioning.build())
            .send()
            .await,
        done,
    );
    let put = |body| s3.put_object().bucket(bucket).key("k").body(text(body));
    let first = put("first").send().await.unwrap().version_id;
    put("the second").send().await.unwrap();
    asking.note(
        "GetObject of an older version",
        s3.get_object()
            .bucket(bucket)
            .key("k")
            .set_version_id(first)
            .send()
            .await,
        |it| format!("{:?}", it.content_length()),
    );
    let marker = asking.note(
        "DeleteObject with versions",
        s3.delete_object().bucket(bucket).key("k").send().await,
        |it| {
            format!(
                "marker {:?}, version {}",
                it.delete_marker(),
                it.version_id().is_some()
            )
        },
    );
    asking.note(
        "GetObject after that",
        s3.get_object().bucket(bucket).key("k").send().await,
        done,
    );
    let marker = marker.and_then(|it| it.version_id);
    asking.note(
        "GetObject of the delete marker",
        s3.get_object()
            .bucket(bucket)
            .key("k")
            .set_version_id(marker)
            .send()
            .await,
        done,
    );
}

async fn tiers(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let put = s3
        .put_object()
        .bucket(BUCKET)
        .key("frozen")
        .body(text("ice"));
    put.storage_class(StorageClass::Glacier)
        .send()
        .await
        .unwrap();
    asking.note(
        "HeadObject in GLACIER",
        s3.head_object().bucket(BUCKET).key("frozen").send().await,
        |it| format!("{:?} {:?}", it.storage_class(), it.restore()),
    );
    let get = async || s3.get_object().bucket(BUCKET).key("frozen").send().await;
    asking.note("GetObject in GLACIER", get().await, done);
    let job = GlacierJobParameters::builder()
        .tier(Tier::Expedited)
        .build()
        .unwrap();
    let restore = RestoreRequest::builder()
        .days(1)
        .glacier_job_parameters(job)
        .build();
    for n in ["first", "second"] {
        asking.note(
            format!("RestoreObject for the {n} time"),
            s3.restore_object()
                .bucket(BUCKET)
                .key("frozen")
                .restore_request(restore.clone())
                .send()
                .await,
            done,
        );
    }
}

#[tokio::test]
async fn the_simulator_answers_as_real_servers_do_but_for_what_is_listed() {
    let options = VersityGwOptions {
        versioning: true,
        ..VersityGwOptions::default()
    };
    let simulator = Simulator::start(SimulatorOptions {
        thaw: Duration::from_hours(1),
        ..SimulatorOptions::default()
    });
    let simulator = simulator.unwrap();
    let (versitygw, moto) = tokio::join!(VersityGw::start_with(options), Moto::start());
    let (versitygw, moto) = (versitygw.unwrap(), moto.unwrap());
    let (ours, theirs, others) = tokio::join!(
        transcript(simulator.access()),
        transcript(versitygw.access()),
        transcript(moto.access()),
    );
    let answer = |transcript: &Transcript, what: &str| {
        let found = transcript.iter().find(|(it, _)| it == what);
        found.map_or_else(|| "not asked".to_owned(), |(_, answer)| answer.clone())
    };
    let mut page = "# Where servers of the testbed differ\n\nMade by `make generate` from the requests of `testbed/tests/integration/simulator.rs`. \
        All other answers are the same.\n\n| Request | simulator | versitygw | moto |\n|---|---|---|---|\n"
        .to_owned();
    for (what, ours) in &ours {
        let (theirs, others) = (answer(&theirs, what), answer(&others, what));
        if (&theirs, &others) != (ours, ours) {
            writeln!(page, "| {what} | `{ours}` | `{theirs}` | `{others}` |").unwrap();
        }
    }
    assert_generated("docs/simulator-differences.md", &page);
}

#[tokio::test]
async fn a_bucket_of_a_billion_objects_is_read_and_listed() {
    let simulator = Simulator::start(SimulatorOptions::default()).unwrap();
    let population = Population {
        prefix: "logs/".to_owned(),
        suffix: ".json".to_owned(),
        objects: 1_000_000_000,
        sizes: 10_240..10_241,
        seed: 1,
        with_metadata: 2,
        with_tags: 3,
        storage_class: "STANDARD".to_owned(),
    };
    assert!(simulator.populate("billion", population.clone()));
    let s3 = client::s3(simulator.access());
    let key = population.key(765_432_100);
    let listed = s3
        .list_objects_v2()
        .bucket("billion")
        .start_after(&key)
        .max_keys(3);
    let listed = listed.send().await.unwrap();
    let keys: Vec<_> = listed.contents().iter().filter_map(|it| it.key()).collect();
    let wanted: Vec<_> = (1..=3).map(|n| population.key(765_432_100 + n)).collect();
    assert_eq!(keys, wanted);
    let got = s3
        .get_object()
        .bucket("billion")
        .key(keys[0])
        .send()
        .await
        .unwrap();
    assert_eq!(got.e_tag(), listed.contents()[0].e_tag());
    assert_eq!(got.body.collect().await.unwrap().into_bytes().len(), 10_240);
    let meter = simulator.meter();
    assert_eq!(
        (
            meter.requests["Requests-Tier1"],
            meter.requests["Requests-Tier2"]
        ),
        (1, 1)
    );
    assert!(meter.bytes_out > 10_240, "{meter:?}");
}
