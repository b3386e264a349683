use super::*;

/// Region, whether it is public, and ARN.
type Told = (Option<&'static str>, bool, Option<&'static str>);

#[test]
fn a_url_says_where_its_queue_is_and_what_it_is_called() {
    let cases: [(&str, Told); 14] = [
        (
            "https://sqs.eu-west-1.amazonaws.com/1/q",
            (Some("eu-west-1"), true, Some("arn:aws:sqs:eu-west-1:1:q")),
        ),
        (
            "https://sqs-fips.us-gov-west-1.amazonaws.com/1/q/",
            (
                Some("us-gov-west-1"),
                true,
                Some("arn:aws-us-gov:sqs:us-gov-west-1:1:q"),
            ),
        ),
        (
            "https://sqs.cn-north-1.amazonaws.com.cn/1/q",
            (
                Some("cn-north-1"),
                true,
                Some("arn:aws-cn:sqs:cn-north-1:1:q"),
            ),
        ),
        (
            "https://sqs.eu-west-1.api.aws/1/q",
            (Some("eu-west-1"), true, Some("arn:aws:sqs:eu-west-1:1:q")),
        ),
        (
            "https://eu-west-1.queue.amazonaws.com/1/q",
            (Some("eu-west-1"), true, Some("arn:aws:sqs:eu-west-1:1:q")),
        ),
        (
            "https://queue.amazonaws.com/1/q",
            (Some("us-east-1"), true, Some("arn:aws:sqs:us-east-1:1:q")),
        ),
        (
            "https://vpce-0a-b.sqs.eu-west-1.vpce.amazonaws.com/1/q",
            (Some("eu-west-1"), false, Some("arn:aws:sqs:eu-west-1:1:q")),
        ),
        (
            "http://10.88.0.1:5000/1/q",
            (None, false, Some("arn:aws:sqs:here:1:q")),
        ),
        (
            "https://s3.eu-west-1.amazonaws.com/1/q",
            (None, false, Some("arn:aws:sqs:here:1:q")),
        ),
        (
            "https://sqs.eu-west-1.amazonaws.com.example/1/q",
            (None, false, Some("arn:aws:sqs:here:1:q")),
        ),
        (
            "https://sqs.eu-west-1.amazonaws.com",
            (Some("eu-west-1"), true, None),
        ),
        (
            "https://sqs.eu-west-1.amazonaws.com/q",
            (Some("eu-west-1"), true, None),
        ),
        (
            "https://sqs.eu-west-1.amazonaws.com/1/2/q",
            (Some("eu-west-1"), true, None),
        ),
        // Another name than it looks like.
        (
            "https://sqs.eu-west-1.amazonaws.com/1/a%2Fq",
            (Some("eu-west-1"), true, None),
        ),
    ];
    for (text, expected) in cases {
        let url = QueueUrl::parse(text).expect(text);
        let arn = url.arn("here");
        assert_eq!(
            (url.region(), url.is_public(), arn.as_deref()),
            expected,
            "{text}"
        );
    }
}

#[test]
fn what_is_no_url_of_a_server_is_none() {
    for text in [
        "",
        "q",
        "/1/q",
        "ftp://h/1/q",
        "https:///1/q",
        "https://me:hunter2@h/1/q",
        "https://h y/1/q",
    ] {
        assert_eq!(QueueUrl::parse(text), None, "{text}");
    }
    let url = QueueUrl::parse("http://localhost:9324/000000000000/groups").expect("a URL");
    let told = (url.authority(), url.endpoint(), url.name(), url.is_https());
    assert_eq!(
        told,
        (
            "localhost:9324",
            "http://localhost:9324".to_owned(),
            "groups",
            false
        )
    );
}
