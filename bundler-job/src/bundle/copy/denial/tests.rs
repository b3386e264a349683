use super::*;

#[test]
fn a_message_names_the_side_by_its_arn() {
    for (message, expected) in [
        ("AccessDenied: Access Denied", None),
        (
            "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: s3:PutObject on \
             resource: \"arn:aws:s3:::dst/p/objects/a\" because no identity-based policy allows it",
            Some(Side::Destination),
        ),
        (
            "… to perform: s3:GetObjectTagging on resource: \"arn:aws-cn:s3:::src/k\"",
            Some(Side::Source),
        ),
        ("on resource: \"arn:aws:s3:::src-2/k\"", None),
        ("on resource: arn:aws:s3:::src", Some(Side::Source)),
        ("arn:aws:s3:::src/k and arn:aws:s3:::dst/k", None),
    ] {
        assert_eq!(named(message, "src", "dst"), expected, "{message}");
    }
    assert_eq!(named("arn:aws:s3:::b/k", "b", "b"), None);
}
