//! Foreign answers and those that were cut off or damaged are tried again by the SDK, as it does
//! with answers of the service that may pass. So is 429, which the SDK knows only with the codes of
//! AWS, and a token that has expired: credentials may be renewed while a request is on its way.
//! Answers of success that tell of no object are made errors first.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
    BeforeTransmitInterceptorContextRef, InterceptorContext,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::asked::Asked;
use super::expired::{self, ExpiredToken};
use super::region::signed_for;
use super::{Answer, ErrorKind, Origin, Service, classify, error_document, origin};

/// The two parts of a client that have the SDK try a request again whose answer is not the
/// service's, or was cut off. They come together because neither works alone: the SDK takes the
/// request away before it judges the answer, and an answer without a body is right for HEAD only.
pub fn retry_foreign(service: Service) -> (impl Intercept + 'static, impl ClassifyRetry + 'static) {
    (NoteRequest, RetryForeign(service))
}

const TOO_MANY_REQUESTS: u16 = 429;

/// Judges answers that [`NoteRequest`] has marked.
#[derive(Debug)]
struct RetryForeign(Service);

impl ClassifyRetry for RetryForeign {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let (Some(Err(_)), Some(response)) = (context.output_or_error(), context.response()) else {
            return RetryAction::NoActionIndicated;
        };
        let Some(Asked { is_head, .. }) = response.extension::<Asked>() else {
            return RetryAction::NoActionIndicated;
        };
        let status = response.status().as_u16();
        if status == TOO_MANY_REQUESTS {
            return RetryAction::throttling_error();
        }
        if expired::says_so(*is_head, response) {
            return RetryAction::server_error();
        }
        if let (Service::S3, Some(action)) = (self.0, of_document(response)) {
            return action;
        }
        let origin = origin::origin(self.0, *is_head, response);
        let answer = Answer {
            operation: "",
            status,
            code: "",
            message: "",
            origin,
        };
        // Also if it says that there is no such operation: a page may say so once. S3 gives to HEAD
        // no answer of this kind.
        if origin == Origin::Foreign || (*is_head && classify(&answer) == ErrorKind::Foreign) {
            return RetryAction::transient_error();
        }
        RetryAction::NoActionIndicated
    }

    fn name(&self) -> &'static str {
        "too many requests, damaged bytes, an expired token, or an answer that is not the service's"
    }
}

/// Whether to try again by S3's error document, if it says so in a way that the SDK does not know.
fn of_document(response: &HttpResponse) -> Option<RetryAction> {
    match error_document(response)? {
        // The bytes were damaged on their way to S3.
        ("BadDigest" | "XAmzContentSHA256Mismatch", _) => Some(RetryAction::transient_error()),
        (_, ErrorKind::Throttled) => Some(RetryAction::throttling_error()),
        (_, ErrorKind::Transient) => Some(RetryAction::server_error()),
        _ => None,
    }
}

/// Marks every answer with what its request was, and refuses answers that are not whole.
#[derive(Debug)]
struct NoteRequest;

/// Without a Content-Length, a connection that breaks looks like the end of the answer. A bit that
/// flips in a name hides an element, such as an object of a listing.
#[derive(Debug, thiserror::Error)]
#[error("the answer is an XML document that was cut off or damaged")]
struct Damaged;

/// Why an answer of success is an error.
#[derive(Debug, thiserror::Error)]
#[error("an answer that is not the service's")]
struct LacksObject;

impl Intercept for NoteRequest {
    fn name(&self) -> &'static str {
        "the request of an answer"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let is_head = request.method() == "HEAD";
        let token = request
            .headers()
            .get("x-amz-security-token")
            .map(ExpiredToken::new);
        let asked = Asked {
            is_head,
            region: signed_for(request.headers()),
            token,
            lacks_object: false,
        };
        config.interceptor_state().store_put(asked);
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map_or("", Metadata::name);
        let lacks_object = origin::lacks_object(operation, context.response());
        if let Some(asked) = config.load::<Asked>() {
            context.response_mut().add_extension(Asked {
                lacks_object,
                ..asked.clone()
            });
        }
        if lacks_object {
            Err(LacksObject.into())
        } else {
            Ok(())
        }
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let asked = config.load::<Asked>().cloned();
        if let Some(Asked {
            is_head,
            token: Some(token),
            ..
        }) = asked
            && expired::says_so(is_head, context.response())
        {
            config.interceptor_state().store_put(token);
        }
        // The bytes of an object are read as they come, and are not here.
        let is_damaged = context
            .response()
            .body()
            .bytes()
            .is_some_and(origin::is_damaged);
        if context.output_or_error().is_ok() && is_damaged {
            Err(Damaged.into())
        } else {
            Ok(())
        }
    }
}
