use super::*;

#[test]
fn an_address_is_bucket_and_literal_key() {
    for (text, bucket, key) in [
        ("s3://b/k", "b", "k"),
        ("s3://b/a//b/ c+d%20", "b", "a//b/ c+d%20"),
        ("s3://b/", "b", ""),
        ("s3://b", "b", ""),
    ] {
        assert_eq!(
            text.parse::<S3Address>(),
            Ok(S3Address::new(bucket, key)),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_address_says_what_one_looks_like() {
    for text in ["", "b/k", "http://b/k", "s3:///k", "s3://"] {
        let error = text.parse::<S3Address>().expect_err(text).to_string();
        assert!(error.contains("s3://bucket/key"), "{error}");
    }
}
