//! Requests to AWS and to the Kubernetes API: how many, what came of them, and how long they took.
//! Every attempt counts, those that a client makes by itself after a failure included. Operations,
//! verbs and resources are those that the operator uses, so the number of time series is bounded.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, Uri};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use s3bundler_common::outcome::Outcome;
use tower::{Layer, Service};

/// Durations by their labels.
type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

fn durations<L: Clone + Eq + std::hash::Hash>() -> Durations<L> {
    Family::new_with_constructor(|| {
        Histogram::new([
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
        ])
    })
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AwsOperation {
    service: &'static str,
    operation: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AwsAnswer {
    service: &'static str,
    operation: String,
    outcome: Outcome,
}

/// The requests to S3 and SQS. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AwsRequests {
    requests: Family<AwsAnswer, Counter>,
    duration: Durations<AwsOperation>,
}

impl Default for AwsRequests {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            duration: durations(),
        }
    }
}

impl AwsRequests {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register(
            "aws_requests",
            "Requests to S3 and SQS by what came of them",
            this.requests.clone(),
        );
        registry.register_with_unit(
            "aws_request_duration",
            "Time until the answer of S3 or SQS",
            Unit::Seconds,
            this.duration.clone(),
        );
        this
    }

    /// What a client of `service` (`s3` or `sqs`) has to tell this.
    pub(crate) fn meter(&self, service: &'static str) -> impl Intercept + 'static {
        Meter {
            service,
            requests: self.clone(),
        }
    }

    pub(super) fn answered(
        &self,
        service: &'static str,
        operation: &str,
        outcome: Outcome,
        took: Duration,
    ) {
        let operation = operation.to_owned();
        self.duration
            .get_or_create(&AwsOperation {
                service,
                operation: operation.clone(),
            })
            .observe(took.as_secs_f64());
        self.requests
            .get_or_create(&AwsAnswer {
                service,
                operation,
                outcome,
            })
            .inc();
    }
}

/// Tells [`AwsRequests`] of every attempt of a client.
#[derive(Debug)]
struct Meter {
    service: &'static str,
    requests: AwsRequests,
}

/// When an attempt began.
#[derive(Debug, Clone, Copy)]
struct Begun(Instant);

impl Storable for Begun {
    type Storer = StoreReplace<Self>;
}

#[dyn_dispatch_hint]
impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "requests for the metrics"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(Begun(Instant::now()));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Begun(begun)) = config.load::<Begun>() else {
            return Ok(());
        };
        let operation = config.load::<Metadata>().map_or("", Metadata::name);
        let outcome = match (
            Outcome::of_answer(context.response()),
            context.output_or_error(),
        ) {
            // An answer of success that is not the service's, or cannot be read.
            (Outcome::Ok, Some(Err(_))) => Outcome::Failed,
            (outcome, _) => outcome,
        };
        self.requests
            .answered(self.service, operation, outcome, begun.elapsed());
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Call {
    verb: &'static str,
    resource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallAnswer {
    verb: &'static str,
    resource: String,
    outcome: Outcome,
}

/// The requests to the Kubernetes API, as a layer of its client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KubernetesRequests {
    requests: Family<CallAnswer, Counter>,
    duration: Durations<Call>,
}

impl KubernetesRequests {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let this = Self {
            requests: Family::default(),
            duration: durations(),
        };
        registry.register(
            "kubernetes_requests",
            "Requests to the Kubernetes API by what came of them",
            this.requests.clone(),
        );
        registry.register_with_unit(
            "kubernetes_request_duration",
            "Time until the headers of the answer of the Kubernetes API",
            Unit::Seconds,
            this.duration.clone(),
        );
        this
    }

    pub(super) fn answered(&self, call: Call, outcome: Outcome, took: Duration) {
        self.duration
            .get_or_create(&call)
            .observe(took.as_secs_f64());
        let Call { verb, resource } = call;
        self.requests
            .get_or_create(&CallAnswer {
                verb,
                resource,
                outcome,
            })
            .inc();
    }
}

impl Call {
    /// The verb and the resource of a request, as RBAC names them ("Authorization", Kubernetes
    /// docs), such as `patch` of `deployments/scale`.
    pub(super) fn of(method: &Method, uri: &Uri) -> Self {
        // A path of the server may come before; the version comes after.
        let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
        match parts.find(|part| matches!(*part, "api" | "apis")) {
            Some("apis") => drop(parts.nth(1)),
            _ => drop(parts.next()),
        }
        let parts: Vec<&str> = parts.collect();
        let (resource, name, part) = match parts.as_slice() {
            ["namespaces", _, resource, rest @ ..] | [resource, rest @ ..] => {
                (*resource, rest.first(), rest.get(1))
            }
            [] => ("other", None, None),
        };
        let is_watch = || {
            uri.query().is_some_and(|query| {
                query
                    .split('&')
                    .any(|it| it == "watch=true" || it == "watch=1")
            })
        };
        let verb = match *method {
            Method::GET if name.is_some() => "get",
            Method::GET if is_watch() => "watch",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "other",
        };
        Self {
            verb,
            resource: part.map_or_else(|| resource.to_owned(), |part| format!("{resource}/{part}")),
        }
    }
}

impl<S> Layer<S> for KubernetesRequests {
    type Service = Metered<S>;

    fn layer(&self, service: S) -> Metered<S> {
        Metered {
            service,
            requests: self.clone(),
        }
    }
}

/// A client of the Kubernetes API whose requests are counted.
#[derive(Debug, Clone)]
pub struct Metered<S> {
    service: S,
    requests: KubernetesRequests,
}

impl<S, A, B> Service<Request<A>> for Metered<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let call = Call::of(request.method(), request.uri());
        let (requests, sent) = (self.requests.clone(), Instant::now());
        let answer = self.service.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let outcome = match &answer {
                Ok(answer) => Outcome::of_status(answer.status().as_u16()),
                Err(_) => Outcome::NoAnswer,
            };
            requests.answered(call, outcome, sent.elapsed());
            answer
        })
    }
}

#[cfg(test)]
mod tests;
