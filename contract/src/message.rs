//! A message of the queue: "archive the group of this manifest". Ours, an S3 event (as it is, of EventBridge, or through
//! SNS), or S3's test event.

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
        Self { bucket: address.bucket, key: address.key, etag, rows: None, md5: None }
    }

    /// The same with what its writer knows of its content.
    #[must_use]
    pub fn with_content(self, rows: u64, md5: String) -> Self {
        Self { rows: Some(rows), md5: Some(md5), ..self }
    }

    /// The same with what its writer recorded of its content.
    #[must_use]
    pub fn with_recorded(self, Recorded { rows, md5 }: Recorded) -> Self {
        Self { rows, md5, ..self }
    }

    /// What it says of the manifest's content.
    pub fn recorded(&self) -> Recorded {
        Recorded { rows: self.rows, md5: self.md5.clone() }
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
    /// The manifests that it names: none for S3's test event, several for an S3 event of several records. Events that are
    /// not `ObjectCreated` name nothing.
    pub manifests: Vec<ManifestRef>,
    /// Whether S3 sent it because of an object that was created, as opposed to a program that names a manifest.
    pub is_event: bool,
    /// Records that are not S3 events or name no object. The message must not be deleted because of what else it names.
    pub unusable: Vec<MessageError>,
}

/// Wrappers inside each other, at most: an event of EventBridge through SNS.
const DEPTH: usize = 2;

/// Reads a message: ours, an S3 event, an S3 event of EventBridge, or one of them as a notification of SNS.
pub fn read(body: &str) -> Result<Message, MessageError> {
    read_inside(body, DEPTH)
}

/// The manifests of a message of which every part can be used.
pub fn parse(body: &str) -> Result<Vec<ManifestRef>, MessageError> {
    let message = read(body)?;
    message.unusable.into_iter().next().map_or(Ok(message.manifests), Err)
}

fn read_inside(body: &str, wrappers: usize) -> Result<Message, MessageError> {
    let message: Body = serde_json::from_str(body)?;
    // A list would be taken for the fields in their order.
    if !body.trim_start().starts_with('{') {
        return Err(MessageError::Foreign);
    }
    if message.event.as_deref() == Some("s3:TestEvent") {
        return Ok(Message { is_event: true, ..Message::default() });
    }
    match message {
        Body { records: Some(records), .. } => {
            let mut read = Message { is_event: true, ..Message::default() };
            for (n, record) in records.into_iter().enumerate() {
                match Record::read(record, n) {
                    Ok(manifest) => read.manifests.extend(manifest),
                    Err(error) => read.unusable.push(error),
                }
            }
            Ok(read)
        }
        Body { bucket: Some(bucket), key: Some(key), .. } if bucket.is_empty() || key.is_empty() => {
            Err(MessageError::Empty)
        }
        Body { bucket: Some(bucket), key: Some(key), etag, rows, md5, .. } => {
            let filled = |text: Option<String>| text.filter(|it| !it.is_empty());
            let manifest = ManifestRef { bucket, key, etag: filled(etag), rows, md5: filled(md5) };
            Ok(Message { manifests: vec![manifest], ..Message::default() })
        }
        // "Parsing Amazon SNS message formats", SNS developer guide.
        Body { kind: Some(kind), notification: Some(inner), .. } if kind == "Notification" && wrappers > 0 => {
            read_inside(&inner, wrappers - 1)
        }
        // "Using EventBridge", S3 user guide: keys are not encoded there. CloudTrail has events of the same source.
        Body { source: Some(source), detail_type: Some(kind), detail, .. }
            if source == "aws.s3" && kind.starts_with("Object ") =>
        {
            let mut read = Message { is_event: true, ..Message::default() };
            if kind == "Object Created" {
                let detail = detail.and_then(|detail| serde_json::from_value::<RecordS3>(detail).ok());
                read.manifests.push(detail.and_then(RecordS3::manifest).ok_or(MessageError::Record(0))?);
            }
            Ok(read)
        }
        _ => Err(MessageError::Foreign),
    }
}

/// The fields of all messages. Those of events and notifications may be other programs' in a message of ours, so that one
/// which is not a text is ignored.
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
        let Record { event_source, event_name, mut s3 } =
            serde_json::from_value(record).map_err(|_| MessageError::ForeignRecord(n))?;
        // `aws:s3`; other stores name themselves there, such as `minio:s3`.
        if !event_source.is_empty() && !event_source.ends_with(":s3") {
            return Err(MessageError::ForeignRecord(n));
        }
        if !event_name.strip_prefix("s3:").unwrap_or(&event_name).starts_with("ObjectCreated:") {
            return Ok(None);
        }
        s3.object.key = crate::group_manifest::decode_key(&s3.object.key).map_err(|_| MessageError::Record(n))?;
        s3.manifest().map(Some).ok_or(MessageError::Record(n))
    }
}

impl RecordS3 {
    fn manifest(self) -> Option<ManifestRef> {
        let Self { bucket, object } = self;
        let whole = !bucket.name.is_empty() && !object.key.is_empty();
        let etag = Some(etag::unquoted(object.etag.as_deref()).to_owned()).filter(|etag| !etag.is_empty());
        whole.then(|| ManifestRef { etag, ..ManifestRef::new(S3Address::new(bucket.name, object.key), None) })
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
        assert_eq!(parse(&manifest.to_json()).expect("ours"), std::slice::from_ref(&manifest));
        let counted = manifest.with_content(3, "0cc175b9c0f1b6a831c399e269772661".to_owned());
        assert!(counted.to_json().ends_with(r#""Rows":3,"MD5":"0cc175b9c0f1b6a831c399e269772661"}"#));
        assert_eq!(parse(&counted.to_json()).expect("ours"), [counted]);
        let seed = parse(r#"{"Bucket":"b","Key":"k","Later":{"x":1}}"#).expect("the seed's");
        assert_eq!(seed, [ManifestRef::new(S3Address::new("b", "k"), None)]);
        let with_names_of_events =
            r#"{"Bucket":"b","Key":"k","source":7,"Message":{"a":1},"Event":[],"detail-type":null}"#;
        assert_eq!(parse(with_names_of_events).expect("the seed's"), seed);
    }

    #[test]
    fn what_a_manifest_records_of_its_content_is_in_its_message() {
        let manifest = ManifestRef::new(S3Address::new("b", "k"), Some("e".into()));
        let recorded = Recorded { rows: Some(3), md5: Some("0cc175b9c0f1b6a831c399e269772661".to_owned()) };
        let message = manifest.clone().with_recorded(recorded.clone());
        assert_eq!(message.recorded(), recorded);
        assert_eq!(message, manifest.clone().with_content(3, "0cc175b9c0f1b6a831c399e269772661".to_owned()));
        assert_eq!(manifest.clone().with_recorded(Recorded::default()), manifest);
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
    fn records_of_other_services_are_unusable_also_beside_a_right_one() {
        for foreign in [
            r#"{"eventVersion":"1.05","eventSource":"iam.amazonaws.com","eventName":"ListRoles"}"#,
            r#"{"eventSource":"aws:kinesis","eventName":"aws:kinesis:record","kinesis":{"data":"aGVsbG8="}}"#,
            r#"{"eventSource":"aws:ses","ses":{"mail":{}}}"#,
            r#"{"EventSource":"aws:sns","Sns":{"Type":"Notification","Message":"{}"}}"#,
            r#"{"eventSource":"aws:sqs","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}"#,
            r#"{"eventSource":7}"#,
            "null",
        ] {
            let alone = read(&format!(r#"{{"Records":[{foreign}]}}"#)).expect("JSON");
            assert!(alone.manifests.is_empty() && alone.unusable.len() == 1, "{foreign}: {alone:?}");
            let right = event("ObjectCreated:Put", "k");
            let beside = read(&format!(r#"{{"Records":[{foreign},{right}]}}"#)).expect("JSON");
            assert!(matches!(beside.unusable[..], [MessageError::ForeignRecord(0)]), "{foreign}: {beside:?}");
            assert_eq!(beside.manifests.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["k"], "{foreign}");
            assert!(parse(&format!(r#"{{"Records":[{foreign},{right}]}}"#)).is_err(), "{foreign}");
        }
    }

    #[test]
    fn events_through_sns_and_of_eventbridge_are_understood() {
        let sns = |inner: &str| {
            serde_json::json!({"Type": "Notification", "TopicArn": "arn:aws:sns:r:1:t", "Message": inner}).to_string()
        };
        let bridge = |kind: &str, key: &str| {
            serde_json::json!({
                "version": "0", "source": "aws.s3", "detail-type": kind,
                "detail": {"bucket": {"name": "b"}, "object": {"key": key, "size": 1, "etag": "e"}},
            })
            .to_string()
        };
        let plain = format!(r#"{{"Records":[{}]}}"#, event("ObjectCreated:Put", "a+b%2B.index"));
        for (body, key) in [
            (sns(&plain), "a b+.index"),
            (bridge("Object Created", "a+b%2B.index"), "a+b%2B.index"),
            (sns(&bridge("Object Created", "a b.index")), "a b.index"),
        ] {
            let message = read(&body).expect("an event");
            assert!(message.is_event && message.unusable.is_empty(), "{body}");
            let manifest = ManifestRef::new(S3Address::new("b", key), Some("e".into()));
            assert_eq!(message.manifests, [manifest], "{body}");
        }
        let ours = read(&sns(r#"{"Bucket":"b","Key":"k.dlq"}"#)).expect("ours");
        assert!(!ours.is_event && ours.manifests.len() == 1, "{ours:?}");
        assert!(parse(&bridge("Object Deleted", "k")).expect("an event").is_empty());
        assert!(parse(&sns(r#"{"Event":"s3:TestEvent"}"#)).expect("a test event").is_empty());
        for body in [
            sns("lunch at noon?"),
            sns(&sns(&sns(&plain))),
            r#"{"Type":"SubscriptionConfirmation","Message":"You have chosen"}"#.to_owned(),
            r#"{"source":"aws.ec2","detail-type":"Object Created","detail":{}}"#.to_owned(),
            r#"{"source":"aws.s3","detail-type":"Object Created","detail":{}}"#.to_owned(),
            r#"{"source":"aws.s3","detail-type":"AWS API Call via CloudTrail","detail":{"eventName":"PutObject"}}"#
                .to_owned(),
        ] {
            assert!(read(&body).is_err(), "{body}");
        }
    }

    #[test]
    fn the_test_event_names_nothing() {
        let body = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"b","RequestId":"x","HostId":"y"}"#;
        assert_eq!(parse(body).expect("a test event"), []);
    }

    #[test]
    fn a_message_nobody_can_use_is_an_error() {
        let broken = format!(r#"{{"Records":[{}]}}"#, event("ObjectCreated:Put", "%zz"));
        let list = format!(r#"["b","k"{}]"#, ",null".repeat(10));
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "7",
            r#"{"Bucket":"b"}"#,
            r#"{"Bucket":"","Key":"k"}"#,
            r#"{"Bucket":"b","Key":7}"#,
            r#"{"Records":{}}"#,
            &broken,
            &list,
        ] {
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
