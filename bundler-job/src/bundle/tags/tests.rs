use super::*;

#[test]
fn only_trouble_of_every_object_is_more_than_that_of_tags() {
    let missing = |tries| Answer::Missing { tries };
    for (kind, code, expected) in [
        (ErrorKind::NotFound, "NoSuchKey", missing(2)),
        (ErrorKind::NotFound, "HTTP 404", missing(2)),
        (ErrorKind::Rejected, "MethodNotAllowed", missing(1)),
        (ErrorKind::Unsupported, "NotImplemented", missing(1)),
        (ErrorKind::Unsupported, "HTTP 501", missing(3)),
        (ErrorKind::Rejected, "InvalidRequest", missing(3)),
        (ErrorKind::Denied, "AccessDenied", missing(2)),
        (ErrorKind::Credentials, "ExpiredToken", Answer::Judge),
        (ErrorKind::NoBucket, "NoSuchBucket", Answer::Judge),
        (ErrorKind::WrongRegion, "PermanentRedirect", Answer::Judge),
        (ErrorKind::Foreign, "HTTP 404", missing(9)),
        (ErrorKind::Throttled, "SlowDown", missing(9)),
        (ErrorKind::Transient, "InternalError", missing(9)),
    ] {
        let address = S3Address::new("b", "k");
        let error = S3Error {
            code: code.to_owned(),
            ..S3Error::local("GetObjectTagging", address, kind, "")
        };
        assert_eq!(answer(&error), expected, "{code}");
    }
}
