//! How long to wait for answers, and how often to send a request again that was refused because
//! there were too many.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat as Format};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

/// Until the answer to a small request, at least: listings take longer than objects.
const RECORDS: Duration = Duration::from_secs(30);
/// The last bytes of a body that may still be in buffers when all of it was sent: 400 KiB of
/// hyper's, the rest the kernel's …
const BUFFERED: u64 = 1 << 20;
/// … and how many of them go out in a second, at least, if the whole body fits.
const SLOWEST: u64 = 64 * 1024;
/// Bytes that a server stores in a second, at least, once it has them.
const STORED: u64 = 16 << 20;
/// Copies and CompleteMultipartUpload take minutes on large objects.
const WORK: Duration = Duration::from_mins(5);
/// Between two requests of which the first was refused: 50, 100, 200, 400 ms.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// A request is sent again for so long, before the SDK counts one attempt …
const BUSY: Duration = Duration::from_secs(5);
/// … and for so long if no bucket has answered yet: most likely the endpoint is wrong.
const FIRST_CONTACT: Duration = Duration::from_secs(2);
/// A server that wants no request for longer is asked anyway.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

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
        let length = || {
            request
                .headers()
                .get("content-length")
                .and_then(|length| length.parse().ok())
        };
        match operation {
            "GetObject" | "HeadObject" | "GetObjectTagging" => Self::Find,
            "PutObject" | "UploadPart" => Self::Store(length().unwrap_or(0)),
            "CopyObject" | "UploadPartCopy" | "CompleteMultipartUpload" => Self::Work,
            _ => Self::Record,
        }
    }

    /// How long to wait for the answer once the body was sent, which took so long. `first_byte` is
    /// the user's limit for GETs of objects.
    pub(super) fn limit(self, sent_in: Duration, first_byte: Duration) -> Duration {
        match self {
            Self::Find => first_byte,
            Self::Record => RECORDS.max(first_byte),
            Self::Store(bytes) => {
                RECORDS.max(first_byte)
                    + time_left(bytes, sent_in)
                    + Duration::from_secs(bytes / STORED)
            }
            Self::Work => WORK.max(first_byte),
        }
    }
}

/// How long the bytes of a body need that are still in buffers: twice as long as those before them.
fn time_left(bytes: u64, sent_in: Duration) -> Duration {
    let left = bytes.min(BUFFERED);
    let measured = if bytes > BUFFERED {
        sent_in * 2 / u32::try_from(bytes / BUFFERED).unwrap_or(u32::MAX)
    } else {
        Duration::ZERO
    };
    measured.max(Duration::from_secs(left / SLOWEST))
}

/// When a server that refuses wants the next request (RFC 9110, section 10.2.3): in so many
/// seconds, or at a date.
pub(super) fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let value = response.headers().get("retry-after")?.trim();
    let at_date = || {
        let date = DateTime::from_str(value, Format::HttpDate)
            .ok()
            .and_then(|date| SystemTime::try_from(date).ok())?;
        Some(date.duration_since(SystemTime::now()).unwrap_or_default())
    };
    // So many seconds that no number holds them are some, too.
    let in_seconds = || {
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| {
            value
                .parse()
                .map_or(LONGEST_RETRY_AFTER, Duration::from_secs)
        })
    };
    let time = in_seconds().or_else(at_date)?;
    Some(time.min(LONGEST_RETRY_AFTER))
}

/// How long a request that was refused so many times waits before it is sent again; `None` once it
/// was refused for long enough. `contact`: whether any bucket has answered.
pub(super) fn pause(refusals: u32, refused_for: Duration, contact: bool) -> Option<Duration> {
    if refused_for >= if contact { BUSY } else { FIRST_CONTACT } {
        return None;
    }
    let longest = FIRST_PAUSE
        .saturating_mul(1 << refusals.saturating_sub(1).min(16))
        .min(LONGEST_PAUSE);
    Some(longest.mul_f64(0.5 + rand::random::<f64>() / 2.0))
}

#[cfg(test)]
mod tests;
