use super::*;

fn tags(given: &[&str]) -> Result<Tags, RequestOptionError> {
    Tags::new(given.iter().map(|tag| tag.parse().expect("a tag")))
}

#[test]
fn a_tag_has_the_characters_that_s3_takes() {
    for good in ["a=", "kö _.:/+@-2=ü =_.:/+@-1", "a=b=c"] {
        assert!(good.parse::<Tag>().is_ok(), "{good}");
    }
    for bad in ["a=$(NAME)", "a=b,c", "a&b=c", "a=b\n", "=a", "a", "aws:a=b"] {
        assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
    }
}

#[test]
fn requests_have_the_headers_of_their_bucket_and_operation() {
    let options = |encryption| RequestOptions {
        destination: Some("dst".to_owned()),
        encryption,
        tags: Tags::default(),
        destination_owner: Some("222222222222".parse().expect("an account")),
        source_owner: Some("111111111111".parse().expect("an account")),
        ..RequestOptions::default()
    };
    let kms = |key: &str| options(Encryption::SseKms(Some(key.parse().expect("a key"))));
    let dsse = options(Encryption::DsseKms(None));
    let (destination, source) = (
        "x-amz-expected-bucket-owner: 222222222222",
        "x-amz-expected-bucket-owner: 111111111111",
    );
    let copied = "x-amz-source-expected-bucket-owner: 111111111111";
    let within = "x-amz-source-expected-bucket-owner: 222222222222";
    let (by_kms, with) = (
        "x-amz-server-side-encryption: aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id: k",
    );
    let twice = "x-amz-server-side-encryption: aws:kms:dsse";
    let by_s3 = "x-amz-server-side-encryption: AES256";
    for (options, operation, to_destination, copied_from, expected) in [
        (
            kms("k"),
            "PutObject",
            true,
            None,
            vec![destination, by_kms, with],
        ),
        (
            kms("k"),
            "CreateMultipartUpload",
            true,
            None,
            vec![destination, by_kms, with],
        ),
        (
            kms("k"),
            "CopyObject",
            true,
            Some("src"),
            vec![destination, copied, by_kms, with],
        ),
        (
            kms("k"),
            "CopyObject",
            true,
            Some("dst"),
            vec![destination, within, by_kms, with],
        ),
        (kms("k"), "UploadPart", true, None, vec![destination]),
        (
            kms("k"),
            "UploadPartCopy",
            true,
            Some("src"),
            vec![destination, copied],
        ),
        (kms("k"), "GetObject", true, None, vec![destination]),
        (kms("k"), "GetObject", false, None, vec![source]),
        (kms("k"), "PutObject", false, None, vec![source]),
        (dsse, "PutObject", true, None, vec![destination, twice]),
        (
            options(Encryption::SseS3),
            "PutObject",
            true,
            None,
            vec![destination, by_s3],
        ),
        (
            options(Encryption::BucketDefault),
            "PutObject",
            true,
            None,
            vec![destination],
        ),
        (
            RequestOptions::default(),
            "CopyObject",
            true,
            Some("src"),
            vec![],
        ),
    ] {
        let headers = options.headers(operation, to_destination, copied_from);
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(headers, expected, "{operation} {copied_from:?}");
    }
}

#[test]
fn given_tags_win_over_the_sources_and_ten_fit() {
    let source: BTreeMap<_, _> = (0..10).map(|n| (format!("s{n}"), n.to_string())).collect();
    let given = tags(&["s3=mine", "a=b c/d=e"]).expect("tags");
    let (all, left_out) = given.and_of_source(&source);
    assert_eq!((all.0.len(), left_out), (10, 1));
    assert_eq!((all.0["s3"].as_str(), all.0["s8"].as_str()), ("mine", "8"));
    assert!(!all.0.contains_key("s9"));
    assert_eq!(given.header().as_deref(), Some("a=b+c%2Fd%3De&s3=mine"));
    assert_eq!(Tags::default().and_of_source(&source).1, 0);
    assert_eq!(Tags::default().header(), None);
}

#[test]
fn what_is_no_tag_account_or_key_is_refused() {
    for good in ["a=", "a=b=c", "team=a b"] {
        assert!(good.parse::<Tag>().is_ok(), "{good}");
    }
    assert_eq!("a".parse::<Tag>(), Err(RequestOptionError::Tag));
    assert_eq!("=a".parse::<Tag>(), Err(RequestOptionError::Tag));
    assert_eq!(
        format!("{}=", "ä".repeat(129)).parse::<Tag>(),
        Err(RequestOptionError::Tag)
    );
    assert_eq!(
        format!("a={}", "ä".repeat(257)).parse::<Tag>(),
        Err(RequestOptionError::Tag)
    );
    assert_eq!(
        "aws:a=b".parse::<Tag>(),
        Err(RequestOptionError::ReservedTag)
    );
    assert_eq!(
        tags(&["a=1", "a=1"]),
        Err(RequestOptionError::TagTwice("a".to_owned()))
    );
    let numbered: Vec<_> = (0..11).map(|n| format!("t{n}=")).collect();
    let numbered: Vec<_> = numbered.iter().map(String::as_str).collect();
    assert!(tags(&numbered[..10]).is_ok());
    assert_eq!(tags(&numbered), Err(RequestOptionError::TooManyTags(11)));
    for bad in [
        "",
        "11111111111",
        "1111111111111",
        "11111111111a",
        "１１１１",
    ] {
        assert_eq!(
            bad.parse::<AccountId>(),
            Err(RequestOptionError::Account),
            "{bad}"
        );
    }
    for bad in ["", "a b", "a\nb", "ä"] {
        assert_eq!(
            bad.parse::<KmsKeyId>(),
            Err(RequestOptionError::KmsKey),
            "{bad}"
        );
    }
}
