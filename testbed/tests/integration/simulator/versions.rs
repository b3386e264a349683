//! Versions.

use aws_sdk_s3::types::{
    BucketVersioningStatus, Delete, GlacierJobParameters, ObjectIdentifier, RestoreRequest,
    StorageClass, Tag, Tagging, Tier, VersioningConfiguration,
};

use super::version_lists::{Ids, LISTED, put, set_versioning};
use super::{Asking, done, text};

pub(super) async fn versions(asking: &mut Asking) {
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

pub(super) async fn tags_of_versions(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    let first = put(&s3, "tagged", "first").await;
    let second = put(&s3, "tagged", "second").await;
    let tagging = |value: &str| {
        let tag = Tag::builder().key("t").value(value).build().unwrap();
        Tagging::builder().tag_set(tag).build().unwrap()
    };
    let set = |value: &str| {
        let set = s3.put_object_tagging().bucket(LISTED).key("tagged");
        set.tagging(tagging(value))
    };
    let get = || s3.get_object_tagging().bucket(LISTED).key("tagged");
    let told = |it: &aws_sdk_s3::operation::get_object_tagging::GetObjectTaggingOutput| {
        let tags = it.tag_set().iter();
        let tags: Vec<_> = tags
            .map(|it| format!("{}={}", it.key(), it.value()))
            .collect();
        format!("{tags:?} {}", it.version_id().is_some())
    };
    asking.note(
        "PutObjectTagging of an older version",
        set("old").version_id(&first).send().await,
        |it| (it.version_id() == Some(&first)).to_string(),
    );
    asking.note(
        "PutObjectTagging of the latest",
        set("new").send().await,
        |it| (it.version_id() == Some(&second)).to_string(),
    );
    asking.note(
        "GetObjectTagging of an older version",
        get().version_id(&first).send().await,
        told,
    );
    asking.note("GetObjectTagging of the latest", get().send().await, told);
    let delete = s3.delete_object_tagging().bucket(LISTED).key("tagged");
    asking.note(
        "DeleteObjectTagging of an older version",
        delete.version_id(&first).send().await,
        done,
    );
    asking.note(
        "GetObjectTagging after that",
        get().version_id(&first).send().await,
        told,
    );
    asking.note(
        "GetObjectTagging of the latest after that",
        get().send().await,
        told,
    );
    let delete = s3.delete_object().bucket(LISTED).key("tagged");
    asking.note(
        "DeleteObject of an older version",
        delete.version_id(&first).send().await,
        |it| {
            format!(
                "{:?} {}",
                it.delete_marker(),
                it.version_id() == Some(&first)
            )
        },
    );
    asking.note(
        "GetObject of a version that was deleted",
        s3.get_object()
            .bucket(LISTED)
            .key("tagged")
            .version_id(&first)
            .send()
            .await,
        done,
    );
    asking.note(
        "PutObjectTagging of a version that was deleted",
        set("x").version_id(&first).send().await,
        done,
    );
    asking.note(
        "GetObjectTagging of a version that was deleted",
        get().version_id(&first).send().await,
        told,
    );
    let delete = s3.delete_object().bucket(LISTED).key("tagged");
    let marker = delete.send().await.unwrap().version_id.unwrap_or_default();
    asking.note(
        "GetObjectTagging of a deleted key",
        get().send().await,
        told,
    );
    asking.note(
        "PutObjectTagging of a delete marker",
        set("x").version_id(&marker).send().await,
        done,
    );
    let delete = s3.delete_object().bucket(LISTED).key("tagged");
    asking.note(
        "DeleteObject of a delete marker",
        delete.version_id(&marker).send().await,
        |it| {
            format!(
                "{:?} {}",
                it.delete_marker(),
                it.version_id() == Some(&marker)
            )
        },
    );
    asking.note(
        "GetObjectTagging of the key that is back",
        get().send().await,
        told,
    );
    let objects = [
        ObjectIdentifier::builder()
            .key("tagged")
            .version_id(&second),
        ObjectIdentifier::builder().key("a"),
    ];
    let objects = objects.map(|it| it.build().unwrap()).to_vec();
    let delete = Delete::builder().set_objects(Some(objects)).build();
    let delete = s3.delete_objects().bucket(LISTED).delete(delete.unwrap());
    asking.note(
        "DeleteObjects of a version and a key",
        delete.send().await,
        |it| {
            let mut told: Vec<_> = it
                .deleted()
                .iter()
                .map(|it| {
                    let version = it.version_id() == Some(&second);
                    let marker = it.delete_marker_version_id().is_some();
                    format!("{:?} {version} {:?} {marker}", it.key(), it.delete_marker())
                })
                .collect();
            told.sort();
            format!("{told:?}")
        },
    );
}

pub(super) async fn suspended_versions(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    set_versioning(&s3, LISTED, BucketVersioningStatus::Suspended).await;
    let got = s3.get_bucket_versioning().bucket(LISTED).send().await;
    asking.note("GetBucketVersioning that is suspended", got, |it| {
        format!("{:?}", it.status())
    });
    for body in ["1", "22"] {
        let put = s3.put_object().bucket(LISTED).key("s").body(text(body));
        asking.note(
            format!("PutObject of {body} while suspended"),
            put.send().await,
            |it| format!("{:?}", it.version_id()),
        );
    }
    let list = || s3.list_object_versions().bucket(LISTED).prefix("s");
    let ids = Ids::default();
    asking.note("its versions", list().send().await, |it| ids.tell(it));
    let delete = s3.delete_object().bucket(LISTED).key("s").send().await;
    asking.note("DeleteObject while suspended", delete, |it| {
        format!("{:?} {:?}", it.delete_marker(), it.version_id())
    });
    asking.note("its versions after that", list().send().await, |it| {
        ids.tell(it)
    });
}

pub(super) async fn restores_of_versions(asking: &mut Asking) {
    let s3 = asking.s3.clone();
    set_versioning(&s3, LISTED, BucketVersioningStatus::Enabled).await;
    let put = |body| s3.put_object().bucket(LISTED).key("f").body(text(body));
    let frozen = put("ice").storage_class(StorageClass::Glacier);
    let frozen = frozen.send().await.unwrap().version_id.unwrap_or_default();
    put("water").send().await.unwrap();
    let job = GlacierJobParameters::builder().tier(Tier::Expedited);
    let restore = RestoreRequest::builder()
        .days(1)
        .glacier_job_parameters(job.build().unwrap())
        .build();
    let restore = || {
        let request = s3.restore_object().bucket(LISTED).key("f");
        request.restore_request(restore.clone())
    };
    asking.note(
        "RestoreObject of the latest, which is not archived",
        restore().send().await,
        done,
    );
    for n in ["first", "second"] {
        asking.note(
            format!("RestoreObject of an older version for the {n} time"),
            restore().version_id(&frozen).send().await,
            done,
        );
    }
    let head = s3.head_object().bucket(LISTED).key("f");
    asking.note(
        "HeadObject of the version that is restored",
        head.version_id(&frozen).send().await,
        |it| format!("{:?} {}", it.storage_class(), it.restore().is_some()),
    );
    s3.delete_object()
        .bucket(LISTED)
        .key("f")
        .version_id(&frozen)
        .send()
        .await
        .unwrap();
    asking.note(
        "RestoreObject of a version that was deleted",
        restore().version_id(&frozen).send().await,
        done,
    );
}
