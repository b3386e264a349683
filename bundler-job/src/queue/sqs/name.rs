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
    /// A URL.
    Url(QueueUrl),
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
                    "it is not a queue's name, ACCOUNT/NAME, ARN \
                     (arn:aws:sqs:REGION:ACCOUNT:NAME) or URL",
                )
            });
        }
        if text.contains('@') {
            return Err(unsupported(
                "(hidden)",
                "its URL has credentials in it, which have no place there",
            ));
        }
        QueueUrl::parse(text).map(Self::Url).ok_or_else(|| {
            unsupported(
                text,
                "its URL should look like https://sqs.REGION.amazonaws.com/ACCOUNT/NAME",
            )
        })
    }

    /// The region that it names.
    pub(super) fn region(&self) -> Option<&str> {
        match self {
            Self::Name { region, .. } => region.as_deref(),
            Self::Url(url) => url.region(),
        }
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
mod tests;
