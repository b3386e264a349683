//! A message of the queue: "archive the group of this manifest". Ours, an S3 event, or S3's test event.

use serde::{Deserialize, Serialize};

use crate::address::S3Address;

/// A group manifest to work on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRef {
    /// Where it is.
    #[serde(rename = "Bucket")]
    pub bucket: String,
    /// Its literal key.
    #[serde(rename = "Key")]
    pub key: String,
    /// Its ETag without quotes, to read it with If-Match; absent in messages of older writers.
    #[serde(rename = "ETag", default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The rows that its writer put into it; absent in messages of older writers and in events of S3.
    #[serde(rename = "Rows", default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// MD5 of its stored bytes, 32 hex digits; absent as above.
    #[serde(rename = "MD5", default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
}

/// Why a message's body cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Not JSON.
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but neither ours nor an S3 event.
    #[error("it has neither Bucket and Key nor the Records of an S3 event")]
    Foreign,
    /// An S3 event record without bucket, without key, or with a key that is not form-url-encoded.
    #[error("record {0} of the S3 event has no usable bucket and key")]
    Record(usize),
    /// A bucket or a key that is empty.
    #[error("its bucket or key is empty")]
    Empty,
}

impl ManifestRef {
    /// The manifest at `address` with the ETag known or not.
    pub fn new(address: S3Address, etag: Option<String>) -> Self {
        Self { bucket: address.bucket, key: address.key, etag, rows: None, md5: None }
    }

    /// The same with what its writer knows of its content.
    #[must_use]
    pub fn with_content(self, rows: u64, md5: String) -> Self {
        Self { rows: Some(rows), md5: Some(md5), ..self }
    }

    /// Where it is.
    pub fn address(&self) -> S3Address {
        S3Address::new(&self.bucket, &self.key)
    }

    /// The message's body.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain fields are JSON")
    }
}

/// The manifests a message names: none for S3's test event, several for an S3 event of several records. Events that are
/// not `ObjectCreated:*` name nothing.
pub fn parse(body: &str) -> Result<Vec<ManifestRef>, MessageError> {
    let message: Body = serde_json::from_str(body)?;
    if message.event.as_deref() == Some("s3:TestEvent") {
        return Ok(Vec::new());
    }
    if let Some(records) = message.records {
        return records
            .into_iter()
            .enumerate()
            .filter(|(_, record)| {
                record.event_name.strip_prefix("s3:").unwrap_or(&record.event_name).starts_with("ObjectCreated:")
            })
            .map(|(n, record)| record.manifest().ok_or(MessageError::Record(n)))
            .collect();
    }
    match (message.bucket, message.key) {
        (Some(bucket), Some(key)) if bucket.is_empty() || key.is_empty() => Err(MessageError::Empty),
        (Some(bucket), Some(key)) => {
            let etag = message.etag.filter(|it| !it.is_empty());
            let md5 = message.md5.filter(|it| !it.is_empty());
            Ok(vec![ManifestRef { bucket, key, etag, rows: message.rows, md5 }])
        }
        _ => Err(MessageError::Foreign),
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "Bucket")]
    bucket: Option<String>,
    #[serde(rename = "Key")]
    key: Option<String>,
    #[serde(rename = "ETag")]
    etag: Option<String>,
    #[serde(rename = "Rows")]
    rows: Option<u64>,
    #[serde(rename = "MD5")]
    md5: Option<String>,
    #[serde(rename = "Event")]
    event: Option<String>,
    #[serde(rename = "Records")]
    records: Option<Vec<Record>>,
}

/// "Event message structure", S3 user guide.
#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventName", default)]
    event_name: String,
    s3: Option<RecordS3>,
}

#[derive(Deserialize)]
struct RecordS3 {
    bucket: RecordBucket,
    object: RecordObject,
}

#[derive(Deserialize)]
struct RecordBucket {
    name: String,
}

#[derive(Deserialize)]
struct RecordObject {
    key: String,
    #[serde(rename = "eTag")]
    etag: Option<String>,
}

impl Record {
    fn manifest(self) -> Option<ManifestRef> {
        let RecordS3 { bucket, object } = self.s3?;
        let key = crate::group_manifest::decode_key(&object.key).ok()?;
        let whole = !bucket.name.is_empty() && !key.is_empty();
        let etag = object.etag.filter(|it| !it.is_empty()).map(|it| it.trim_matches('"').to_owned());
        whole.then(|| ManifestRef::new(S3Address::new(bucket.name, key), etag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(name: &str, key: &str) -> String {
        format!(
            r#"{{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"{name}","s3":{{"bucket":{{"name":"b"}},"object":{{"key":"{key}","size":1,"eTag":"e"}}}}}}"#
        )
    }

    #[test]
    fn our_own_messages_read_back_and_the_seeds_are_understood() {
        let manifest = ManifestRef::new(S3Address::new("b", "k \"ü\""), Some("e".into()));
        assert_eq!(parse(&manifest.to_json()).expect("ours"), [manifest.clone()]);
        let counted = manifest.with_content(3, "0cc175b9c0f1b6a831c399e269772661".to_owned());
        assert!(counted.to_json().ends_with(r#""Rows":3,"MD5":"0cc175b9c0f1b6a831c399e269772661"}"#));
        assert_eq!(parse(&counted.to_json()).expect("ours"), [counted]);
        let seed = parse(r#"{"Bucket":"b","Key":"k","Later":{"x":1}}"#).expect("the seed's");
        assert_eq!(seed, [ManifestRef::new(S3Address::new("b", "k"), None)]);
    }

    #[test]
    fn s3_events_name_decoded_keys_of_created_objects() {
        let body = format!(
            r#"{{"Records":[{},{},{}]}}"#,
            event("ObjectCreated:Put", "a/b+c%2Bd.index"),
            event("ObjectRemoved:Delete", "x"),
            event("ObjectCreated:CompleteMultipartUpload", "y")
        );
        let keys: Vec<_> = parse(&body).expect("an event").into_iter().map(|it| it.key).collect();
        assert_eq!(keys, ["a/b c+d.index", "y"]);
    }

    #[test]
    fn the_test_event_names_nothing() {
        let body = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"b","RequestId":"x","HostId":"y"}"#;
        assert_eq!(parse(body).expect("a test event"), []);
    }

    #[test]
    fn a_message_nobody_can_use_is_an_error() {
        let broken = format!(r#"{{"Records":[{}]}}"#, event("ObjectCreated:Put", "%zz"));
        for body in ["", "null", "[]", "{}", "7", r#"{"Bucket":"b"}"#, r#"{"Bucket":"","Key":"k"}"#, broken.as_str()] {
            assert!(parse(body).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails_without_panic(body in ".{0,200}") {
            let _ = parse(&body);
        }
    }
}
