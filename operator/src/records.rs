//! S3 as the operator sees it: records of runs, and the names of receipts. It never reads data, and it
//! writes nothing.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use s3bundler_common::listing::{problem_of_order, problem_of_page};
use s3bundler_contract::record::{RecordError, RunClaim, RunSummary};
use s3bundler_contract::{Acknowledgement, Layout, ResourceUid, RunName, S3Address, Stage};

use crate::aws::{Aws, AwsError, AwsErrorKind};
use crate::receipts::{Count, Counted, Listing, MOST_UNEXPECTED};

/// The request that finds receipts.
const LIST: &str = "ListObjectsV2";
/// No claim or summary is larger; prefixes are what makes a claim grow.
const RECORD_BYTES: usize = 4 << 20;
/// Room for keys of 1,024 bytes, each of which is escaped.
const ACKNOWLEDGEMENT_BYTES: usize = 64 << 10;

/// Why a record could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordsError {
    /// S3 did not do as asked.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Something else than the record it should be.
    #[error("{address}: {cause}")]
    Record {
        address: S3Address,
        cause: Arc<RecordError>,
    },
    /// Too much lies where receipts are.
    #[error(
        "{0} has more than {MOST_UNEXPECTED} objects that are not receipts of this run: move them to \
         another prefix"
    )]
    Flooded(S3Address),
    /// There was no time left.
    #[error("S3 or SQS has not answered in time")]
    TimedOut,
}

/// A bucket in a region, with the account that must own it.
#[derive(Debug, Clone)]
pub struct Records {
    client: Client,
    expected_owner: Option<String>,
}

impl Records {
    pub fn new(aws: &Aws, region: &str, expected_owner: Option<String>) -> Self {
        Self {
            client: aws.clients(region).s3,
            expected_owner,
        }
    }

    /// The acknowledgement of a run by the resource with this UID; `None` if it is not there.
    pub async fn acknowledgement(
        &self,
        bucket: &str,
        layout: &Layout,
        run: &RunName,
        uid: &ResourceUid,
    ) -> Result<Option<Acknowledgement>, RecordsError> {
        let address = S3Address::new(bucket, layout.acknowledgement(run, uid));
        self.record(address, ACKNOWLEDGEMENT_BYTES, |bytes| {
            Acknowledgement::parse_of(bytes, run, uid)
        })
        .await
    }

    /// The claim of a run's name; `None` if nobody has claimed it.
    pub async fn claim(
        &self,
        bucket: &str,
        layout: &Layout,
        run: &RunName,
    ) -> Result<Option<RunClaim>, RecordsError> {
        let address = S3Address::new(bucket, layout.claim(run));
        self.record(address, RECORD_BYTES, |bytes| {
            RunClaim::parse_of(bytes, run)
        })
        .await
    }

    /// What the grouper made of a pass, once it has made it.
    pub async fn summary(
        &self,
        bucket: &str,
        layout: &Layout,
        run: &RunName,
        stage: Stage,
    ) -> Result<Option<RunSummary>, RecordsError> {
        let address = S3Address::new(bucket, layout.stage_summary(run, stage));
        self.record(address, RECORD_BYTES, |bytes| {
            RunSummary::parse_of(bytes, run, stage)
        })
        .await
    }

    /// Goes on with the sweep over the receipts of a run, or begins one, by at most `lists` LISTs.
    /// Returns what the sweep has come to if it came to its end. Fails if the prefix holds too much
    /// that is not a receipt of the run.
    pub async fn count(
        &self,
        bucket: &str,
        layout: &Layout,
        run: &RunName,
        count: &mut Count,
        lists: u32,
    ) -> Result<Option<Counted>, RecordsError> {
        let prefix = layout.receipts(run);
        if !count.is_under_way() {
            count.begin();
        }
        for _ in 0..lists {
            let Some(listing) = count.listing() else {
                break;
            };
            let page = self.receipts(bucket, &prefix, &listing).await?;
            let objects = page.contents().iter();
            let names = objects.filter_map(|object| object.key()?.strip_prefix(&prefix));
            let is_last = page.is_truncated() != Some(true);
            if let Some(counted) = count.page(names, is_last) {
                return Ok(Some(counted));
            }
            if count.is_flooded() {
                return Err(RecordsError::Flooded(S3Address::new(bucket, prefix)));
            }
        }
        Ok(None)
    }

    /// A LIST of receipts. Fails if its answer was damaged, is of something else, or cannot be gone on
    /// with.
    async fn receipts(
        &self,
        bucket: &str,
        prefix: &str,
        listing: &Listing,
    ) -> Result<ListObjectsV2Output, AwsError> {
        let target = || S3Address::new(bucket, prefix).to_string();
        let after = listing.after.as_ref().map(|name| format!("{prefix}{name}"));
        let request = self
            .client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .set_start_after(after.clone())
            .max_keys(i32::try_from(listing.most).unwrap_or(i32::MAX))
            .set_expected_bucket_owner(self.expected_owner.clone());
        let page = request
            .send()
            .await
            .map_err(|error| AwsError::s3(LIST, target(), &error))?;
        let keys = || page.contents().iter().filter_map(|object| object.key());
        let (truncated, token) = (page.is_truncated(), page.next_continuation_token());
        let problem = problem_of_page(prefix, keys(), truncated, token)
            .or_else(|| problem_of_order(after.as_deref(), keys(), truncated));
        match problem {
            None => Ok(page),
            Some(problem) => Err(AwsError {
                action: LIST,
                target: target(),
                kind: AwsErrorKind::Transient,
                detail: problem.to_owned(),
            }),
        }
    }

    /// A record of at most `limit` bytes; `None` if it is not there.
    async fn record<T>(
        &self,
        address: S3Address,
        limit: usize,
        parse: impl FnOnce(&[u8]) -> Result<T, RecordError>,
    ) -> Result<Option<T>, RecordsError> {
        let Some(bytes) = self.get(&address, limit).await? else {
            return Ok(None);
        };
        parse(&bytes)
            .map(Some)
            .map_err(|cause| RecordsError::Record {
                address,
                cause: cause.into(),
            })
    }

    /// The bytes of a small object; `None` where it is not there.
    async fn get(&self, address: &S3Address, limit: usize) -> Result<Option<Vec<u8>>, AwsError> {
        let request = self
            .client
            .get_object()
            .bucket(&address.bucket)
            .key(&address.key);
        let answer = request
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await;
        let mut output =
            match answer.map_err(|error| AwsError::s3("GetObject", address.to_string(), &error)) {
                Ok(output) => output,
                Err(error) if error.kind == AwsErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
        let failed = |kind, detail: String| AwsError {
            action: "GetObject",
            target: address.to_string(),
            kind,
            detail,
        };
        if output
            .content_length()
            .and_then(|length| usize::try_from(length).ok())
            .is_some_and(|length| length > limit)
        {
            return Err(failed(
                AwsErrorKind::Rejected,
                format!("it has more than {limit} bytes"),
            ));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = output.body.next().await {
            bytes.extend_from_slice(
                &chunk.map_err(|error| failed(AwsErrorKind::Transient, error.to_string()))?,
            );
            if bytes.len() > limit {
                return Err(failed(
                    AwsErrorKind::Rejected,
                    format!("it has more than {limit} bytes"),
                ));
            }
        }
        Ok(Some(bytes))
    }
}
