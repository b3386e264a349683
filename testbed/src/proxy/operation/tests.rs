use super::*;
use http::HeaderValue;

#[test]
fn requests_are_told_apart() {
    for (method, target, expected) in [
        ("GET", "/", Operation::ListBuckets),
        ("PUT", "/bucket", Operation::CreateBucket),
        ("PUT", "/bucket/", Operation::CreateBucket),
        ("PUT", "/bucket?versioning", Operation::Other),
        ("HEAD", "/bucket", Operation::HeadBucket),
        ("DELETE", "/bucket", Operation::DeleteBucket),
        (
            "GET",
            "/bucket/?list-type=2&prefix=a%2Fb",
            Operation::ListObjectsV2,
        ),
        ("GET", "/bucket?prefix=a", Operation::ListObjects),
        ("GET", "/bucket?location", Operation::Other),
        ("GET", "/bucket?versions", Operation::ListObjectVersions),
        ("GET", "/bucket?uploads", Operation::ListMultipartUploads),
        ("POST", "/bucket?delete", Operation::DeleteObjects),
        ("GET", "/bucket/a/b?x-id=GetObject", Operation::GetObject),
        (
            "GET",
            "/bucket/a?versionId=1&tagging",
            Operation::GetObjectTagging,
        ),
        (
            "GET",
            "/bucket/a?attributes",
            Operation::GetObjectAttributes,
        ),
        ("GET", "/bucket/a?uploadId=1", Operation::ListParts),
        ("GET", "/bucket/a?acl", Operation::Other),
        ("HEAD", "/bucket/a", Operation::HeadObject),
        ("PUT", "/bucket/a?x-id=PutObject", Operation::PutObject),
        (
            "PUT",
            "/bucket/a?partNumber=1&uploadId=1",
            Operation::UploadPart,
        ),
        (
            "POST",
            "/bucket/a?uploads",
            Operation::CreateMultipartUpload,
        ),
        (
            "POST",
            "/bucket/a?uploadId=1",
            Operation::CompleteMultipartUpload,
        ),
        ("POST", "/bucket/a?restore", Operation::RestoreObject),
        (
            "DELETE",
            "/bucket/a?uploadId=1",
            Operation::AbortMultipartUpload,
        ),
        ("DELETE", "/bucket/a", Operation::DeleteObject),
    ] {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let told = Operation::of(&method.parse().unwrap(), path, query, &HeaderMap::new());
        assert_eq!(told, expected, "{method} {target}");
    }
}

#[test]
fn headers_tell_copies_and_queue_operations() {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-copy-source", HeaderValue::from_static("bucket/a"));
    assert_eq!(
        Operation::of(&Method::PUT, "/bucket/b", "", &headers),
        Operation::CopyObject
    );
    let part = Operation::of(
        &Method::PUT,
        "/bucket/b",
        "partNumber=1&uploadId=1",
        &headers,
    );
    assert_eq!(part, Operation::UploadPartCopy);
    headers.insert(
        "x-amz-target",
        HeaderValue::from_static("AmazonSQS.ReceiveMessage"),
    );
    assert_eq!(
        Operation::of(&Method::POST, "/", "", &headers),
        Operation::ReceiveMessage
    );
}
