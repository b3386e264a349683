use s3bundler_contract::S3Address;

use super::*;

#[test]
fn an_objects_trouble_stays_with_the_object() {
    for (kind, verdict) in [
        (ErrorKind::NotFound, Verdict::Object(Reason::NoSuchKey)),
        (ErrorKind::Archived, Verdict::Object(Reason::Glacier)),
        (ErrorKind::CustomerKey, Verdict::Object(Reason::SseC)),
        (ErrorKind::Denied, Verdict::Object(Reason::AccessDenied)),
        (ErrorKind::Unsent, Verdict::Object(Reason::Invalid)),
        (ErrorKind::Credentials, Verdict::Group),
        (ErrorKind::NoBucket, Verdict::Group),
        (ErrorKind::WrongRegion, Verdict::Group),
        (ErrorKind::Precondition, Verdict::Changed),
        (ErrorKind::Throttled, Verdict::Again),
        (ErrorKind::Transient, Verdict::Again),
        (ErrorKind::Foreign, Verdict::Again),
        (ErrorKind::Conflict, Verdict::Again),
        (ErrorKind::Unreachable, Verdict::Again),
        (ErrorKind::Unsupported, Verdict::Again),
        (ErrorKind::Rejected, Verdict::Again),
    ] {
        let error = S3Error::local("GetObject", S3Address::new("b", "k"), kind, "");
        assert_eq!(reason(&error), verdict, "{kind:?}");
    }
    let address = S3Address::new("b", "k");
    let no_upload = S3Error {
        code: "NoSuchUpload".to_owned(),
        ..S3Error::local("GetObject", address, ErrorKind::NotFound, "")
    };
    assert_eq!(reason(&no_upload), Verdict::Again);
}
