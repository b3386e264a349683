//! The one place that every request to S3 passes on its way, the SDK's own retries, listings, copies and resumed bodies
//! included: here outages are waited out, and requests to source buckets are limited.
//!
//! ```text
//! SDK ──► NoteBuckets ──► Transmitter ──► bucket down? wait ──► rate ──► HTTP ──► failed? ask about the bucket, wait ──► SDK
//! ```

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::endpoint::Params;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, HttpClient, Intercept, RuntimeComponents, SharedHttpClient};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::endpoint::EndpointResolverParams;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use s3bundler_net::payer::copied_from;
use tokio::time::Instant;

use super::error::is_distrust;
use super::outage::{Failing, Outages};
use super::rate::Rates;

/// Age of a signature at which a request is not sent any more: S3 refuses it after 15 minutes ("Authenticating requests",
/// S3 API reference). The SDK, or the fetcher, signs the request again.
const SIGNATURE: Duration = Duration::from_mins(5);

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
        let copied_from = self.copied_from.as_deref().filter(|bucket| *bucket != self.asked);
        std::iter::once(self.asked.as_str()).chain(copied_from)
    }

    /// Those that a request reads: what is written to the destination is no read of it, also if it is a source.
    fn read_by(&self, method: &str, destination: bool) -> impl Iterator<Item = &str> {
        let reads = !destination || matches!(method, "GET" | "HEAD");
        Some(self.asked.as_str()).filter(|_| reads).into_iter().chain(self.copied_from.as_deref())
    }
}

/// Notes on every request which buckets it needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoteBuckets;

#[dyn_dispatch_hint]
impl Intercept for NoteBuckets {
    fn name(&self) -> &'static str {
        "the buckets of a request"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let params = config.load::<EndpointResolverParams>().and_then(EndpointResolverParams::get::<Params>);
        let Some(asked) = params.and_then(Params::bucket).map(str::to_owned) else { return Ok(()) };
        let copied_from = copied_from(context.request().headers()).map(str::to_owned);
        context.request_mut().add_extension(Buckets { asked, copied_from });
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
    /// Asks whether a bucket answers. Its requests do not come here.
    pub(super) asker: Client,
    /// Whether the SDK retries for this client.
    pub(super) patient: bool,
}

impl HttpClient for Transmitter {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let http = self.http.http_connector(settings, components);
        SharedHttpConnector::new(Connector { http, transmitter: Arc::new(self.clone()) })
    }
}

#[derive(Debug, Clone)]
struct Connector {
    http: SharedHttpConnector,
    transmitter: Arc<Transmitter>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some(buckets) = request.extension::<Buckets>().cloned() else { return self.http.call(request) };
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let Transmitter { rates, destination, outages, asker, patient, .. } = &*this.transmitter;
            let counted: Vec<_> = buckets.read_by(request.method(), *destination).collect();
            let signed = Instant::now();
            for bucket in buckets.each() {
                outages.before(bucket, || answers(asker, bucket)).await;
            }
            if signed.elapsed() > SIGNATURE {
                return Err(ConnectorError::timeout(
                    "the request waited for an outage, and its signature is too old".into(),
                ));
            }
            for bucket in counted {
                rates.pass(bucket).await;
            }
            let answer = this.http.call(request).await;
            match failing(&answer) {
                None => outages.answered(&buckets.asked),
                // Either of them may be why a copy fails.
                Some(failing) => {
                    for bucket in buckets.each() {
                        outages.after(bucket, failing, *patient, || answers(asker, bucket)).await;
                    }
                }
            }
            answer
        })
    }
}

/// Whether a bucket's server answers at all.
pub(super) async fn answers(asker: &Client, bucket: &str) -> bool {
    match asker.head_bucket().bucket(bucket).send().await {
        Ok(_) => true,
        Err(error) => error.raw_response().is_some_and(|response| of_status(response.status().as_u16()).is_none()),
    }
}

/// Whether this may be an outage: no answer, or one that says nothing of the request.
fn failing(answer: &Result<HttpResponse, ConnectorError>) -> Option<Failing> {
    match answer {
        Ok(response) => of_status(response.status().as_u16()),
        // Not of a server that another minute makes trustworthy.
        Err(error) if error.is_user() || is_distrust(error) => None,
        Err(_) => Some(Failing::Broken),
    }
}

const fn of_status(status: u16) -> Option<Failing> {
    match status {
        503 => Some(Failing::Refused),
        501 => None,
        500.. => Some(Failing::Broken),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_sdk_s3::primitives::SdkBody;

    use super::*;

    #[test]
    fn only_silence_and_answers_that_say_nothing_may_be_an_outage() {
        for (status, expected) in [
            (200, None),
            (304, None),
            (403, None),
            (404, None),
            (429, None),
            (500, Some(Failing::Broken)),
            (501, None),
            (502, Some(Failing::Broken)),
            (503, Some(Failing::Refused)),
            (504, Some(Failing::Broken)),
        ] {
            assert_eq!(of_status(status), expected, "{status}");
        }
        let refused = || Box::new(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(failing(&Err(ConnectorError::io(refused()))), Some(Failing::Broken));
        assert_eq!(failing(&Err(ConnectorError::timeout(refused()))), Some(Failing::Broken));
        assert_eq!(failing(&Err(ConnectorError::user(refused()))), None);
        let distrust = io::Error::other("invalid peer certificate: UnknownIssuer");
        assert_eq!(failing(&Err(ConnectorError::io(Box::new(distrust)))), None);
    }

    /// A server that does not answer for so many requests, and then does.
    #[derive(Debug, Clone)]
    struct Server {
        silent: u32,
        asked: Arc<AtomicU32>,
    }

    impl HttpConnector for Server {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let silent = self.asked.fetch_add(1, Ordering::Relaxed) < self.silent;
            HttpConnectorFuture::ready(if silent {
                Err(ConnectorError::io(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused))))
            } else {
                Ok(HttpResponse::new(200.try_into().expect("a status"), SdkBody::empty()))
            })
        }
    }

    impl HttpClient for Server {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_whose_signature_is_too_old_after_an_outage_is_signed_again() {
        // Questions are 1, 2, 4, 8 and then 15 s apart.
        for (silent, sent) in [(10, true), (30, false)] {
            let asked = Arc::new(AtomicU32::new(0));
            let config = aws_sdk_s3::Config::builder()
                .behavior_version_latest()
                .region(aws_sdk_s3::config::Region::new("eu-west-1"))
                .credentials_provider(aws_sdk_s3::config::Credentials::new("a", "b", None, None, "test"))
                .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
                .http_client(Server { silent, asked: Arc::clone(&asked) });
            let outages = Outages::new(Duration::from_hours(1));
            outages.answered("other");
            let server = Server { silent: 0, asked: Arc::new(AtomicU32::new(0)) };
            let connector = Connector {
                http: SharedHttpConnector::new(server.clone()),
                transmitter: Arc::new(Transmitter {
                    http: SharedHttpClient::new(server.clone()),
                    rates: Rates::default(),
                    destination: true,
                    outages: outages.clone(),
                    asker: Client::from_conf(config.build()),
                    patient: true,
                }),
            };
            assert!(!answers(&connector.transmitter.asker, "a").await);
            outages.heard("a", false, Instant::now());
            let mut request = HttpRequest::new(SdkBody::empty());
            request.add_extension(Buckets { asked: "a".to_owned(), copied_from: None });
            let answer = connector.call(request).await;
            assert_eq!(answer.is_ok(), sent, "{answer:?}");
            assert!(answer.map_or_else(|error| error.is_timeout(), |_| true), "the SDK retries it");
            assert_eq!(server.asked.load(Ordering::Relaxed), u32::from(sent));
        }
    }

    #[test]
    fn a_copy_needs_two_buckets_unless_they_are_one() {
        let buckets = |copied_from: Option<&str>| {
            let buckets = Buckets { asked: "a".to_owned(), copied_from: copied_from.map(str::to_owned) };
            buckets.each().map(str::to_owned).collect::<Vec<_>>()
        };
        let read = |copied_from: Option<&str>, method, destination| {
            let buckets = Buckets { asked: "a".to_owned(), copied_from: copied_from.map(str::to_owned) };
            buckets.read_by(method, destination).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(read(None, "GET", false), ["a"]);
        assert_eq!(read(None, "HEAD", true), ["a"]);
        assert_eq!(read(None, "PUT", true), [""; 0]);
        assert_eq!(read(Some("b"), "PUT", true), ["b"]);
        assert_eq!(read(Some("a"), "PUT", true), ["a"]);
        assert_eq!(buckets(None), ["a"]);
        assert_eq!(buckets(Some("a")), ["a"]);
        assert_eq!(buckets(Some("b")), ["a", "b"]);
    }
}
