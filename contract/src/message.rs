//! A message of the queue: "archive the group of this manifest". Ours, an S3 event (as it is, of
//! EventBridge, or through SNS), or S3's test event.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::address::S3Address;
use crate::etag;
use crate::group_manifest::Recorded;

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
    /// The rows that its writer put into it; absent in messages of older writers and in events of
    /// S3.
    #[serde(rename = "Rows", default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// MD5 of its stored bytes, 32 hex digits; absent as above.
    #[serde(rename = "MD5", default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
}

/// Why a message's body cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Not JSON, or a field of ours has another type.
    #[error("it is not the JSON of a message: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but neither ours nor an S3 event.
    #[error("it has neither Bucket and Key nor the Records of an S3 event")]
    Foreign,
    /// A record of another service, such as CloudTrail, Kinesis or SES.
    #[error("record {0} is not an S3 event")]
    ForeignRecord(usize),
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
        Self {
            bucket: address.bucket,
            key: address.key,
            etag,
            rows: None,
            md5: None,
        }
    }

    /// The same with what its writer knows of its content.
    #[must_use]
    pub fn with_content(self, rows: u64, md5: String) -> Self {
        Self {
            rows: Some(rows),
            md5: Some(md5),
            ..self
        }
    }

    /// The same with what its writer recorded of its content.
    #[must_use]
    pub fn with_recorded(self, Recorded { rows, md5 }: Recorded) -> Self {
        Self { rows, md5, ..self }
    }

    /// What it says of the manifest's content.
    pub fn recorded(&self) -> Recorded {
        Recorded {
            rows: self.rows,
            md5: self.md5.clone(),
        }
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

/// What a message's body says.
#[derive(Debug, Default)]
pub struct Message {
    /// The manifests that it names: none for S3's test event, several for an S3 event of several
    /// records. Events that are not `ObjectCreated` name nothing.
    pub manifests: Vec<ManifestRef>,
    /// Whether S3 sent it because of an object that was created, as opposed to a program that names
    /// a manifest.
    pub is_event: bool,
    /// Records that are not S3 events or name no object. The message must not be deleted because of
    /// what else it names.
    pub unusable: Vec<MessageError>,
}

/// Wrappers inside each other, at most: an event of EventBridge through SNS.
const DEPTH: usize = 2;

/// Reads a message: ours, an S3 event, an S3 event of EventBridge, or one of them as a notification
/// of SNS.
pub fn read(body: &str) -> Result<Message, MessageError> {
    read_inside(body, DEPTH)
}

/// The manifests of a message of which every part can be used.
pub fn parse(body: &str) -> Result<Vec<ManifestRef>, MessageError> {
    let message = read(body)?;
    message
        .unusable
        .into_iter()
        .next()
        .map_or(Ok(message.manifests), Err)
}

fn read_inside(body: &str, wrappers: usize) -> Result<Message, MessageError> {
    let message: Body = serde_json::from_str(body)?;
    // A list would be taken for the fields in their order.
    if !body.trim_start().starts_with('{') {
        return Err(MessageError::Foreign);
    }
    if message.event.as_deref() == Some("s3:TestEvent") {
        return Ok(Message {
            is_event: true,
            ..Message::default()
        });
    }
    match message {
        Body {
            records: Some(records),
            ..
        } => {
            let mut read = Message {
                is_event: true,
                ..Message::default()
            };
            for (n, record) in records.into_iter().enumerate() {
                match Record::read(record, n) {
                    Ok(manifest) => read.manifests.extend(manifest),
                    Err(error) => read.unusable.push(error),
                }
            }
            Ok(read)
        }
        Body {
            bucket: Some(bucket),
            key: Some(key),
            ..
        } if bucket.is_empty() || key.is_empty() => Err(MessageError::Empty),
        Body {
            bucket: Some(bucket),
            key: Some(key),
            etag,
            rows,
            md5,
            ..
        } => {
            let filled = |text: Option<String>| text.filter(|it| !it.is_empty());
            let manifest = ManifestRef {
                bucket,
                key,
                etag: filled(etag),
                rows,
                md5: filled(md5),
            };
            Ok(Message {
                manifests: vec![manifest],
                ..Message::default()
            })
        }
        // "Parsing Amazon SNS message formats", SNS developer guide.
        Body {
            kind: Some(kind),
            notification: Some(inner),
            ..
        } if kind == "Notification" && wrappers > 0 => read_inside(&inner, wrappers - 1),
        // "Using EventBridge", S3 user guide: keys are not encoded there. CloudTrail has events of
        // the same source.
        Body {
            source: Some(source),
            detail_type: Some(kind),
            detail,
            ..
        } if source == "aws.s3" && kind.starts_with("Object ") => {
            let mut read = Message {
                is_event: true,
                ..Message::default()
            };
            if kind == "Object Created" {
                let detail =
                    detail.and_then(|detail| serde_json::from_value::<RecordS3>(detail).ok());
                read.manifests.push(
                    detail
                        .and_then(RecordS3::manifest)
                        .ok_or(MessageError::Record(0))?,
                );
            }
            Ok(read)
        }
        _ => Err(MessageError::Foreign),
    }
}

/// The fields of all messages. Those of events and notifications may be other programs' in a
/// message of ours, so that one which is not a text is ignored.
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
    #[serde(rename = "Event", default, deserialize_with = "text")]
    event: Option<String>,
    #[serde(rename = "Records")]
    records: Option<Vec<Value>>,
    #[serde(rename = "Type", default, deserialize_with = "text")]
    kind: Option<String>,
    #[serde(rename = "Message", default, deserialize_with = "text")]
    notification: Option<String>,
    #[serde(default, deserialize_with = "text")]
    source: Option<String>,
    #[serde(rename = "detail-type", default, deserialize_with = "text")]
    detail_type: Option<String>,
    detail: Option<Value>,
}

/// A text; nothing in place of any other value.
fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// "Event message structure", S3 user guide.
#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventSource", default)]
    event_source: String,
    #[serde(rename = "eventName")]
    event_name: String,
    s3: RecordS3,
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
    #[serde(rename = "eTag", alias = "etag")]
    etag: Option<String>,
}

impl Record {
    /// The manifest of an S3 event; none if it is of something else than an object's creation.
    fn read(record: Value, n: usize) -> Result<Option<ManifestRef>, MessageError> {
        let Record {
            event_source,
            event_name,
            mut s3,
        } = serde_json::from_value(record).map_err(|_| MessageError::ForeignRecord(n))?;
        // `aws:s3`; other stores name themselves there, such as `minio:s3`.
        if !event_source.is_empty() && !event_source.ends_with(":s3") {
            return Err(MessageError::ForeignRecord(n));
        }
        if !event_name
            .strip_prefix("s3:")
            .unwrap_or(&event_name)
            .starts_with("ObjectCreated:")
        {
            return Ok(None);
        }
        s3.object.key = crate::group_manifest::decode_key(&s3.object.key)
            .map_err(|_| MessageError::Record(n))?;
        s3.manifest().map(Some).ok_or(MessageError::Record(n))
    }
}

impl RecordS3 {
    fn manifest(self) -> Option<ManifestRef> {
        let Self { bucket, object } = self;
        let whole = !bucket.name.is_empty() && !object.key.is_empty();
        let etag =
            Some(etag::unquoted(object.etag.as_deref()).to_owned()).filter(|etag| !etag.is_empty());
        whole.then(|| ManifestRef {
            etag,
            ..ManifestRef::new(S3Address::new(bucket.name, object.key), None)
        })
    }
}

#[cfg(test)]
mod tests;
