//! Headers that are not UTF-8. S3 returns metadata and content headers as they were written,
//! Latin-1 bytes included, and the SDK fails over them: their values are converted before it parses
//! them.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::config_bag::ConfigBag;

/// Converts the headers of answers, for a client of S3.
#[derive(Debug, Clone, Copy)]
pub struct Latin1ToUtf8;

#[dyn_dispatch_hint]
impl Intercept for Latin1ToUtf8 {
    fn name(&self) -> &'static str {
        "headers that are not UTF-8"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response_mut().headers_mut();
        if headers
            .iter_bytes()
            .any(|(_, value)| std::str::from_utf8(value).is_err())
        {
            *headers = converted(headers)?;
        }
        Ok(())
    }
}

/// The same headers, with values that are not UTF-8 taken for Latin-1, in which every byte is a
/// character.
fn converted(headers: &Headers) -> Result<Headers, BoxError> {
    let mut all = Headers::new();
    for (name, value) in headers.iter_bytes() {
        let value = match std::str::from_utf8(value) {
            Ok(value) => value.to_owned(),
            Err(_) => value.iter().copied().map(char::from).collect(),
        };
        all.try_append(name.to_owned(), value)?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
