//! Whose trouble a failed read of a source object is: the object's, the group's, or nobody's for long.

use s3bundler_contract::Reason;

use crate::s3::{ErrorKind, S3Error};

/// Whose trouble an answer of the source is, as plain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The object's, for this reason.
    Object(Reason),
    /// Nobody's: try again.
    Again,
    /// The object was replaced.
    Changed,
    /// Everybody's.
    Group,
}

/// Judges a failed read of a source object.
pub fn reason(error: &S3Error) -> Verdict {
    match error.kind {
        ErrorKind::NotFound => Verdict::Object(Reason::NoSuchKey),
        ErrorKind::Archived => Verdict::Object(Reason::Glacier),
        // A bucket policy, an object's ACL or a KMS key denies this object; bad credentials deny every one.
        ErrorKind::Denied
            if error.code == "AccessDenied" || error.code == "HTTP 403" || error.code.starts_with("KMS.") =>
        {
            Verdict::Object(Reason::AccessDenied)
        }
        ErrorKind::Denied | ErrorKind::NoBucket => Verdict::Group,
        ErrorKind::Precondition => Verdict::Changed,
        ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::Conflict | ErrorKind::Unreachable => Verdict::Again,
        // A version that is a delete marker answers 405 ("GetObject", S3 API reference).
        ErrorKind::Rejected if error.code == "MethodNotAllowed" || error.code == "HTTP 405" => {
            Verdict::Object(Reason::NoSuchKey)
        }
        // S3 says only InvalidRequest, and in words that the object has a server-side encryption form that needs
        // parameters.
        ErrorKind::Rejected if error.detail.contains("Server Side Encryption") => Verdict::Object(Reason::SseC),
        ErrorKind::Rejected => Verdict::Object(Reason::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use s3bundler_contract::S3Address;

    use super::*;

    #[test]
    fn an_objects_trouble_stays_with_the_object() {
        let error = |kind, code: &str, detail: &str| S3Error {
            action: "GetObject",
            address: S3Address::new("b", "k"),
            kind,
            code: code.to_owned(),
            detail: detail.to_owned(),
        };
        for (kind, code, verdict) in [
            (ErrorKind::NotFound, "NoSuchKey", Verdict::Object(Reason::NoSuchKey)),
            (ErrorKind::NotFound, "NoSuchVersion", Verdict::Object(Reason::NoSuchKey)),
            (ErrorKind::Rejected, "MethodNotAllowed", Verdict::Object(Reason::NoSuchKey)),
            (ErrorKind::Archived, "InvalidObjectState", Verdict::Object(Reason::Glacier)),
            (ErrorKind::Denied, "AccessDenied", Verdict::Object(Reason::AccessDenied)),
            (ErrorKind::Denied, "KMS.DisabledException", Verdict::Object(Reason::AccessDenied)),
            (ErrorKind::Denied, "ExpiredToken", Verdict::Group),
            (ErrorKind::Denied, "InvalidAccessKeyId", Verdict::Group),
            (ErrorKind::NoBucket, "NoSuchBucket", Verdict::Group),
            (ErrorKind::Throttled, "SlowDown", Verdict::Again),
            (ErrorKind::Precondition, "PreconditionFailed", Verdict::Changed),
            (ErrorKind::Rejected, "InvalidArgument", Verdict::Object(Reason::Invalid)),
        ] {
            assert_eq!(reason(&error(kind, code, "")), verdict, "{code}");
        }
        let sse_c = "InvalidRequest: The object was stored using a form of Server Side Encryption.";
        assert_eq!(reason(&error(ErrorKind::Rejected, "InvalidRequest", sse_c)), Verdict::Object(Reason::SseC));
    }
}
