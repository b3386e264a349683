//! What tests against S3 and SQS servers share.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use s3bundler_operator::aws::Aws;
use s3bundler_testbed::servers::Access;

/// The operator's clients of a server.
pub fn aws(access: &Access) -> Aws {
    let keys = Credentials::new(&access.access_key, &access.secret_key, None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(access.region.clone()))
        .endpoint_url(&access.endpoint)
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build();
    Aws::new(config)
}
