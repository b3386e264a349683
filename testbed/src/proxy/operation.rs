//! Which API operation an HTTP request is, told from method, path, query and a few headers, as in
//! the request syntax of the S3 API reference. SQS requests name theirs in a header.

use http::{HeaderMap, Method};

/// An operation of S3 or SQS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the API references")]
pub enum Operation {
    ListBuckets,
    CreateBucket,
    DeleteBucket,
    HeadBucket,
    ListObjects,
    ListObjectsV2,
    ListObjectVersions,
    ListMultipartUploads,
    DeleteObjects,
    GetObject,
    GetObjectAttributes,
    GetObjectTagging,
    HeadObject,
    PutObject,
    PutObjectTagging,
    CopyObject,
    DeleteObject,
    RestoreObject,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    ListParts,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    CreateQueue,
    GetQueueUrl,
    GetQueueAttributes,
    SendMessage,
    SendMessageBatch,
    ReceiveMessage,
    DeleteMessage,
    DeleteMessageBatch,
    ChangeMessageVisibility,
    ChangeMessageVisibilityBatch,
    /// Settings of buckets and objects, and whatever else has no name here.
    Other,
}

impl Operation {
    /// Classifies a request. Path style only.
    pub fn of(method: &Method, path: &str, query: &str, headers: &HeaderMap) -> Self {
        if let Some(target) = headers.get("x-amz-target") {
            return target.to_str().map_or(Self::Other, Self::of_queue);
        }
        let has = |name: &str| {
            query
                .split('&')
                .any(|pair| pair.split('=').next() == Some(name))
        };
        match path.trim_start_matches('/').split_once('/') {
            Some((_, key)) if !key.is_empty() => Self::of_object(method, has, headers),
            _ if path.trim_matches('/').is_empty() => match *method {
                Method::GET => Self::ListBuckets,
                _ => Self::Other,
            },
            _ => Self::of_bucket(method, query, has),
        }
    }

    fn of_queue(target: &str) -> Self {
        match target.strip_prefix("AmazonSQS.").unwrap_or_default() {
            "CreateQueue" => Self::CreateQueue,
            "GetQueueUrl" => Self::GetQueueUrl,
            "GetQueueAttributes" => Self::GetQueueAttributes,
            "SendMessage" => Self::SendMessage,
            "SendMessageBatch" => Self::SendMessageBatch,
            "ReceiveMessage" => Self::ReceiveMessage,
            "DeleteMessage" => Self::DeleteMessage,
            "DeleteMessageBatch" => Self::DeleteMessageBatch,
            "ChangeMessageVisibility" => Self::ChangeMessageVisibility,
            "ChangeMessageVisibilityBatch" => Self::ChangeMessageVisibilityBatch,
            _ => Self::Other,
        }
    }

    fn of_bucket(method: &Method, query: &str, has: impl Fn(&str) -> bool) -> Self {
        // Without any of these a query names a setting of the bucket.
        const LISTING: [&str; 9] = [
            "",
            "prefix",
            "delimiter",
            "max-keys",
            "marker",
            "encoding-type",
            "x-id",
            "fetch-owner",
            "start-after",
        ];
        let plain = query
            .split('&')
            .all(|pair| LISTING.contains(&pair.split('=').next().unwrap_or_default()));
        match *method {
            Method::GET if has("list-type") => Self::ListObjectsV2,
            Method::GET if has("versions") => Self::ListObjectVersions,
            Method::GET if has("uploads") => Self::ListMultipartUploads,
            Method::GET if plain => Self::ListObjects,
            Method::HEAD => Self::HeadBucket,
            Method::POST if has("delete") => Self::DeleteObjects,
            Method::PUT if plain => Self::CreateBucket,
            Method::DELETE if plain => Self::DeleteBucket,
            _ => Self::Other,
        }
    }

    fn of_object(method: &Method, has: impl Fn(&str) -> bool, headers: &HeaderMap) -> Self {
        let copies = headers.contains_key("x-amz-copy-source");
        let setting = ["acl", "retention", "legal-hold", "torrent"]
            .into_iter()
            .any(&has);
        match *method {
            _ if setting => Self::Other,
            Method::GET if has("tagging") => Self::GetObjectTagging,
            Method::GET if has("attributes") => Self::GetObjectAttributes,
            Method::GET if has("uploadId") => Self::ListParts,
            Method::GET => Self::GetObject,
            Method::HEAD => Self::HeadObject,
            Method::PUT if has("tagging") => Self::PutObjectTagging,
            Method::PUT if has("uploadId") && copies => Self::UploadPartCopy,
            Method::PUT if has("uploadId") => Self::UploadPart,
            Method::PUT if copies => Self::CopyObject,
            Method::PUT => Self::PutObject,
            Method::POST if has("uploads") => Self::CreateMultipartUpload,
            Method::POST if has("uploadId") => Self::CompleteMultipartUpload,
            Method::POST if has("restore") => Self::RestoreObject,
            Method::DELETE if has("uploadId") => Self::AbortMultipartUpload,
            Method::DELETE if has("tagging") => Self::Other,
            Method::DELETE => Self::DeleteObject,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests;
