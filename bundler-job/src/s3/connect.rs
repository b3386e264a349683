//! From the environment to clients: the AWS configuration chain, one client per region, buckets
//! found where they are.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use s3bundler_common::answer::{Service, retry_foreign};
use s3bundler_common::config;
use s3bundler_common::http_client::HttpClientError;
use s3bundler_common::latin1::Latin1ToUtf8;

use super::credentials::{OnlySignedAgain, RenewedCredentials};
use super::outage::{Outages, Silence};
use super::rate::Rates;
use super::request::{AcceptIdentity, Checksum, RequestHeaders, RequestOptions, Tags};
use super::traffic::Traffic;
use super::transmit::{GiveUp, Note, Transmitter, ask};

/// Attempts of the SDK at a request, until headers arrive.
const ATTEMPTS: u32 = 6;
/// A connection that is not there after this long is not coming.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Until the first byte of an answer to a GET, unless the user says otherwise: S3 answers in a
/// fraction of a second, and a connection that is silent for longer is replaced.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// Where nobody tells a bucket's region, the configured one is tried for so long before somebody is
/// asked again.
const GUESS: Duration = Duration::from_secs(30);

/// How objects are addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathStyle {
    /// Path style where an endpoint URL is set, virtual hosts otherwise.
    Auto,
    /// `endpoint/bucket/key`.
    Always,
    /// `bucket.endpoint/key`.
    Never,
}

/// What a user may say of connection and requests; all else comes from the AWS configuration chain.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// How objects are addressed.
    pub path_style: PathStyle,
    /// The region to use instead of that of the environment.
    pub region: Option<String>,
    /// What goes with every request.
    pub requests: RequestOptions,
    /// How long to wait for the first byte of an answer to a GET; 10 s if `None`.
    pub first_byte_timeout: Option<Duration>,
    /// How long to wait for a bucket that does not answer; zero: not at all.
    pub outage_budget: Duration,
    /// Most requests a second to each source bucket; no limit if `None`.
    pub requests_per_second: Option<NonZeroU32>,
}

/// Loads the AWS configuration as every AWS tool does, and its proxies and certificates.
pub async fn load_config(options: &S3Options) -> Result<SdkConfig, HttpClientError> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .build();
    let loader = config::loader(options.region.clone())?
        .identity_cache(RenewedCredentials::new())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        // Bodies have a reader with a limit of its own, and the protection breaks slow copies.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(timeouts);
    Ok(config::load(loader).await)
}

/// The clients of one region, for the destination or for all other buckets.
#[derive(Debug, Clone)]
struct Clients {
    /// Retries by itself.
    patient: Client,
    /// Tries once, unless credentials are renewed: for GETs of source objects, whose retries the
    /// fetcher owns, so that it sees every throttling.
    once: Client,
    /// Asks whether a bucket answers: tries once, and is waited for by others.
    asker: Client,
}

/// S3, in whichever regions the buckets are. Cheap to clone.
#[derive(Debug, Clone)]
pub struct S3 {
    inner: Arc<Inner>,
    outages: Outages,
    rates: Rates,
}

#[derive(Debug)]
struct Inner {
    config: SdkConfig,
    path_style: bool,
    /// A custom endpoint serves every bucket under the configured region.
    one_region: bool,
    equal_parts: bool,
    requests: Arc<RequestOptions>,
    first_byte_timeout: Duration,
    /// By region, and whether they are for the destination.
    regions: Mutex<HashMap<(Region, bool), Clients>>,
    buckets: Mutex<HashMap<String, Clients>>,
    /// When the regions of these buckets could not be found. Held by whoever asks for one, so that
    /// one asks for all.
    guesses: tokio::sync::Mutex<HashMap<String, Instant>>,
    traffic: Traffic,
}

impl S3 {
    /// Sets up clients; talks to nobody yet.
    pub fn new(config: SdkConfig, options: &S3Options) -> Self {
        let url = config::s3_endpoint(&config);
        let endpoint = url.is_some();
        let path_style = match options.path_style {
            PathStyle::Auto => endpoint,
            PathStyle::Always => true,
            PathStyle::Never => false,
        };
        let inner = Inner {
            config,
            path_style,
            one_region: endpoint,
            equal_parts: url.is_some_and(|url| is_r2(&url)),
            requests: Arc::new(options.requests.clone()),
            first_byte_timeout: options.first_byte_timeout.unwrap_or(FIRST_BYTE_TIMEOUT),
            regions: Mutex::default(),
            buckets: Mutex::default(),
            guesses: tokio::sync::Mutex::default(),
            traffic: Traffic::default(),
        };
        Self {
            inner: Arc::new(inner),
            outages: Outages::new(options.outage_budget),
            rates: Rates::new(options.requests_per_second),
        }
    }

    /// What this process asks of S3.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.inner.traffic
    }

    /// The limits of source buckets.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// The buckets that do not answer.
    pub fn outages(&self) -> &Outages {
        &self.outages
    }

    /// Whether a bucket is the destination's.
    pub fn is_destination(&self, bucket: &str) -> bool {
        self.inner.requests.writes_to(bucket)
    }

    /// The tags of archives, indexes and copied objects.
    pub fn tags(&self) -> &Tags {
        &self.inner.requests.tags
    }

    /// What goes with everything that is written.
    pub fn checksum(&self) -> Checksum {
        self.inner.requests.checksum
    }

    /// Whether CRC64NVME is sent, asked for and compared.
    pub fn knows_crc64nvme(&self) -> bool {
        self.checksum() == Checksum::Crc64Nvme
    }

    /// Whether all parts of an upload but the last have to have one size.
    pub fn wants_equal_parts(&self) -> bool {
        self.inner.equal_parts
    }

    /// Whether each process asks for the region of each bucket.
    pub(crate) fn asks_for_regions(&self) -> bool {
        !self.inner.one_region
    }

    /// Whether no condition is sent with a write, because no other process writes the run.
    pub fn single_writer(&self) -> bool {
        self.inner.requests.single_writer
    }

    /// The client for a bucket. The SDK owns the retries until headers arrive.
    pub async fn client(&self, bucket: &str) -> Client {
        self.clients(bucket).await.patient
    }

    /// The client for GETs from a bucket that tries once.
    pub async fn client_once(&self, bucket: &str) -> Client {
        self.clients(bucket).await.once
    }

    /// Whether a bucket's server answers at all, in whichever region.
    pub(super) async fn answers(&self, bucket: &str) -> Result<(), Silence> {
        let clients = self
            .known(bucket)
            .unwrap_or_else(|| self.in_region(self.home_region(), bucket));
        ask(&clients.asker, bucket).await
    }

    async fn clients(&self, bucket: &str) -> Clients {
        if let Some(clients) = self.known(bucket) {
            return clients;
        }
        let mut guesses = self.inner.guesses.lock().await;
        if let Some(clients) = self.known(bucket) {
            return clients;
        }
        let home = self.home_region();
        let region = if self.inner.one_region {
            home
        } else if guesses
            .get(bucket)
            .is_some_and(|asked| asked.elapsed() < GUESS)
        {
            return self.in_region(home, bucket);
        } else if let Some(region) = self.find_region(bucket).await {
            region
        } else {
            // Perhaps only the network was away: not remembered, or every request to come would be
            // redirected.
            guesses.insert(bucket.to_owned(), Instant::now());
            return self.in_region(home, bucket);
        };
        let clients = self.in_region(region, bucket);
        lock(&self.inner.buckets).insert(bucket.to_owned(), clients.clone());
        clients
    }

    fn known(&self, bucket: &str) -> Option<Clients> {
        lock(&self.inner.buckets).get(bucket).cloned()
    }

    /// HeadBucket from any region names the bucket's own in a header, denied or redirected answers
    /// included ("HeadBucket", S3 API reference).
    async fn find_region(&self, bucket: &str) -> Option<Region> {
        let client = self.in_region(self.home_region(), bucket).patient;
        let region = match client.head_bucket().bucket(bucket).send().await {
            Ok(output) => output.bucket_region().map(str::to_owned),
            Err(error) => error
                .raw_response()
                .and_then(|response| response.headers().get("x-amz-bucket-region"))
                .map(str::to_owned),
        };
        region.map(Region::new)
    }

    fn home_region(&self) -> Region {
        self.inner
            .config
            .region()
            .cloned()
            .unwrap_or_else(|| Region::from_static("us-east-1"))
    }

    fn in_region(&self, region: Region, bucket: &str) -> Clients {
        let destination = self.inner.requests.writes_to(bucket);
        lock(&self.inner.regions)
            .entry((region.clone(), destination))
            .or_insert_with(|| {
                let (note_request, retry_foreign) = retry_foreign(Service::S3);
                let config = aws_sdk_s3::config::Builder::from(&self.inner.config)
                    .region(region)
                    .force_path_style(self.inner.path_style)
                    .retry_classifier(GiveUp)
                    .interceptor(note_request)
                    .retry_classifier(retry_foreign)
                    .interceptor(Latin1ToUtf8)
                    .interceptor(RequestHeaders {
                        options: Arc::clone(&self.inner.requests),
                        destination,
                    })
                    .interceptor(AcceptIdentity)
                    .interceptor(Note)
                    // During an outage every request is tried again.
                    .retry_partition(
                        RetryPartition::custom("s3")
                            .token_bucket(TokenBucket::unlimited())
                            .build(),
                    )
                    // Uploads carry checksums of ours in headers; the SDK's trailers break some
                    // S3-compatible servers.
                    .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                    .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
                let config = match self.inner.requests.payer(destination) {
                    Some(payer) => config.interceptor(payer),
                    None => config,
                };
                let timeouts = TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .read_timeout(self.inner.first_byte_timeout)
                    .build();
                let asker = config
                    .clone()
                    .retry_config(RetryConfig::disabled())
                    .timeout_config(timeouts);
                let asker = Client::from_conf(asker.build());
                let once = config.clone().retry_classifier(OnlySignedAgain);
                let first_byte = self.inner.first_byte_timeout;
                let client = |config: aws_sdk_s3::config::Builder, patient| {
                    let (rates, outages, asker) =
                        (self.rates.clone(), self.outages.clone(), asker.clone());
                    let traffic = self.inner.traffic.clone();
                    let transmitter = |http| Transmitter {
                        http,
                        rates,
                        destination,
                        outages,
                        traffic,
                        asker,
                        patient,
                        first_byte,
                    };
                    Client::from_conf(match self.inner.config.http_client() {
                        Some(http) => config.http_client(transmitter(http)).build(),
                        None => config.build(),
                    })
                };
                let (patient, once) = (client(config, true), client(once, false));
                Clients {
                    patient,
                    once,
                    asker,
                }
            })
            .clone()
    }
}

/// Whether an endpoint is Cloudflare R2's, of any jurisdiction. R2 completes no upload whose parts,
/// but for the last, have several sizes ("Multipart upload", R2 docs).
fn is_r2(url: &str) -> bool {
    let host = url
        .split_once("://")
        .map_or(url, |(_, rest)| rest)
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default();
    let host = host
        .rsplit_once(':')
        .map_or(host, |(host, _)| host)
        .to_ascii_lowercase();
    host == "r2.cloudflarestorage.com" || host.ends_with(".r2.cloudflarestorage.com")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while it holds one of these.
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
