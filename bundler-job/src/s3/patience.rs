//! How long to wait for answers, and how often to send a request again that was refused because there were too many.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

/// Until the answer to a small request, at least: listings take longer than objects.
const RECORDS: Duration = Duration::from_secs(30);
/// Bytes that are sent in a second, at least.
const SLOWEST: u64 = 64 * 1024;
/// No body is sent for longer.
const LONGEST_BODY: Duration = Duration::from_mins(30);
/// Copies and CompleteMultipartUpload take minutes on large objects.
const WORK: Duration = Duration::from_mins(5);
/// Between two requests of which the first was refused: 50, 100, 200, 400 ms.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// A request is sent again for so long, before the SDK counts one attempt …
const BUSY: Duration = Duration::from_secs(5);
/// … and for so long if no bucket has answered yet: most likely the endpoint is wrong.
const FIRST_CONTACT: Duration = Duration::from_secs(2);

/// What a server has to do before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Find an object.
    Find,
    /// List, create, delete.
    Record,
    /// Take so many bytes.
    Store(u64),
    /// Copy or assemble an object.
    Work,
}

impl Task {
    /// That of a request, by the API's name of its operation.
    pub(super) fn of(operation: &str, request: &HttpRequest) -> Self {
        let length = || request.headers().get("content-length").and_then(|length| length.parse().ok());
        match operation {
            "GetObject" | "HeadObject" | "GetObjectTagging" => Self::Find,
            "PutObject" | "UploadPart" => Self::Store(length().unwrap_or(0)),
            "CopyObject" | "UploadPartCopy" | "CompleteMultipartUpload" => Self::Work,
            _ => Self::Record,
        }
    }

    /// How long to wait for the answer. `first_byte` is the user's limit for GETs of objects.
    pub(super) fn limit(self, first_byte: Duration) -> Duration {
        match self {
            Self::Find => first_byte,
            Self::Record => RECORDS.max(first_byte),
            Self::Store(bytes) => RECORDS.max(first_byte) + Duration::from_secs(bytes / SLOWEST).min(LONGEST_BODY),
            Self::Work => WORK.max(first_byte),
        }
    }
}

/// How long a request that was refused so many times waits before it is sent again; `None` once it was refused for long
/// enough. `contact`: whether any bucket has answered.
pub(super) fn pause(refusals: u32, refused_for: Duration, contact: bool) -> Option<Duration> {
    if refused_for >= if contact { BUSY } else { FIRST_CONTACT } {
        return None;
    }
    let longest = FIRST_PAUSE.saturating_mul(1 << refusals.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    Some(longest.mul_f64(0.5 + rand::random::<f64>() / 2.0))
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::primitives::SdkBody;

    use super::*;

    #[test]
    fn every_answer_is_waited_for_as_long_as_its_operation_may_take() {
        let mut request = HttpRequest::new(SdkBody::empty());
        request.headers_mut().insert("content-length", (16 << 20).to_string());
        for (operation, first_byte, seconds) in [
            ("GetObject", 10, 10),
            ("HeadObject", 3, 3),
            ("GetObjectTagging", 10, 10),
            ("ListObjectsV2", 10, 30),
            ("ListObjectsV2", 60, 60),
            ("DeleteObject", 10, 30),
            ("CreateMultipartUpload", 10, 30),
            ("AbortMultipartUpload", 10, 30),
            ("UploadPart", 10, 30 + 256),
            ("PutObject", 60, 60 + 256),
            ("CopyObject", 10, 300),
            ("UploadPartCopy", 10, 300),
            ("CompleteMultipartUpload", 400, 400),
        ] {
            let limit = Task::of(operation, &request).limit(Duration::from_secs(first_byte));
            assert_eq!(limit.as_secs(), seconds, "{operation} {first_byte}");
        }
        assert_eq!(Task::Store(u64::MAX).limit(Duration::from_secs(10)).as_secs(), 30 + 30 * 60);
    }

    #[test]
    fn refused_requests_are_sent_again_for_seconds_and_for_fewer_before_any_bucket_has_answered() {
        for (refusals, longest) in [(1, 50), (2, 100), (4, 400), (100, 400)] {
            let pause = pause(refusals, Duration::ZERO, true).expect("sent again").as_millis();
            assert!((longest / 2..=longest).contains(&pause), "{refusals}: {pause} ms");
        }
        for (seconds, contact, again) in [(4, true, true), (5, true, false), (1, false, true), (2, false, false)] {
            assert_eq!(pause(9, Duration::from_secs(seconds), contact).is_some(), again, "{seconds} {contact}");
        }
    }
}
