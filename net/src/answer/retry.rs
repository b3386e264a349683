//! Foreign answers are tried again by the SDK, as it does with answers of the service that may pass.

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

use super::{Answer, Origin, Service, classify, own};

/// Has the SDK try a request again whose answer is not the service's.
#[derive(Debug)]
pub struct RetryForeign(pub Service);

impl ClassifyRetry for RetryForeign {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let (Some(Err(_)), Some(response)) = (context.output_or_error(), context.response()) else {
            return RetryAction::NoActionIndicated;
        };
        let is_head = context.request().is_some_and(|request| request.method() == "HEAD");
        let origin = own::origin(self.0, is_head, response);
        let answer = Answer { operation: "", status: response.status().as_u16(), code: "", message: "", origin };
        if origin == Origin::Foreign && classify(&answer).is_transient() {
            return RetryAction::transient_error();
        }
        RetryAction::NoActionIndicated
    }

    fn name(&self) -> &'static str {
        "an answer that is not the service's"
    }
}
