//! What a run will do and cost, from its rows alone: nothing is written, and no object is read unless
//! a sample is asked for.
//!
//! ```text
//! rows ──► selection, Cutter of the grouper ──► groups ──► groups: archive, parts, copies ──► requests ─┐
//!   └────► profile: classes, sizes, ages, sample                                                       ├──► costs, forgotten ──► report
//!                                                                        prices: a file, with sources ─┘
//! ```
//!
//! Rows are read and cut by the code of the grouper, and sizes of parts, pages and batches come from
//! the code that sends them, so that a plan and its run cannot differ. What no inventory says (tags,
//! compression) is an assumption, and the report says so (docs/decisions/plans-of-runs.md). Memory
//! does not grow with the rows: of a group only sums remain.

mod costs;
mod forgotten;
mod groups;
mod histogram;
mod money;
pub(crate) mod prices;
mod profile;
mod report;
mod requests;
mod sample;

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use s3bundler_contract::group_manifest::Column;
use s3bundler_contract::{ArchiveFormat, ArchiveOptions, ByteSize, ExitCode, HasExitCode, LeftOut};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::group::{CutGroup, Dry, DryOrigin, DryRequest, GroupError, Origin, OriginFacts};
use crate::queue::visibility::EXTENDED_EVERY;
use crate::s3::S3;
use costs::{Now, Stored, Target, Written};
use forgotten::{Forgotten, forgotten};
use groups::{GroupFigures, Machine, Totals, scaled};
use histogram::Bar;
use prices::{PriceList, PricesError};
use profile::{Profile, Rules};
pub(crate) use report::Report;
use requests::{Line, Rows, requests};
use sample::Sample;

pub(crate) use requests::Work;

/// Bytes of an index beside those of a group manifest, for each row: MD5, place, archive and headers.
/// Measured with keys of 40 bytes and a content type.
const INDEX_ROW: u64 = 210;
/// Bytes of a catalog for each row, beside a fifth of its manifest. Measured as above.
const CATALOG_ROW: u64 = 34;
/// Bytes of a catalog without rows.
const CATALOG: u64 = 8 << 10;
/// Bytes of a description of a copy.
const DESCRIPTION: u64 = 600;

/// What to plan.
#[derive(Debug, Clone)]
pub(crate) struct PlanRequest {
    pub(crate) rows: DryRequest,
    /// How archives are written.
    pub(crate) archive: ArchiveOptions,
    /// Storage class of the group manifests.
    pub(crate) manifest_storage_class: String,
    /// How the run is worked.
    pub(crate) work: Work,
    /// Memory for object data of a process.
    pub(crate) memory: ByteSize,
    /// Groups at a time in a process.
    pub(crate) groups: u64,
    /// Room in the scratch directory, if it is limited.
    pub(crate) scratch_size: Option<ByteSize>,
    /// Most requests a second to each source bucket.
    pub(crate) max_requests_per_second: Option<NonZeroU32>,
    /// Objects a second of the whole run.
    pub(crate) rate: u32,
    /// The share of objects with tags, if it is known.
    pub(crate) tagged_share: Option<f64>,
    /// The share of a plain tar to which archives are compressed, if it is known.
    pub(crate) ratio: Option<f64>,
    /// Objects to read, to find out both.
    pub(crate) sample: usize,
    /// Whether a key of KMS encrypts what is written.
    pub(crate) writes_with_kms: bool,
    pub(crate) prices: PriceList,
    /// The time for ages.
    pub(crate) now: Timestamp,
}

/// Why nothing could be planned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// The rows cannot be read, as a run could not read them.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The prices cannot be used.
    #[error(transparent)]
    Prices(#[from] PricesError),
    /// A sample could not be compressed.
    #[error("cannot compress the sample: {0}")]
    Sample(io::Error),
    /// A thread of this process is gone.
    #[error("planning stopped unexpectedly")]
    Stopped,
}

impl HasExitCode for PlanError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Group(error) => error.exit_code(),
            Self::Prices(error) => error.exit_code(),
            Self::Sample(_) => ExitCode::Local,
            Self::Stopped => ExitCode::Unexpected,
        }
    }
}

/// A plan.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rows: u64,
    pub(crate) left_out: BTreeMap<LeftOut, u64>,
    pub(crate) groups: u64,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// Bytes of all archives as plain tars.
    pub(crate) tar: u128,
    pub(crate) ratio: f64,
    pub(crate) copied: Stored,
    pub(crate) written: Written,
    pub(crate) lines: Vec<Line>,
    pub(crate) line_costs: Vec<money::Usd>,
    pub(crate) now: Now,
    pub(crate) targets: Vec<Target>,
    pub(crate) duration: Duration,
    pub(crate) sizes: Vec<Bar>,
    pub(crate) ages: Vec<Bar>,
    pub(crate) size_plot: String,
    pub(crate) age_plot: String,
    pub(crate) forgotten: Vec<Forgotten>,
    pub(crate) assumptions: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) sample: Option<Sample>,
}

/// The assumed shares, and what they come from.
#[derive(Debug, Clone, PartialEq)]
struct Shares {
    tagged: f64,
    tagged_from: String,
    ratio: f64,
    ratio_from: Option<String>,
}

/// Plans a run.
pub(crate) async fn plan(s3: &S3, request: &PlanRequest) -> Result<Plan, PlanError> {
    for class in [
        &request.archive.storage_class,
        &request.manifest_storage_class,
    ] {
        request.prices.check_target(class)?;
    }
    let dry = Dry::open(s3, request.rows.clone()).await?;
    let facts = dry.facts();
    let machine = Machine {
        memory: request.memory,
        groups: request.groups,
        scratch_size: request.scratch_size,
        equal_parts: s3.wants_equal_parts(),
    };
    let today = request.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let today = profile::days_of(today);
    let rules = Arc::new(Rules::new(
        &request.prices,
        today.unwrap_or_default(),
        request.sample,
    ));
    let (sender, groups) = mpsc::channel(1);
    let observer = move || Profile::new(Arc::clone(&rules));
    let cutting = dry.cut(s3, observer, Profile::merge, sender);
    // A sample is read at the end: until then each directory counts as one without tags.
    let tagged = request.tagged_share.unwrap_or(0.0);
    let adding = add_all(groups, &request.archive, machine, tagged);
    let (cut, totals) = tokio::join!(cutting, adding);
    // The first cause first: a reader that ends stops the cutting.
    let totals = totals?;
    let (summary, profile) = cut?;
    let sample = if request.sample > 0 {
        let rows = profile.clone().into_sample();
        let read = sample::read(s3, rows, &request.archive).await;
        Some(read.map_err(PlanError::Sample)?)
    } else {
        None
    };
    let shares = shares(request, sample.as_ref());
    let (parts, too_large) = totals.parts(shares.ratio);
    let rows = match (&request.rows.origin, facts.files) {
        (DryOrigin::Listing(_), _) => Rows::Listing,
        (DryOrigin::Run(Origin::Inventory(_)), files) => Rows::Inventory { files },
        (DryOrigin::Run(Origin::Manifests(_)), files) => Rows::Manifests { files },
    };
    let objects = totals.packed + totals.copies.objects;
    let lines = requests(&requests::Facts {
        rows,
        work: request.work,
        totals: &totals,
        parts,
        is_compressed: request.archive.format != ArchiveFormat::Tar,
        tagged: scaled_count(objects, shares.tagged),
        extensions: extensions(objects, &totals, request),
        single_writer: s3.single_writer(),
        // Inventory, sources and destination.
        regions: if s3.asks_for_regions() { 3 } else { 0 },
    });
    let written = written(&totals, shares.ratio);
    let class = &request.archive.storage_class;
    let manifest_class = &request.manifest_storage_class;
    let prices = &request.prices;
    let now = costs::now(&profile, prices);
    let targets = costs::targets(&lines, &profile, &written, manifest_class, prices);
    let classes = (class.as_str(), manifest_class.as_str());
    let line_costs = costs::of_lines(&lines, &profile, classes, prices);
    let duration = duration(
        objects,
        &lines,
        request.rate,
        request.max_requests_per_second,
    );
    let target = targets.iter().find(|target| target.class == *class);
    let transferred = totals.packed_bytes + written.archives.bytes + written.indexes.bytes;
    let forgotten = target.map_or_else(Vec::new, |target| {
        forgotten(&forgotten::Facts {
            lines: &lines,
            profile: &profile,
            written: &written,
            now: &now,
            target,
            prices,
            knows_encryption: knows_encryption(&facts),
            writes_with_kms: request.writes_with_kms,
            transferred,
            duration,
            objects,
        })
    });
    let assumptions = assumptions(request, &facts, &shares, &profile, &totals);
    let warnings = warnings(request, &totals, too_large, &now, sample.as_ref());
    Ok(Plan {
        rows: summary.rows,
        left_out: summary.left_out,
        groups: summary.groups,
        objects: summary.objects,
        bytes: summary.bytes,
        tar: totals.tar,
        ratio: shares.ratio,
        copied: written.copies,
        written,
        lines,
        line_costs,
        now,
        targets,
        duration,
        sizes: profile.sizes.bars(),
        ages: profile.ages.bars(),
        size_plot: profile.sizes.plot(),
        age_plot: profile.ages.plot(),
        forgotten,
        assumptions,
        warnings,
        sample,
    })
}

/// Reads the manifests of all groups, several at a time, and adds them up in their order.
async fn add_all(
    mut groups: mpsc::Receiver<CutGroup>,
    options: &ArchiveOptions,
    machine: Machine,
    tagged: f64,
) -> Result<Totals, PlanError> {
    let at_a_time = std::thread::available_parallelism().map_or(2, usize::from);
    let mut totals = Totals::default();
    let figures = stream::poll_fn(|context| groups.poll_recv(context))
        .map(|group| {
            let options = options.clone();
            async move {
                let reading = spawn_blocking(move || GroupFigures::of(&group.manifest, &options));
                let read = reading.await.map_err(|_| PlanError::Stopped)?;
                // The grouper has just written these rows.
                read.map_err(|_| PlanError::Stopped)
            }
        })
        .buffered(at_a_time);
    let mut figures = std::pin::pin!(figures);
    while let Some(group) = figures.try_next().await? {
        totals.add(&group, machine, tagged);
    }
    Ok(totals)
}

/// The shares that are supplied, or those of the sample, or none.
fn shares(request: &PlanRequest, sample: Option<&Sample>) -> Shares {
    let of_sample = |share: Option<f64>| Some((share?, sample?.objects));
    let (tagged, tagged_from) = match (
        request.tagged_share,
        of_sample(sample.and_then(Sample::tagged_share)),
    ) {
        (Some(share), _) => (share, "--tagged-share".to_owned()),
        (None, Some((share, objects))) => (share, format!("a sample of {objects} objects")),
        (None, None) => (0.0, "no --tagged-share and no --sample".to_owned()),
    };
    let is_plain = request.archive.format == ArchiveFormat::Tar;
    let (ratio, ratio_from) = match (request.ratio, of_sample(sample.and_then(Sample::ratio))) {
        _ if is_plain => (1.0, None),
        (Some(ratio), _) => (ratio, Some("--ratio".to_owned())),
        (None, Some((ratio, objects))) => (ratio, Some(format!("a sample of {objects} objects"))),
        (None, None) => (1.0, Some("no --ratio and no --sample".to_owned())),
    };
    Shares {
        tagged,
        tagged_from,
        ratio,
        ratio_from,
    }
}

/// A share of a number of objects.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share between 0 and 1, which is assumed"
)]
fn scaled_count(objects: u64, share: f64) -> u64 {
    (objects as f64 * share).round() as u64
}

/// What a run leaves in the destination. Indexes and catalogs are estimated.
fn written(totals: &Totals, ratio: f64) -> Written {
    let objects = totals.packed + totals.copies.objects;
    let tar = u64::try_from(totals.tar).unwrap_or(u64::MAX);
    let rows_of_indexes = if totals.archives > 0 { totals.rows } else { 0 };
    let of_manifests = if totals.rows > 0 {
        totals.manifest_bytes
    } else {
        0
    };
    let records = totals.groups * CATALOG + objects * CATALOG_ROW;
    let descriptions = totals.copies.objects * DESCRIPTION;
    Written {
        archives: Stored {
            objects: totals.archives,
            bytes: scaled(tar, ratio).into(),
        },
        indexes: Stored {
            objects: totals.archives,
            bytes: of_manifests + u128::from(rows_of_indexes * INDEX_ROW),
        },
        copies: Stored {
            objects: totals.copies.objects,
            bytes: totals.copies.bytes,
        },
        manifests: Stored {
            objects: totals.groups,
            bytes: totals.manifest_bytes,
        },
        records: Stored {
            objects: totals.groups * 2 + totals.copies.objects + 2,
            bytes: u128::from(records + descriptions) + of_manifests / 5,
        },
    }
}

/// How often messages of a queue are kept hidden for longer, if groups take as long as the rate
/// says.
fn extensions(objects: u64, totals: &Totals, request: &PlanRequest) -> u64 {
    let Work::Queue { workers } = request.work else {
        return 0;
    };
    let groups = totals.groups.max(1);
    let at_a_time = workers.saturating_mul(request.groups).min(groups);
    let seconds = objects / u64::from(request.rate.max(1));
    let of_a_group = seconds.saturating_mul(at_a_time) / groups;
    totals.groups * (of_a_group / EXTENDED_EVERY.as_secs())
}

/// How long a run takes at a rate of objects, or of requests to the sources if that is limited.
fn duration(
    objects: u64,
    lines: &[Line],
    rate: u32,
    max_requests_per_second: Option<NonZeroU32>,
) -> Duration {
    let by_rate = objects.div_ceil(u64::from(rate.max(1)));
    let requests: u64 = lines
        .iter()
        .filter(|line| line.place == requests::Place::Source)
        .map(|line| line.count)
        .sum();
    let by_requests =
        max_requests_per_second.map_or(0, |most| requests.div_ceil(u64::from(most.get())));
    Duration::from_secs(by_rate.max(by_requests))
}

fn knows_encryption(facts: &OriginFacts) -> bool {
    facts.columns.is_some()
        && facts.has(&Column::EncryptionStatus)
        && facts.has(&Column::BucketKeyStatus)
}

/// Everything that the numbers rest on and the rows do not say.
fn assumptions(
    request: &PlanRequest,
    facts: &OriginFacts,
    shares: &Shares,
    profile: &Profile,
    totals: &Totals,
) -> Vec<String> {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let mut list = vec![
        "nothing fails: retries, hedged requests and receives that find nothing are not counted"
            .to_owned(),
        format!(
            "{} of the objects have tags ({})",
            percent(shares.tagged),
            shares.tagged_from
        ),
    ];
    if let Some(from) = &shares.ratio_from {
        list.push(format!(
            "archives are compressed to {} of a plain tar ({from})",
            percent(shares.ratio)
        ));
    }
    list.push(format!(
        "each process has {} of memory for {} groups at a time (--memory, --groups): parts follow \
         from that",
        indicatif::BinaryBytes(request.memory.bytes()),
        request.groups
    ));
    list.push("sizes of indexes and catalogs are estimated from the group manifests".to_owned());
    if let Work::Queue { workers } = request.work {
        list.push(format!(
            "{workers} worker processes (--workers) receive one message at a time"
        ));
    }
    if request.rows.destination.is_none() {
        list.push(
            "no --destination: objects below the destination's prefix would be left out as own \
             output"
                .to_owned(),
        );
    }
    if request.rows.origin_is_listing() {
        list.push(
            "a run reads an inventory or manifests, not a listing: the requests for them are not \
             counted"
                .to_owned(),
        );
    }
    let unclassed = profile
        .classes()
        .into_iter()
        .find(|(name, _)| name.is_empty());
    if let Some((_, figures)) = unclassed {
        list.push(format!(
            "{} objects without a storage class are in STANDARD",
            indicatif::HumanCount(figures.objects)
        ));
    }
    if profile.unsized_objects > 0 {
        list.push(format!(
            "{} objects without a size are empty: groups end at --max-objects",
            indicatif::HumanCount(profile.unsized_objects)
        ));
    }
    if profile.undated > 0 {
        list.push(format!(
            "{} objects without a readable date are in no age class, and cost nothing if deleted \
             early",
            indicatif::HumanCount(profile.undated)
        ));
    }
    if totals.copies.without_etag > 0 {
        list.push(format!(
            "{} copied objects without a listed ETag were uploaded in parts",
            indicatif::HumanCount(totals.copies.without_etag)
        ));
    }
    let has_tiers = facts.has(&Column::IntelligentTieringAccessTier);
    let is_tiered = profile
        .classes()
        .iter()
        .any(|(name, _)| *name == "INTELLIGENT_TIERING");
    if is_tiered && !has_tiers {
        list.push(
            "objects in INTELLIGENT_TIERING are in its first tier: the inventory has no \
             IntelligentTieringAccessTier"
                .to_owned(),
        );
    }
    list.push(
        "prices have no free tier and no volume discount, a GB has 2^30 bytes and a month 30 days; \
         source, destination and workers are in one region; archives in INTELLIGENT_TIERING are in \
         its first tier"
            .to_owned(),
    );
    list.push(
        "break-even: the originals are deleted when the run has ended, early-deletion fees included"
            .to_owned(),
    );
    list
}

/// What would go wrong, or what the numbers lack.
fn warnings(
    request: &PlanRequest,
    totals: &Totals,
    too_large: u64,
    now: &Now,
    sample: Option<&Sample>,
) -> Vec<String> {
    let count = indicatif::HumanCount;
    let mut list = Vec::new();
    if let Some((groups, error)) = &totals.refused {
        list.push(format!("{} groups would fail: {error}", count(*groups)));
    }
    if too_large > 0 {
        list.push(format!(
            "{} groups would fail: their archives need more parts than S3 takes; lower --max-size \
             or --max-objects",
            count(too_large)
        ));
    }
    if totals.invalid > 0 {
        list.push(format!(
            "{} rows name no object that S3 could hold: they become dead letters with reason \
             Invalid",
            count(totals.invalid)
        ));
    }
    if now.unpriced.objects > 0 {
        let classes = now.classes.iter().filter(|it| it.monthly.is_none());
        let classes: Vec<_> = classes
            .map(|it| it.class.escape_default().to_string())
            .collect();
        list.push(format!(
            "the price list has no prices of {}: {} objects, {}, are in no sum of what is paid now",
            classes.join(", "),
            count(now.unpriced.objects),
            indicatif::BinaryBytes(u64::try_from(now.unpriced.bytes).unwrap_or(u64::MAX))
        ));
    }
    if request.rows.select.only_restored {
        list.push(
            "restored objects are read from their temporary copies: the restore itself is in no sum"
                .to_owned(),
        );
    }
    if let Some(Sample {
        failed,
        failure: Some(failure),
        ..
    }) = sample
    {
        list.push(format!(
            "{} objects of the sample cannot be read, as a run could not: {failure}",
            count(*failed)
        ));
    }
    list
}

#[cfg(test)]
mod tests;
