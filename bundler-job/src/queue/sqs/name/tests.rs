use s3bundler_contract::{ExitCode, HasExitCode as _};

use super::*;

#[test]
fn a_url_is_told_from_a_name_and_says_where_it_is() {
    let url = |region: Option<&str>, origin: Option<&str>| Name::Url {
        region: region.map(str::to_owned),
        origin: origin.map(str::to_owned),
    };
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
        (
            "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
            url(Some("eu-west-1"), None),
        ),
        (
            "https://sqs-fips.us-east-2.amazonaws.com/123456789012/q",
            url(Some("us-east-2"), None),
        ),
        (
            "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q",
            url(Some("cn-north-1"), None),
        ),
        (
            "https://sqs.eu-west-1.api.aws/123456789012/q",
            url(Some("eu-west-1"), None),
        ),
        (
            "https://eu-west-1.queue.amazonaws.com/123456789012/q",
            url(Some("eu-west-1"), None),
        ),
        (
            "https://queue.amazonaws.com/123456789012/q",
            url(Some("us-east-1"), None),
        ),
        (
            "https://vpce-0a-b.sqs.eu-west-1.vpce.amazonaws.com/123456789012/q",
            url(
                Some("eu-west-1"),
                Some("https://vpce-0a-b.sqs.eu-west-1.vpce.amazonaws.com"),
            ),
        ),
        (
            "http://localhost:9324/000000000000/q",
            url(None, Some("http://localhost:9324")),
        ),
        (
            "http://amazonaws.com.example/1/q",
            url(None, Some("http://amazonaws.com.example")),
        ),
    ] {
        assert_eq!(Name::parse(text).expect(text), expected, "{text}");
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
