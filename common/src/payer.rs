//! Requester Pays: the header that accepts the cost of a read ("Using Requester Pays buckets", S3
//! user guide). A client adds it to all of its requests, so that no call can forget it.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::config_bag::ConfigBag;

const HEADER: &str = "x-amz-request-payer";
const REQUESTER: &str = "requester";

/// The buckets for which the requester pays.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Payer {
    /// The bucket that the client is for.
    Asked,
    /// Every bucket that the client copies from, except this one.
    CopiedFromOthers(String),
}

/// Adds the header to the requests of one client, before they are signed.
#[derive(Debug, Clone)]
pub struct RequesterPays(Payer);

impl RequesterPays {
    /// For a client that reads sources: every request.
    pub const fn for_sources() -> Self {
        Self(Payer::Asked)
    }

    /// For a client that writes to `bucket`: copies from other buckets, because a copy is a read of
    /// its source.
    pub const fn for_destination(bucket: String) -> Self {
        Self(Payer::CopiedFromOthers(bucket))
    }

    /// Whether the header belongs to a request with these headers.
    fn pays(&self, headers: &Headers) -> bool {
        match &self.0 {
            Payer::Asked => true,
            Payer::CopiedFromOthers(own) => {
                copied_from(headers).is_some_and(|bucket| bucket != own)
            }
        }
    }
}

/// The bucket that a request copies from; `None` if it does not copy.
pub fn copied_from(headers: &Headers) -> Option<&str> {
    headers.get("x-amz-copy-source")?.split('/').next()
}

#[dyn_dispatch_hint]
impl Intercept for RequesterPays {
    fn name(&self) -> &'static str {
        "requester pays"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        if self.pays(headers) {
            headers.try_insert(HEADER, REQUESTER)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
