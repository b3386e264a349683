//! A server, a proxy in front of it, and the few words that the tests are written in.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use s3bundler::destination::Destination;
use s3bundler::group::{GroupError, GroupRequest, Grouped, Origin, group};
use s3bundler::inventory::Scratch;
use s3bundler::queue::{Delivery, Queue, QueueError};
use s3bundler::s3::{PathStyle, RequestOptions, S3, S3Options};
use s3bundler_contract::group_manifest::{Columns, KeyEncoding, RowReader};
use s3bundler_contract::message::ManifestRef;
use s3bundler_contract::{
    ArchiveOptions, GroupOptions, KeyLayout, Layout, Receipt, Row, RunSummary, S3Address,
    SelectOptions,
};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::Published;
use s3bundler_testbed::patience::{PATIENCE, until};
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::{Access, Moto, VersityGw};

/// The bucket that inventories are delivered to.
pub(crate) const INVENTORIES: &str = "inventories";
/// The bucket that groups are written to.
pub(crate) const ARCHIVE: &str = "archive";

/// A server with the two buckets.
pub(crate) struct Scene {
    _server: Box<dyn Send + Sync>,
    /// Straight to the server.
    pub(crate) client: aws_sdk_s3::Client,
    /// Between the server and what is tested.
    pub(crate) proxy: Proxy,
    /// What is tested, through the proxy.
    pub(crate) s3: S3,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let server = VersityGw::start().await.unwrap();
        Self::of(server.access().clone(), Box::new(server)).await
    }

    /// On a server with queues, versions, and keys that are no names of files.
    pub(crate) async fn on_moto() -> Self {
        let server = Moto::start().await.unwrap();
        Self::of(server.access().clone(), Box::new(server)).await
    }

    async fn of(access: Access, server: Box<dyn Send + Sync>) -> Self {
        let client = client::s3(&access);
        for bucket in [INVENTORIES, ARCHIVE] {
            client::create_bucket(&client, bucket).await.unwrap();
        }
        let proxy = Proxy::start(&access).unwrap();
        let through = proxy.access();
        let credentials =
            Credentials::new(&through.access_key, &through.secret_key, None, None, "test");
        let config = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(through.region.clone()))
            .endpoint_url(&through.endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(3)
                    .with_initial_backoff(Duration::from_millis(10)),
            )
            .build();
        let s3 = S3::new(
            config,
            &S3Options {
                path_style: PathStyle::Auto,
                region: None,
                requests: RequestOptions::default(),
                first_byte_timeout: None,
                outage_budget: std::time::Duration::ZERO,
                requests_per_second: None,
            },
        );
        Self {
            _server: server,
            client,
            proxy,
            s3,
        }
    }

    /// Groups with a queue that takes everything.
    pub(crate) async fn group(
        &self,
        request: &GroupRequest,
    ) -> Result<(Grouped, Vec<ManifestRef>), GroupError> {
        let queue = Recorder::default();
        let grouped = group(&self.s3, request, Some(&queue), |_| ()).await?;
        Ok((grouped, queue.sent()))
    }

    /// Groups what cannot be grouped.
    pub(crate) async fn refuse(&self, request: &GroupRequest) -> GroupError {
        match self.group(request).await {
            Ok(_) => panic!("it was grouped"),
            Err(error) => error,
        }
    }

    /// The rows of a group manifest, and its bytes; its metadata must name the columns.
    pub(crate) async fn manifest(&self, bucket: &str, key: &str) -> (Vec<Row>, Vec<u8>) {
        let head = self
            .client
            .head_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .unwrap();
        let columns: Columns = head.metadata().unwrap()["columns"].parse().unwrap();
        let bytes = client::get_bytes(&self.client, bucket, key).await.unwrap();
        let rows = RowReader::new(&bytes[..], columns, KeyEncoding::Literal);
        (rows.map(|row| row.unwrap()).collect(), bytes.to_vec())
    }

    /// The keys of the group manifests under a prefix, in order.
    pub(crate) async fn manifests(&self, bucket: &str, prefix: &str) -> Vec<String> {
        client::list_keys(&self.client, bucket, &format!("{prefix}groups/"))
            .await
            .unwrap()
    }

    /// The summary of a run, as it is in S3.
    pub(crate) async fn summary(&self, request: &GroupRequest) -> RunSummary {
        let key = request.destination.layout.summary(&request.run);
        RunSummary::parse(
            &client::get_bytes(&self.client, &request.destination.bucket, &key)
                .await
                .unwrap(),
        )
        .unwrap()
    }

    /// Writes the receipt of a group, as if it were archived.
    pub(crate) async fn archive(&self, request: &GroupRequest, group: &str) {
        let mut receipt = Receipt::empty(group.parse().unwrap());
        (receipt.figures.archived, receipt.figures.archived_bytes) = (1, 7);
        let key = receipt.key(&request.destination.layout, &request.run);
        client::put_object(&self.client, &request.destination.bucket, &key, "")
            .await
            .unwrap();
    }

    /// From now on the PUT of this manifest is refused, once another manifest is there: PUTs are
    /// under way side by side, and a refusal that is faster than all others would leave nothing to
    /// go on from.
    pub(crate) fn refuse_put(&self, manifest: &str) {
        let another = self.manifest_lands();
        let refused = manifest.to_owned();
        self.proxy.rule(move |seen| {
            if seen.operation != Operation::PutObject || seen.key() != refused {
                return Fault::Forward;
            }
            let begun = Instant::now();
            tokio::task::block_in_place(|| {
                while !another.load(Ordering::SeqCst) && begun.elapsed() < PATIENCE {
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            Fault::FailBefore {
                status: 403,
                code: "AccessDenied",
            }
        });
    }

    /// Becomes true when a manifest is there that is put from now on.
    fn manifest_lands(&self) -> Arc<AtomicBool> {
        let landed = Arc::new(AtomicBool::new(false));
        let lands = Arc::clone(&landed);
        self.proxy.after_response(move |seen, status| {
            if seen.operation == Operation::PutObject
                && seen.key().contains("/groups/")
                && status.is_success()
            {
                lands.store(true, Ordering::SeqCst);
            }
        });
        landed
    }

    /// Drops the grouping once it is stuck in a PUT behind this many, with a manifest there to go
    /// on from: PUTs are under way side by side.
    pub(crate) async fn drop_in_put<T>(&self, behind: u64, grouping: impl Future<Output = T>) {
        let landed = self.manifest_lands();
        let stuck = Arc::new(AtomicBool::new(false));
        let (gets_stuck, puts) = (Arc::clone(&stuck), AtomicU64::new(0));
        self.proxy.rule(move |seen| {
            if seen.operation == Operation::PutObject
                && puts.fetch_add(1, Ordering::SeqCst) >= behind
            {
                gets_stuck.store(true, Ordering::SeqCst);
                return Fault::Hang;
            }
            Fault::Forward
        });
        tokio::select! {
            _ = grouping => panic!("it cannot end"),
            () = until(async || stuck.load(Ordering::SeqCst) && landed.load(Ordering::SeqCst)) => {}
        }
    }

    /// What was put since the log was cleared went on from `before`: each key once, none of those
    /// that were there, and among them these. A PUT that was under way when the first start failed
    /// may still have landed after it was listed, so that not every other manifest has to be among
    /// them.
    pub(crate) fn assert_went_on(&self, before: &[String], with: &[&str]) {
        let records = self.proxy.log();
        let puts = records
            .iter()
            .filter(|it| it.request.operation == Operation::PutObject);
        let puts: Vec<_> = puts.map(|it| it.request.key()).collect();
        let distinct: BTreeSet<_> = puts.iter().map(String::as_str).collect();
        assert_eq!(distinct.len(), puts.len(), "{puts:?}");
        assert!(
            before.iter().all(|key| !distinct.contains(&key[..])),
            "what was there is sent again: {puts:?}"
        );
        for key in with {
            assert!(distinct.contains(key), "{key} is not among {puts:?}");
        }
    }
}

/// A request with small groups, under `logs/` of the archive bucket.
pub(crate) fn request(inventory: &Published) -> GroupRequest {
    request_of(Origin::Inventory(inventory.manifest.parse().unwrap()))
}

pub(crate) fn request_of(origin: Origin) -> GroupRequest {
    GroupRequest {
        origin,
        run: "run".parse().unwrap(),
        destination: destination("s3://archive/logs"),
        select: SelectOptions::default(),
        group: GroupOptions {
            max_objects: 10,
            ..GroupOptions::default()
        },
        archive: ArchiveOptions::default(),
        manifest_storage_class: "STANDARD".to_owned(),
        owner: "the first".to_owned(),
        acknowledge: None,
        scratch: Scratch::new(None, None).unwrap(),
    }
}

pub(crate) fn destination(address: &str) -> Destination {
    let S3Address { bucket, key } = address.parse().unwrap();
    Destination {
        bucket,
        layout: Layout::new(&key, KeyLayout::Hashed).unwrap(),
    }
}

/// A queue that remembers what it was sent.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<Vec<ManifestRef>>>);

impl Recorder {
    /// All messages.
    pub(crate) fn sent(&self) -> Vec<ManifestRef> {
        let mut sent: Vec<_> = self.0.lock().unwrap().iter().flatten().cloned().collect();
        sent.sort_by(|a, b| a.key.cmp(&b.key));
        sent
    }

    /// Messages of every call.
    pub(crate) fn batches(&self) -> Vec<usize> {
        self.0.lock().unwrap().iter().map(Vec::len).collect()
    }
}

impl Queue for Recorder {
    async fn send(&self, manifests: &[ManifestRef]) -> Result<(), QueueError> {
        self.0.lock().unwrap().push(manifests.to_vec());
        Ok(())
    }

    async fn receive(
        &self,
        _: usize,
        _: Duration,
        _: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        unreachable!("the grouper only sends")
    }

    async fn extend(&self, _: &Delivery, _: Duration) -> Result<(), QueueError> {
        unreachable!("the grouper only sends")
    }

    async fn delete(&self, _: &Delivery) -> Result<(), QueueError> {
        unreachable!("the grouper only sends")
    }
}
