use s3bundler_contract::{ExitCode, HasExitCode as _};

use super::*;

#[test]
fn a_url_is_told_from_a_name_and_says_where_it_is() {
    let name = |name: &str, account: Option<&str>, region: Option<&str>| Name::Name {
        name: name.to_owned(),
        account: account.map(str::to_owned),
        region: region.map(str::to_owned),
    };
    for (text, expected) in [
        ("groups", name("groups", None, None)),
        ("a-B_9", name("a-B_9", None, None)),
        ("123456789012/q", name("q", Some("123456789012"), None)),
        (
            "arn:aws:sqs:eu-west-1:123456789012:q",
            name("q", Some("123456789012"), Some("eu-west-1")),
        ),
        (
            "arn:aws-cn:sqs:cn-north-1:123456789012:q",
            name("q", Some("123456789012"), Some("cn-north-1")),
        ),
    ] {
        assert_eq!(Name::parse(text).expect(text), expected, "{text}");
    }
    for (text, region) in [
        (
            "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
            Some("eu-west-1"),
        ),
        ("http://localhost:9324/000000000000/q", None),
    ] {
        let parsed = Name::parse(text).expect(text);
        assert_eq!(parsed.region(), region, "{text}");
        assert_eq!(parsed, Name::Url(QueueUrl::parse(text).expect(text)));
    }
}

#[test]
fn what_names_no_queue_is_a_matter_of_usage_and_credentials_are_not_repeated() {
    let long = "q".repeat(81);
    for text in [
        "",
        "a b",
        "a/b",
        "12345/q",
        "123456789012/a/b",
        "123456789012/",
        "arn:aws:sqs:eu-west-1:123456789012",
        "arn:aws:sqs::123456789012:q",
        "arn:aws:sqs:eu-west-1::q",
        "arn:aws:sns:eu-west-1:123456789012:q",
        "arn:aws:sqs:eu-west-1:123456789012:q.fifo",
        "q.fifo",
        "https://h/1/q.fifo",
        "ftp://h/q",
        "s3:/b",
        "http://",
        &long,
    ] {
        let error = Name::parse(text).expect_err(text);
        assert_eq!(
            (error.kind, error.exit_code()),
            (QueueErrorKind::Unsupported, ExitCode::Usage)
        );
    }
    let error = Name::parse("https://me:hunter2@host/1/q").expect_err("credentials");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
