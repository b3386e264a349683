//! Requests for buckets and single objects.

use aws_sdk_s3::types::{
    GlacierJobParameters, MetadataDirective, RestoreRequest, StorageClass, Tag, Tagging, Tier,
};

use super::{Asking, BUCKET, done, text};

pub(super) async fn buckets(asking: &mut Asking) {
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

pub(super) async fn reads(asking: &mut Asking) {
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

pub(super) async fn conditional_writes(asking: &mut Asking) {
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

pub(super) async fn metadata_and_tags(asking: &mut Asking) {
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

pub(super) async fn copies(asking: &mut Asking) {
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

pub(super) async fn tiers(asking: &mut Asking) {
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
