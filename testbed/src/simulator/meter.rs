//! Counts requests and bytes by AWS usage type ("Understanding your AWS billing and usage reports for
//! Amazon S3", S3 user guide), and requests by bucket and operation.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;
use serde::Serialize;

use super::request::Asked;

/// A usage type of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// PUT, COPY, POST, LIST: `Requests-Tier1`.
    Tier1,
    /// GET and all others: `Requests-Tier2`.
    Tier2,
    /// PUT, COPY, POST to GLACIER: `Requests-GLACIER-Tier1`.
    GlacierTier1,
    /// Restores: `Requests-Tier3`.
    Tier3,
    /// DELETE, including aborted uploads: free.
    Free,
}

const USAGES: [(Usage, &str); 5] = [
    (Usage::Tier1, "Requests-Tier1"),
    (Usage::Tier2, "Requests-Tier2"),
    (Usage::GlacierTier1, "Requests-GLACIER-Tier1"),
    (Usage::Tier3, "Requests-Tier3"),
    (Usage::Free, "Requests-Free"),
];

/// Counters since the start or the last reset.
#[derive(Debug, Default)]
pub(super) struct Meter {
    requests: [AtomicU64; USAGES.len()],
    operations: Mutex<HashMap<String, HashMap<&'static str, u64>>>,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    refused: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// Requests by usage type, without those answered with 5xx.
    pub requests: BTreeMap<&'static str, u64>,
    /// The same requests by bucket and operation, as the S3 API reference names it. A copy counts for
    /// the bucket that it is written to.
    pub operations: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// Bytes of bodies that were sent: `DataTransfer-Out-Bytes`, which is free within a region.
    pub bytes_out: u64,
    /// Bytes of bodies that were received: `DataTransfer-In-Bytes`.
    pub bytes_in: u64,
    /// Requests that were answered with 5xx or not at all, which are not billed.
    pub refused: u64,
}

impl Usage {
    /// The usage type of a request, whether it succeeds or not.
    fn of(asked: &Asked) -> Self {
        let is_list = asked.is("uploadId")
            || asked.key.is_empty()
                && (asked.bucket.is_empty()
                    || asked.is("list-type")
                    || asked.is("uploads")
                    || asked.is("versions")
                    || asked.is_list_v1());
        match asked.method {
            Method::DELETE => Self::Free,
            Method::GET if is_list => Self::Tier1,
            Method::GET | Method::HEAD => Self::Tier2,
            _ if asked.is("restore") => Self::Tier3,
            _ if asked
                .header("x-amz-storage-class")
                .is_some_and(|class| class.starts_with("GLACIER")) =>
            {
                Self::GlacierTier1
            }
            _ => Self::Tier1,
        }
    }
}

/// The operation of a request.
fn operation(asked: &Asked) -> &'static str {
    let is_copy = asked.header("x-amz-copy-source").is_some();
    match (&asked.method, asked.key.is_empty()) {
        (&Method::GET, true) if asked.bucket.is_empty() => "ListBuckets",
        (&Method::GET, true) if asked.query("list-type") == Some("2") => "ListObjectsV2",
        (&Method::GET, true) if asked.is("uploads") => "ListMultipartUploads",
        (&Method::GET, true) if asked.is("versions") => "ListObjectVersions",
        (&Method::GET, true) if asked.is_list_v1() => "ListObjects",
        (&Method::HEAD, true) => "HeadBucket",
        (&Method::PUT, true) if asked.query.is_empty() => "CreateBucket",
        (_, true) => "other requests of a bucket",
        (&Method::GET, false) if asked.is("tagging") => "GetObjectTagging",
        (&Method::GET, false) if asked.is("attributes") => "GetObjectAttributes",
        (&Method::GET, false) if asked.is("uploadId") => "ListParts",
        (&Method::GET, false) => "GetObject",
        (&Method::HEAD, false) => "HeadObject",
        (&Method::PUT, false) if asked.is("uploadId") && is_copy => "UploadPartCopy",
        (&Method::PUT, false) if asked.is("uploadId") => "UploadPart",
        (&Method::PUT, false) if asked.is("tagging") => "PutObjectTagging",
        (&Method::PUT, false) if is_copy => "CopyObject",
        (&Method::PUT, false) => "PutObject",
        (&Method::POST, false) if asked.is("uploadId") => "CompleteMultipartUpload",
        (&Method::POST, false) if asked.is("uploads") => "CreateMultipartUpload",
        (&Method::POST, false) if asked.is("restore") => "RestoreObject",
        (&Method::DELETE, false) if asked.is("uploadId") => "AbortMultipartUpload",
        (&Method::DELETE, false) if asked.is("tagging") => "DeleteObjectTagging",
        (&Method::DELETE, false) => "DeleteObject",
        _ => "other requests of an object",
    }
}

impl Meter {
    pub(super) fn request(&self, asked: &Asked, bytes_in: u64, bytes_out: u64) {
        let usage = Usage::of(asked);
        for (counter, (it, _)) in self.requests.iter().zip(USAGES) {
            if it == usage {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
        let mut operations = self.operations();
        let of_bucket = match operations.get_mut(&asked.bucket) {
            Some(of_bucket) => of_bucket,
            None => operations.entry(asked.bucket.clone()).or_default(),
        };
        *of_bucket.entry(operation(asked)).or_default() += 1;
    }

    fn operations(&self) -> MutexGuard<'_, HashMap<String, HashMap<&'static str, u64>>> {
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Reading {
        let counts = self.requests.iter().zip(USAGES);
        Reading {
            requests: counts
                .map(|(counter, (_, name))| (name, counter.load(Ordering::Relaxed)))
                .collect(),
            operations: self
                .operations()
                .iter()
                .map(|(bucket, counts)| {
                    let counts = counts.iter().map(|(operation, count)| (*operation, *count));
                    (bucket.clone(), counts.collect())
                })
                .collect(),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    pub(super) fn reset(&self) {
        let all = self.requests.iter();
        for counter in all.chain([&self.bytes_out, &self.bytes_in, &self.refused]) {
            counter.store(0, Ordering::Relaxed);
        }
        self.operations().clear();
    }
}
