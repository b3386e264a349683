//! URLs of SQS queues, taken apart without asking anybody.

use http::Uri;
use http::uri::{Authority, Scheme};

/// The URL of a queue: `https://sqs.eu-west-1.amazonaws.com/111122223333/name` ("Queue and message
/// identifiers", SQS developer guide), or that of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrl {
    scheme: Scheme,
    authority: Authority,
    path: String,
}

impl QueueUrl {
    /// Takes a URL apart; `None` where the text is none of http or https, or has credentials in it.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.parse::<Uri>().ok()?.into_parts();
        let (scheme, authority) = (parts.scheme?, parts.authority?);
        let is_http = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
        let path = parts
            .path_and_query
            .map(|it| it.path().to_owned())
            .unwrap_or_default();
        (is_http && !authority.as_str().contains('@')).then_some(Self {
            scheme,
            authority,
            path,
        })
    }

    /// Whether nobody can listen.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// The server: scheme, host and port.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// The region that a host of SQS names, in any of the forms that it has had ("Amazon SQS
    /// endpoints and quotas", AWS General Reference). `None` elsewhere.
    pub fn region(&self) -> Option<&str> {
        let host = self.authority.host();
        let of_aws = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"]
            .iter()
            .any(|end| host.ends_with(end));
        let labels: Vec<&str> = host.split('.').collect();
        match labels[..] {
            _ if !of_aws => None,
            // The first region's queues have had no region in their names.
            ["queue", "amazonaws", "com"] => Some("us-east-1"),
            [region, "queue", ..]
            | ["sqs" | "sqs-fips", region, ..]
            | [_, "sqs", region, "vpce", ..] => Some(region),
            _ => None,
        }
    }

    /// Whether this is where everybody finds the queues of a region, not an endpoint of somebody's
    /// own network.
    pub fn is_public(&self) -> bool {
        self.region().is_some() && !self.authority.host().contains(".vpce.")
    }

    /// The queue's name.
    pub fn name(&self) -> &str {
        self.path
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default()
    }

    /// The queue's ARN ("Actions, resources, and condition keys for Amazon SQS", service
    /// authorization reference): in this region where the URL names none. `None` where it does not
    /// name account and queue.
    pub fn arn(&self, region: &str) -> Option<String> {
        let region = self.region().unwrap_or(region);
        let partition = match region {
            _ if region.starts_with("cn-") => "aws-cn",
            _ if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let (account, name) = self.path.trim_matches('/').split_once('/')?;
        let are_plain = [account, name]
            .iter()
            .all(|part| !part.is_empty() && !part.contains(['/', ':', '%']));
        are_plain.then(|| format!("arn:{partition}:sqs:{region}:{account}:{name}"))
    }
}

#[cfg(test)]
mod tests;
