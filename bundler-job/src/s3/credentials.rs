//! Credentials that are asked for again once the service calls their token expired: the token may
//! have been rotated between signing and arrival, or this machine's clock may be late. The SDK's
//! own cache keeps them until the expiration that came with them, or for 15 minutes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::config::{
    ConfigBag, Credentials, IdentityCache, ResolveCachedIdentity, RuntimeComponents,
    SharedIdentityCache,
};
use aws_smithy_runtime_api::client::identity::{Identity, IdentityFuture, SharedIdentityResolver};
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority,
};
use s3bundler_common::answer::ExpiredToken;

/// The cache of all clients of a process.
#[derive(Debug, Clone)]
pub(super) struct RenewedCredentials {
    cache: Arc<Mutex<SharedIdentityCache>>,
    /// Held by the request that asks for others, so that one asks for all.
    renewing: Arc<tokio::sync::Mutex<()>>,
}

impl RenewedCredentials {
    pub(super) fn new() -> Self {
        Self {
            cache: Arc::new(Mutex::new(IdentityCache::lazy().build())),
            renewing: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SharedIdentityCache> {
        // Nothing panics while it holds the lock.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether these are the credentials whose token has expired.
fn has_expired(identity: &Identity, config: &ConfigBag) -> bool {
    let token = identity
        .data::<Credentials>()
        .and_then(Credentials::session_token);
    config
        .load::<ExpiredToken>()
        .is_some_and(|expired| expired.matches(token))
}

impl ResolveCachedIdentity for RenewedCredentials {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        config: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        IdentityFuture::new(async move {
            let cached = || async {
                let cache = self.lock().clone();
                cache
                    .resolve_cached_identity(resolver.clone(), components, config)
                    .await
            };
            let identity = cached().await?;
            if !has_expired(&identity, config) {
                return Ok(identity);
            }
            let _renewing = self.renewing.lock().await;
            let identity = cached().await?;
            if !has_expired(&identity, config) {
                return Ok(identity);
            }
            tracing::info!("the token of the credentials has expired, asking for others");
            let fresh = IdentityCache::lazy().build();
            let identity = fresh
                .resolve_cached_identity(resolver.clone(), components, config)
                .await?;
            *self.lock() = fresh;
            Ok(identity)
        })
    }
}

/// Leaves every retry to the fetcher but those that only the SDK can make: with other credentials,
/// and with a corrected clock.
#[derive(Debug)]
pub(super) struct OnlySignedAgain;

impl ClassifyRetry for OnlySignedAgain {
    fn classify_retry(&self, _: &InterceptorContext) -> RetryAction {
        RetryAction::RetryForbidden
    }

    fn classify_retry_v2(&self, context: &InterceptorContext, before: &RetryAction) -> RetryAction {
        let is_clients = context
            .response()
            .is_some_and(|response| response.status().is_client_error());
        if is_clients && *before == RetryAction::server_error() {
            RetryAction::NoActionIndicated
        } else {
            RetryAction::RetryForbidden
        }
    }

    fn name(&self) -> &'static str {
        "only what is signed again"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}
