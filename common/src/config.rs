//! The AWS configuration: region, credentials, endpoints, proxies and certificates, as every AWS
//! tool has them.

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};

use crate::http_client::{self, HttpClientError};
use crate::queue_url::QueueUrl;

/// The region if nothing names one: S3 tells a bucket's true region from any other.
const REGION: &str = "us-east-1";

/// Where the configuration comes from. `region` wins over what the environment names.
pub fn loader(region: Option<String>) -> Result<ConfigLoader, HttpClientError> {
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client::new()?);
    Ok(match region {
        Some(region) => loader.region(Region::new(region)),
        None => loader,
    })
}

/// Loads the configuration. It has a region.
pub async fn load(loader: ConfigLoader) -> SdkConfig {
    let config = loader.load().await;
    if config.region().is_some() {
        return config;
    }
    config
        .into_builder()
        .region(Region::from_static(REGION))
        .build()
}

/// The URL of the S3 endpoint, if it is set. Stores other than Amazon's have no host name for each
/// bucket.
pub fn s3_endpoint(config: &SdkConfig) -> Option<String> {
    let of_s3 =
        std::env::var_os("AWS_ENDPOINT_URL_S3").map(|url| url.to_string_lossy().into_owned());
    of_s3.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// The endpoint for requests about the queue at a URL, if it is neither the configured one nor that
/// of the queue's region: the URL's own host, such as that of a VPC endpoint.
pub fn endpoint_of_queue(config: &SdkConfig, url: &QueueUrl) -> Option<String> {
    let is_set =
        config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_SQS").is_some();
    (!is_set && !url.is_public()).then(|| url.endpoint())
}

#[cfg(test)]
mod tests;
