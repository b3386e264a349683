//! What can be done to a request.

use std::time::Duration;

use bytes::Bytes;

/// The fate of one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fault {
    /// None.
    #[default]
    Forward,
    /// Answer with an S3 error; the server never sees the request.
    FailBefore {
        /// HTTP status.
        status: u16,
        /// S3's code, such as `InternalError`.
        code: &'static str,
    },
    /// Let the server do it, then answer with an S3 error instead of its answer.
    FailAfter {
        /// HTTP status.
        status: u16,
        /// S3's code, such as `InternalError`.
        code: &'static str,
    },
    /// Close the connection; the server never sees the request.
    DropBefore,
    /// Let the server do it, then close the connection: a lost answer.
    DropAfter,
    /// 503 SlowDown; the server never sees the request.
    Throttle,
    /// Wait, then forward.
    Delay(Duration),
    /// The answer's headers and so many bytes of its body, then close the connection.
    TruncateBody(u64),
    /// The answer's headers and so many bytes of its body, then nothing more while the connection
    /// stays open.
    StallBody(u64),
    /// The answer with the byte at this offset of its body changed.
    CorruptBody(u64),
    /// The answer without Content-Length, as other stores give it.
    Unframed {
        /// Whether it ends with its connection, and not in chunks.
        close: bool,
        /// Bytes of the body after which it ends as if it were whole.
        end: Option<u64>,
    },
    /// The answer with this header instead of its own of that name.
    SetHeader {
        /// Its name.
        name: &'static str,
        /// Its value, which need not be UTF-8.
        value: &'static [u8],
    },
    /// Never answer; the server never sees the request.
    Hang,
    /// Answer with this; the server never sees the request. For example 200 with an `<Error>`
    /// inside.
    Respond {
        /// HTTP status.
        status: u16,
        /// Names and values.
        headers: Vec<(String, String)>,
        /// The body.
        body: Bytes,
    },
}

/// S3's error document.
pub(super) fn error_document(code: &str, resource: &str) -> Bytes {
    // Resource is a raw request path: percent-encoded but for an apostrophe or an ampersand at
    // most.
    let resource = resource.replace('&', "&amp;");
    Bytes::from(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>Injected \
         by the testbed's \
         proxy</Message><Resource>{resource}</Resource><RequestId>TESTBED000000000</RequestId><HostId>testbed</HostId></Error>"
    ))
}
