//! The one place that every request to S3 passes on its way, the SDK's own retries, listings,
//! copies and resumed bodies included: here outages are waited out, requests to source buckets are
//! limited, requests that were refused because there were too many are sent again, and no answer is
//! waited for without end. What no other try can mend is marked as such for the SDK: an outage that
//! lasts longer than it is waited for, and an endpoint that was misspelt.
//!
//! ```text
//! SDK ──► Note ──► Transmitter ──► bucket down? wait ──► rate ──► HTTP ──► failed? ask about the bucket, wait ──► SDK
//!                                          ▲                                │
//!                                          └────────── refused ◄────────────┘
//! ```

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::endpoint::Params;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, HttpClient, Intercept, RuntimeComponents, SharedHttpClient};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_runtime_api::client::endpoint::EndpointResolverParams;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use s3bundler_common::answer::is_refusal;
use s3bundler_common::causes::{is_distrust, is_misconfigured, with_causes};
use s3bundler_common::outcome::Outcome;
use s3bundler_common::payer::copied_from;
use tokio::time::{Instant, sleep, timeout};

use super::outage::{Failing, Outages, Silence};
use super::patience::{self, Task};
use super::rate::Rates;
use super::sending::Sending;
use super::traffic::Traffic;

/// Age of a signature at which a request is not sent any more: S3 refuses it after 15 minutes
/// ("Authenticating requests", S3 API reference). The SDK, or the fetcher, signs the request again.
const SIGNATURE: Duration = Duration::from_mins(5);

/// A bucket is asked about after so much silence while it copies or assembles an object.
const UNHEARD: Duration = Duration::from_secs(30);

/// The buckets that a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Buckets {
    /// The one that it is sent to.
    asked: String,
    /// The one that it copies from.
    copied_from: Option<String>,
}

impl Buckets {
    fn each(&self) -> impl Iterator<Item = &str> {
        let copied_from = self
            .copied_from
            .as_deref()
            .filter(|bucket| *bucket != self.asked);
        std::iter::once(self.asked.as_str()).chain(copied_from)
    }

    /// Those that a request reads: what is written to the destination is no read of it, also if it
    /// is a source.
    fn read_by(&self, method: &str, destination: bool) -> impl Iterator<Item = &str> {
        let reads = !destination || matches!(method, "GET" | "HEAD");
        Some(self.asked.as_str())
            .filter(|_| reads)
            .into_iter()
            .chain(self.copied_from.as_deref())
    }
}

/// An error that no other try of the SDK mends.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Hopeless(BoxError);

/// Marks an answer that no other try of the SDK mends.
#[derive(Debug, Clone, Copy)]
struct HopelessAnswer;

/// Has the SDK try no request again that no other try mends. A server whose certificate is not
/// trusted will not have another one in a minute.
#[derive(Debug)]
pub(super) struct GiveUp;

impl ClassifyRetry for GiveUp {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context
            .output_or_error()
            .and_then(Result::err)
            .and_then(|error| error.as_connector_error());
        let is_hopeless = error.is_some_and(|error| is_distrust(error) || is_hopeless(error));
        let is_marked = || {
            context
                .response()
                .is_some_and(|answer| answer.extension::<HopelessAnswer>().is_some())
        };
        if is_hopeless || is_marked() {
            RetryAction::RetryForbidden
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "a server that no other try reaches"
    }
}

fn is_hopeless(error: &ConnectorError) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<Hopeless>)
}

fn hopeless(error: impl Into<BoxError>) -> ConnectorError {
    ConnectorError::io(Box::new(Hopeless(error.into())))
}

/// What is known of a request on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Noted {
    buckets: Buckets,
    task: Task,
    /// Whether it reads an object.
    reads: bool,
}

/// Notes on every request which buckets it needs, and what the server has to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Note;

#[dyn_dispatch_hint]
impl Intercept for Note {
    fn name(&self) -> &'static str {
        "buckets and task of a request"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let params = config
            .load::<EndpointResolverParams>()
            .and_then(EndpointResolverParams::get::<Params>);
        let Some(asked) = params.and_then(Params::bucket).map(str::to_owned) else {
            return Ok(());
        };
        let copied_from = copied_from(context.request().headers()).map(str::to_owned);
        let operation = config.load::<Metadata>().map_or("", Metadata::name);
        let task = Task::of(operation, context.request());
        let reads = operation == "GetObject";
        context.request_mut().add_extension(Noted {
            buckets: Buckets { asked, copied_from },
            task,
            reads,
        });
        Ok(())
    }
}

/// The HTTP client of one S3 client.
#[derive(Debug, Clone)]
pub(super) struct Transmitter {
    /// Sends requests.
    pub(super) http: SharedHttpClient,
    /// How many requests a second go to sources.
    pub(super) rates: Rates,
    /// Whether the client is for the destination.
    pub(super) destination: bool,
    /// Which buckets do not answer.
    pub(super) outages: Outages,
    /// What comes of its requests.
    pub(super) traffic: Traffic,
    /// Asks whether a bucket answers. Its requests do not come here.
    pub(super) asker: Client,
    /// Whether refused requests are sent again for this client.
    pub(super) patient: bool,
    /// How long to wait for the first byte of an answer to a GET.
    pub(super) first_byte: Duration,
}

impl HttpClient for Transmitter {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let http = self.http.http_connector(settings, components);
        SharedHttpConnector::new(Connector {
            http,
            transmitter: Arc::new(self.clone()),
        })
    }
}

#[derive(Debug, Clone)]
struct Connector {
    http: SharedHttpConnector,
    transmitter: Arc<Transmitter>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some(noted) = request.extension::<Noted>().cloned() else {
            return self.http.call(request);
        };
        let this = self.clone();
        HttpConnectorFuture::new(async move { this.transmit(request, &noted).await })
    }
}

impl Connector {
    /// Sends a request, and again as long as it is refused because there are too many.
    async fn transmit(
        &self,
        mut request: HttpRequest,
        noted: &Noted,
    ) -> Result<HttpResponse, ConnectorError> {
        let Transmitter {
            outages,
            asker,
            patient,
            ..
        } = &*self.transmitter;
        let Noted { buckets, .. } = noted;
        let signed = Instant::now();
        let (mut refusals, mut refused) = (0, None);
        loop {
            self.wait_until_it_may_be_sent(buckets, request.method(), signed)
                .await?;
            let again = if *patient { request.try_clone() } else { None };
            let sent = Instant::now();
            let answer = self.answer(request, noted).await;
            let failing = failing(&answer);
            self.count(noted, outcome(&answer, failing), sent.elapsed());
            let Some(failing) = failing else {
                outages.answered(&buckets.asked);
                return answer;
            };
            let answer = match answer {
                Err(error) if is_misconfigured(&error) && !outages.has_contact() => {
                    return Err(hopeless(error));
                }
                answer => answer,
            };
            // Either of them may be why a copy fails.
            for bucket in buckets.each() {
                outages.after(bucket, failing, || ask(asker, bucket)).await;
            }
            if let Some(spent) = buckets.each().find_map(|bucket| outages.spent(bucket)) {
                let mut answer = answer.map_err(|_| hopeless(spent))?;
                answer.add_extension(HopelessAnswer);
                return Ok(answer);
            }
            let (Failing::Refused, Some(again)) = (failing, again) else {
                return answer;
            };
            refusals += 1;
            let refused_for = refused.get_or_insert_with(Instant::now).elapsed();
            let wanted = answer
                .as_ref()
                .ok()
                .and_then(patience::retry_after)
                .unwrap_or_default();
            let pause = patience::pause(refusals, refused_for, outages.has_contact());
            sleep(wanted.max(pause.unwrap_or_default())).await;
            if pause.is_none() {
                return answer;
            }
            request = again;
        }
    }

    fn count(&self, noted: &Noted, outcome: Outcome, took: Duration) {
        let Transmitter {
            traffic,
            destination,
            ..
        } = &*self.transmitter;
        traffic.answered(*destination, outcome);
        if noted.reads && !destination && outcome == Outcome::Ok {
            traffic.got(took);
        }
    }

    /// Waits for the end of outages, and for the limit of requests a second.
    async fn wait_until_it_may_be_sent(
        &self,
        buckets: &Buckets,
        method: &str,
        signed: Instant,
    ) -> Result<(), ConnectorError> {
        let Transmitter {
            rates,
            destination,
            outages,
            asker,
            ..
        } = &*self.transmitter;
        for bucket in buckets.each() {
            outages
                .before(bucket, || ask(asker, bucket))
                .await
                .map_err(hopeless)?;
        }
        if signed.elapsed() > SIGNATURE {
            return Err(ConnectorError::timeout(
                "the request waited for an outage, and its signature is too old".into(),
            ));
        }
        for bucket in buckets.read_by(method, *destination) {
            rates.pass(bucket).await;
        }
        Ok(())
    }

    /// One answer: its headers if an object follows, which has a reader that does not wait without
    /// end, and otherwise all of it.
    async fn answer(
        &self,
        mut request: HttpRequest,
        noted: &Noted,
    ) -> Result<HttpResponse, ConnectorError> {
        let task = noted.task;
        let is_get = request.method() == "GET";
        let sending = match task {
            Task::Store(bytes) => Some(Sending::watch(&mut request, bytes)),
            _ => None,
        };
        let answer = async {
            let answer = self.http.call(request).await?;
            let is_object = is_get && task == Task::Find && answer.status().is_success();
            if is_object {
                Ok(answer)
            } else {
                whole(answer).await
            }
        };
        let given_up = async {
            let sent_in = match &sending {
                Some(sending) => sending.sent().await?,
                None => Duration::ZERO,
            };
            let limit = task.limit(sent_in, self.transmitter.first_byte);
            let silent = timeout(limit, self.bucket_is_silent(noted)).await;
            Err::<Infallible, _>(
                silent.unwrap_or_else(|_| format!("no answer within {} s", limit.as_secs_f64())),
            )
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            Err(silent) = given_up => Err(ConnectorError::timeout(silent.into())),
        }
    }

    /// Returns once nothing came for a while in answer to a request that may take minutes, and its
    /// bucket does not answer either.
    async fn bucket_is_silent(&self, noted: &Noted) -> String {
        if noted.task != Task::Work {
            return std::future::pending().await;
        }
        loop {
            sleep(UNHEARD).await;
            if let Err(Silence { cause, .. }) =
                ask(&self.transmitter.asker, &noted.buckets.asked).await
            {
                return format!("no answer, and the bucket does not answer either: {cause}");
            }
        }
    }
}

/// An answer with all of its body.
async fn whole(mut answer: HttpResponse) -> Result<HttpResponse, ConnectorError> {
    let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
    let body = ByteStream::new(body)
        .collect()
        .await
        .map_err(|error| ConnectorError::io(error.into()))?;
    *answer.body_mut() = SdkBody::from(body.into_bytes());
    Ok(answer)
}

/// Asks whether a bucket's server answers at all.
pub(super) async fn ask(asker: &Client, bucket: &str) -> Result<(), Silence> {
    let endpoint = Arc::new(OnceLock::new());
    let asked = Arc::clone(&endpoint);
    let note = move |request: &mut HttpRequest| {
        let url = request.uri();
        let origin = url
            .find("://")
            .and_then(|at| url[at + 3..].find('/').map(|end| &url[..at + 3 + end]));
        let _ = asked.set(origin.unwrap_or(url).to_owned());
    };
    let cause = match asker
        .head_bucket()
        .bucket(bucket)
        .customize()
        .mutate_request(note)
        .send()
        .await
    {
        Ok(_) => return Ok(()),
        Err(error) => match error
            .raw_response()
            .map(|response| response.status().as_u16())
        {
            Some(status) if of_status(status).is_none() => return Ok(()),
            Some(status) => format!("HTTP {status}"),
            None => with_causes(&error),
        },
    };
    Err(Silence {
        endpoint: endpoint.get().cloned().unwrap_or_default(),
        cause,
    })
}

/// Whether this may be an outage: no answer, or one that says nothing of the request.
fn failing(answer: &Result<HttpResponse, ConnectorError>) -> Option<Failing> {
    match answer {
        Ok(response) if is_refusal(response) => Some(Failing::Refused),
        Ok(response) => of_status(response.status().as_u16()),
        // Not of a server that another minute makes trustworthy.
        Err(error) if error.is_user() || is_distrust(error) => None,
        Err(_) => Some(Failing::Broken),
    }
}

/// What the metrics show of an answer.
fn outcome(answer: &Result<HttpResponse, ConnectorError>, failing: Option<Failing>) -> Outcome {
    match (answer, failing) {
        (Err(_), _) => Outcome::NoAnswer,
        (Ok(_), Some(Failing::Refused)) => Outcome::Throttled,
        (Ok(answer), _) => Outcome::of_status(answer.status().as_u16()),
    }
}

const fn of_status(status: u16) -> Option<Failing> {
    match status {
        429 | 503 => Some(Failing::Refused),
        501 => None,
        500.. => Some(Failing::Broken),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
