//! What a user calls a queue: a name with or without its account, an ARN, or a URL that may say
//! where the queue is.

use s3bundler_common::queue_url::QueueUrl;

use crate::queue::{QueueError, QueueErrorKind};

/// What a user calls a queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A name to look up, in another account or region if it says so.
    Name {
        name: String,
        account: Option<String>,
        region: Option<String>,
    },
    /// A URL, the region that its host names, and the endpoint that it is, where it is not AWS's of
    /// that region.
    Url {
        region: Option<String>,
        origin: Option<String>,
    },
}

impl Name {
    /// Tells URLs, ARNs and names apart, without a request.
    pub(super) fn parse(text: &str) -> Result<Self, QueueError> {
        let unsupported = |queue: &str, detail: &str| QueueError {
            action: "connecting",
            queue: queue.to_owned(),
            kind: QueueErrorKind::Unsupported,
            detail: detail.to_owned(),
        };
        if text.strip_suffix(".fifo").is_some() {
            return Err(unsupported(
                text,
                "it is a FIFO queue: groups need a standard queue",
            ));
        }
        if !text.contains("://") {
            return named(text).ok_or_else(|| {
                unsupported(
                    text,
                    "it is not a queue's name, ACCOUNT/NAME, ARN (arn:aws:sqs:REGION:ACCOUNT:NAME) or URL",
                )
            });
        }
        if text.contains('@') {
            return Err(unsupported(
                "(hidden)",
                "its URL has credentials in it, which have no place there",
            ));
        }
        let Some(url) = QueueUrl::parse(text) else {
            return Err(unsupported(
                text,
                "its URL should look like https://sqs.REGION.amazonaws.com/ACCOUNT/NAME",
            ));
        };
        let origin = (!url.is_public()).then(|| url.endpoint());
        Ok(Self::Url {
            region: url.region().map(str::to_owned),
            origin,
        })
    }
}

/// `NAME`, `ACCOUNT/NAME` or an ARN ("Queue and message identifiers", SQS developer guide).
fn named(text: &str) -> Option<Name> {
    let (name, account, region) = if text.starts_with("arn:") {
        let parts: Vec<&str> = text.split(':').collect();
        let [_, _, "sqs", region, account, name] = parts[..] else {
            return None;
        };
        (!region.is_empty()).then_some((name, Some(account), Some(region)))?
    } else {
        text.split_once('/')
            .map_or((text, None, None), |(account, name)| {
                (name, Some(account), None)
            })
    };
    let is_name = (1..=80).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let is_account =
        account.is_none_or(|it| it.len() == 12 && it.bytes().all(|b| b.is_ascii_digit()));
    let owned = |text: &str| text.to_owned();
    (is_name && is_account).then(|| Name::Name {
        name: owned(name),
        account: account.map(owned),
        region: region.map(owned),
    })
}

#[cfg(test)]
mod tests {
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
}
