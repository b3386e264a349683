//! The bundler in the test's own process, with settings that no option has.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::config::Credentials;
use s3bundler::bundle::limiter::Limits;
use s3bundler::bundle::parts::PartLimits;
use s3bundler::bundle::{BundleError, Bundler, GroupReport, Settings};
use s3bundler::destination::Destination;
use s3bundler::progress::{Progress, ProgressStyle};
use s3bundler::s3::{PathStyle, RequestOptions, S3, S3Options};
use s3bundler_contract::message::ManifestRef;
use s3bundler_contract::{ArchiveOptions, ByteSize, KeyLayout, Layout, S3Address};
use s3bundler_testbed::cli::Program;
use s3bundler_testbed::servers::Access;
use tokio_util::sync::CancellationToken;

use super::{PREFIX, RUN, World};

/// What a test says of one group's archive.
#[derive(Debug, Clone, Copy)]
pub struct Limited {
    /// Memory for object data.
    pub memory: u64,
    /// How many parts there may be, and how they grow.
    pub parts: PartLimits,
    /// Room in the scratch directory.
    pub scratch_size: Option<u64>,
}

impl World {
    /// Another command on the run in a bucket, straight to the server.
    pub fn command(&self, bucket: &str, args: &[&str]) -> Program {
        super::s3bundler().access(self.access()).args(args).args([
            "--name",
            RUN,
            "--destination",
            &format!("s3://{bucket}/{PREFIX}"),
        ])
    }

    /// Groups the world's inventory into a bucket.
    pub async fn group(&self, bucket: &str) {
        let rows = self.group_rows.to_string();
        let group = self.command(
            bucket,
            &[
                "group",
                "--inventory",
                &self.inventory,
                "--max-objects",
                &rows,
            ],
        );
        let grouped = group.run().await.unwrap();
        assert_eq!(grouped.code, Some(0), "{grouped}");
    }

    /// Archives the only group of a bucket in this process.
    pub async fn bundle_here(
        &self,
        access: &Access,
        bucket: &str,
        limited: Limited,
    ) -> Result<GroupReport, BundleError> {
        let bundler = self.bundler_here(access, bucket, limited).await;
        Box::pin(bundler.bundle(&self.only_group(bucket).await, &CancellationToken::new())).await
    }

    /// The manifest of the only group of a bucket.
    pub async fn only_group(&self, bucket: &str) -> ManifestRef {
        let [manifest] = &self.keys_of(bucket, "groups").await[..] else {
            panic!("one group")
        };
        ManifestRef::new(S3Address::new(bucket, manifest), None)
    }

    /// A bundler in this process that archives into a bucket.
    pub async fn bundler_here(&self, access: &Access, bucket: &str, limited: Limited) -> Bundler {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(access.region.clone()))
            .endpoint_url(&access.endpoint)
            .credentials_provider(Credentials::new(
                &access.access_key,
                &access.secret_key,
                None,
                None,
                "testbed",
            ));
        let options = S3Options {
            path_style: PathStyle::Always,
            region: None,
            requests: RequestOptions {
                destination: Some(bucket.to_owned()),
                ..RequestOptions::default()
            },
            first_byte_timeout: None,
            outage_budget: std::time::Duration::ZERO,
            requests_per_second: None,
        };
        let layout = Layout::new(PREFIX, KeyLayout::Hashed).unwrap();
        let settings = Settings {
            destination: Destination {
                bucket: bucket.to_owned(),
                layout,
            },
            fallback_run: RUN.parse().unwrap(),
            archive: ArchiveOptions::default(),
            fieldnames: None,
            groups: 1,
            limits: Limits { concurrency: None },
            memory: ByteSize(limited.memory),
            scratch: self.scratch.path().to_owned(),
            scratch_size: limited.scratch_size.map(ByteSize),
            parts: limited.parts,
            sha256: false,
        };
        let s3 = S3::new(config.load().await, &options);
        Bundler::new(s3, settings, Progress::start(ProgressStyle::Silent))
    }
}
