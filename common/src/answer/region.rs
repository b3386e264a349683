//! The two regions of a request that went to the wrong one, for the message.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Headers;

use super::asked::Asked;

/// The regions of a request whose answer is
/// [`ErrorKind::WrongRegion`](super::ErrorKind::WrongRegion), as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Regions {
    /// The region that the request was signed for.
    pub signed_for: Option<String>,
    /// The region of the bucket, as the answer names it.
    pub bucket: Option<String>,
}

impl Regions {
    /// The regions of a failed request.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self {
        error
            .raw_response()
            .map(Self::of_answer)
            .unwrap_or_default()
    }

    /// S3 names the bucket's region in a header ("HeadBucket", S3 API reference), other stores in
    /// the error document.
    fn of_answer(answer: &HttpResponse) -> Self {
        let document = answer
            .body()
            .bytes()
            .and_then(|body| std::str::from_utf8(body).ok());
        let element =
            document.and_then(|text| text.split_once("<Region>")?.1.split_once("</Region>"));
        let named = answer
            .headers()
            .get("x-amz-bucket-region")
            .or_else(|| element.map(|(region, _)| region));
        let signed_for = answer
            .extension::<Asked>()
            .and_then(|asked| asked.region.clone());
        Self {
            signed_for,
            bucket: named.filter(|name| is_region(name)).map(str::to_owned),
        }
    }

    /// What is known in one sentence; `None` if nothing is.
    pub fn sentence(&self) -> Option<String> {
        match (&self.signed_for, &self.bucket) {
            (Some(signed_for), Some(bucket)) => Some(format!(
                "the request was signed for {signed_for}, and the bucket is in {bucket}"
            )),
            (Some(signed_for), None) => Some(format!(
                "the request was signed for {signed_for}, and the bucket is in another region"
            )),
            (None, Some(bucket)) => Some(format!("the bucket is in {bucket}")),
            (None, None) => None,
        }
    }
}

/// The region in the credential scope of a signed request ("Authenticating requests", S3 API
/// reference).
pub(super) fn signed_for(headers: &Headers) -> Option<String> {
    let (_, scope) = headers.get("authorization")?.split_once("Credential=")?;
    let region = scope.split(',').next()?.split('/').rev().nth(2)?;
    is_region(region).then(|| region.to_owned())
}

/// The answer is from outside, and a message may repeat the name as the value of an option.
fn is_region(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests;
