//! Whether an answer says that the token of temporary credentials has expired.

use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::config_bag::{Storable, StoreReplace};

/// "Error responses" (S3 API reference), "Common errors" (SQS API reference).
const CODES: [&str; 3] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
];

/// The token that a request was signed with. Once the service calls it expired, it is in the
/// configuration of the next attempt at the same request, where a cache of credentials finds it.
#[derive(Clone, PartialEq, Eq)]
pub struct ExpiredToken(String);

impl ExpiredToken {
    pub(super) fn new(token: &str) -> Self {
        Self(token.to_owned())
    }

    /// Whether this is the token.
    pub fn matches(&self, token: Option<&str>) -> bool {
        token == Some(&self.0)
    }
}

/// A token is a secret.
impl fmt::Debug for ExpiredToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExpiredToken")
    }
}

impl Storable for ExpiredToken {
    type Storer = StoreReplace<Self>;
}

/// Whether an answer says so. An answer to HEAD has no code: 400 may mean an expired token, unless
/// it names a region ("HeadObject", S3 API reference).
pub(super) fn says_so(is_head: bool, response: &HttpResponse) -> bool {
    let header = |name: &str| response.headers().get(name);
    let status = response.status().as_u16();
    if is_head {
        return status == 400 && header("x-amz-bucket-region").is_none();
    }
    let body = String::from_utf8_lossy(response.body().bytes().unwrap_or_default());
    let body = body.trim();
    // Of XML, and of JSON with or without a namespace.
    let names = |code: &str| {
        let in_json = || {
            ["#", "\""]
                .iter()
                .any(|before| body.contains(&format!("{before}{code}\"")))
        };
        body.contains(&format!("<Code>{code}</Code>"))
            || (body.starts_with('{') && body.contains("\"__type\"") && in_json())
            || header("x-amzn-query-error")
                .is_some_and(|error| error.split(';').next() == Some(code))
    };
    (400..500).contains(&status) && CODES.into_iter().any(names)
}

#[cfg(test)]
mod tests;
