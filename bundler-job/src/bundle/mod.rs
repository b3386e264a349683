//! A group to an archive in S3, committed exactly once however often it is delivered and wherever a
//! worker dies.
//!
//! ```text
//! message ──► manifest ──► catalog there? ──yes──────────────────────────────┐
//!                              │ no                                          ▼
//!                              └──► attempt: fetch ─► pack ─► upload ─► PUT catalog ─► read it ─► sweep, index,
//!                                                                     (the commit)              dead letters,
//!                                                                                               receipt
//! ```
//!
//! [`Bundler::bundle`] reads as the steps of the commit protocol (docs/commit-protocol.md). Files:
//! [`manifest`] what is to be done, [`attempt`] the pipeline ([`fetch`], [`tags`], [`copy`],
//! [`pack`], [`part`], [`parts`], [`upload`] with [`budget`](crate::budget), [`scratch`] and
//! [`limiter`]), [`source`] what is kept of an object and whose trouble a failed read is,
//! [`commit`] what makes it count, [`probe`] whether the destination can be trusted to.

pub mod attempt;
pub mod commit;
mod content;
pub mod copy;
pub mod doubt;
mod error;
pub mod fetch;
mod header;
pub mod limiter;
pub mod manifest;
mod name;
pub mod pack;
pub mod part;
pub mod parts;
pub mod probe;
pub mod scratch;
pub mod source;
pub mod sweep;
pub mod tags;
mod tries;
pub mod upload;

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use s3bundler_contract::group_manifest::Columns;
use s3bundler_contract::layout::GroupName;
use s3bundler_contract::message::ManifestRef;
use s3bundler_contract::{ArchiveOptions, ByteSize, Group, Receipt, RunClaim, RunName, S3Address};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

pub(crate) use content::{ContentProblem, Known, Unproven, spool};
pub use error::BundleError;
pub(crate) use manifest::inflated;

use crate::budget::{Budgets, Share};
use crate::catalog::{ArchiveRecord, GroupRecord};
use crate::destination::Destination;
use crate::progress::Progress;
use crate::s3::{ErrorKind, S3};
use attempt::{Outline, Work, new_attempt};
use commit::Committer;
use copy::Copier;
use doubt::{Answer, Asker, Decision, Scope, Tally, decide};
use fetch::Fetcher;
use limiter::{Limiters, Limits};
use manifest::{Manifest, ManifestError};
use part::TooManyParts;
use parts::PartLimits;
use source::FetchError;
use sweep::Sweeper;
use tags::Tags;
use upload::Upload;

/// No claim is larger; prefixes are what makes it grow.
const MAX_CLAIM: u64 = 4 << 20;

/// What a [`Bundler`] is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to.
    pub destination: Destination,
    /// The run of foreign manifests.
    pub fallback_run: RunName,
    /// How archives of runs without a claim are written.
    pub archive: ArchiveOptions,
    /// Columns of manifests, instead of what their metadata says.
    pub fieldnames: Option<Columns>,
    /// Groups at a time.
    pub groups: u64,
    /// Requests to each source bucket.
    pub limits: Limits,
    /// Memory for object data of all groups.
    pub memory: ByteSize,
    /// Directory for what does not stay in memory.
    pub scratch: PathBuf,
    /// Room there for the objects of all groups; as much as there is unless given.
    pub scratch_size: Option<ByteSize>,
    /// How many parts an archive may have, and how they grow.
    pub parts: PartLimits,
    /// Whether catalogs have the SHA-256 of each object.
    pub sha256: bool,
}

/// Archives groups. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bundler {
    s3: S3,
    settings: Arc<Settings>,
    limiters: Arc<Limiters>,
    tags: Tags,
    asker: Asker,
    claims: Arc<Mutex<HashMap<RunName, Option<ArchiveOptions>>>>,
    /// Manifests, by address and ETag, whose archives have too many parts: no other try is worth
    /// all that is read and uploaded before it fails.
    too_large: Arc<Mutex<HashMap<(S3Address, String), TooManyParts>>>,
    progress: Progress,
    sweeper: Sweeper,
    budgets: Budgets,
}

/// What is under way in all groups together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Requests to source buckets.
    pub(crate) requests: limiter::Load,
    /// Memory for object data, in bytes.
    pub(crate) memory: u64,
    /// Bytes of it that objects hold between GET and archive.
    pub(crate) memory_used: u64,
}

/// The room of each group in the scratch directory, if room there is limited.
pub(crate) fn scratch_of_group(scratch_size: Option<ByteSize>, groups: u64) -> Option<u64> {
    scratch_size.map(|size| size.bytes() / groups.max(1))
}

/// A group that is done.
#[derive(Debug, Clone)]
pub struct GroupReport {
    /// Its figures.
    pub receipt: Receipt,
    /// Whether this call's own attempt is the one that counts.
    pub committed_here: bool,
    /// Bytes of its rows, by its manifest.
    pub listed_bytes: u64,
}

impl Bundler {
    /// A bundler with these settings; talks to nobody yet.
    pub fn new(s3: S3, settings: Settings, progress: Progress) -> Self {
        let limiters = Arc::new(Limiters::new(settings.limits, s3.rates().clone()));
        let tags = Tags::new(s3.clone(), Arc::clone(&limiters));
        let (claims, sweeper) = (Arc::default(), Sweeper::new(s3.clone()));
        let asker = Asker::new(s3.clone(), Arc::clone(&limiters));
        let (settings, too_large) = (Arc::new(settings), Arc::default());
        Self {
            s3,
            settings,
            limiters,
            tags,
            asker,
            claims,
            too_large,
            progress,
            sweeper,
            budgets: Budgets::default(),
        }
    }

    /// What is under way now.
    pub(crate) fn load(&self) -> Load {
        Load {
            requests: self.limiters.load(),
            memory: self.settings.memory.bytes(),
            memory_used: self.budgets.used(),
        }
    }

    /// The bucket of the run's objects, as the manifest of its first group has it, if it can be
    /// read.
    pub async fn source_bucket(&self) -> Option<String> {
        let Settings {
            destination,
            fallback_run,
            fieldnames,
            ..
        } = &*self.settings;
        let group = GroupName::numbered(fallback_run, 0);
        let address = destination.address(destination.layout.group_manifest(fallback_run, &group));
        manifest::first_bucket(&self.s3, &address, fieldnames.as_ref()).await
    }

    /// Archives the group of a manifest. Once `cancel` is cancelled an attempt that is not
    /// committed is undone; one whose commit was sent is finished.
    pub async fn bundle(
        &self,
        manifest: &ManifestRef,
        cancel: &CancellationToken,
    ) -> Result<GroupReport, BundleError> {
        let Settings {
            destination,
            fallback_run,
            fieldnames,
            scratch,
            ..
        } = &*self.settings;
        let group = Group::of(
            &manifest.address(),
            &destination.bucket,
            &destination.layout,
            fallback_run,
        );
        let options = self.archive_options(&group).await?;
        let destination = destination.with_keys(options.key_layout);
        let committer = Committer {
            s3: self.s3.clone(),
            destination,
            sweeper: self.sweeper.clone(),
        };

        let rows = Manifest::fetch(&self.s3, manifest, fieldnames.as_ref(), scratch).await?;
        let outline = self.outline(manifest, &rows, &options).await?;
        let address = manifest.address();
        let content = |problem| ManifestError::Content {
            manifest: address.clone(),
            problem,
        };
        rows.compare(outline.rows).map_err(content)?;
        let source = (&address, rows.etag.as_str());
        let source_bucket = outline.source_bucket.as_str();
        if let Some(committed) = committer.read(&group, scratch).await? {
            let receipt = committer
                .finish_anothers(committed, None, source, source_bucket, scratch)
                .await?;
            self.progress.group();
            return Ok(GroupReport {
                receipt,
                committed_here: false,
                listed_bytes: outline.listed_bytes,
            });
        }
        if outline.rows == 0 {
            return Err(content(ContentProblem::Empty).into());
        }
        let of_manifest = (address.clone(), rows.etag.clone());
        if let Some(error) = self.too_large.lock().await.get(&of_manifest) {
            return Err(BundleError::TooManyParts(*error));
        }

        let scope = Arc::new(Scope {
            group: group.clone(),
            sample: outline.sample.clone(),
            destination: committer.destination.clone(),
            fieldnames: fieldnames.clone(),
            scratch: scratch.clone(),
        });
        let copier = Copier::new(
            self.s3.clone(),
            committer.destination.clone(),
            options,
            self.tags.clone(),
        );
        let mut number = 1;
        let (attempt, archive, catalog) = loop {
            let attempt = new_attempt();
            let options = copier.options();
            let archive = committer.destination.layout.archive(
                &outline.source_bucket,
                &group,
                &attempt,
                options.format,
            );
            let address_of_archive = committer.destination.address(&archive);
            let upload = Upload::new(
                self.s3.clone(),
                address_of_archive,
                options.storage_class.clone(),
            );
            let record = GroupRecord {
                manifest_bucket: manifest.bucket.clone(),
                manifest_key: manifest.key.clone(),
                manifest_etag: rows.etag.clone(),
                attempt: attempt.to_string(),
                archive: None,
                storage_class: options.storage_class.clone(),
                program: concat!("s3bundler ", env!("CARGO_PKG_VERSION")).to_owned(),
                redo: group.is_redo(),
            };
            let attempted = tokio::select! {
                attempted = self.attempt(manifest, &rows, &outline, &copier, &upload, record, &scope, number) => attempted,
                () = cancel.cancelled() => Err(BundleError::Cancelled),
            };
            let error = match attempted {
                Ok(Some(catalog)) => break (attempt, archive, catalog),
                Ok(None) if number < doubt::MAX_ATTEMPTS => {
                    upload.abort().await;
                    number += 1;
                    tracing::warn!(
                        attempt = number,
                        "objects that failed can be read now, archiving the group again"
                    );
                    continue;
                }
                Ok(None) => BundleError::Unsettled,
                Err(error) => error,
            };
            upload.abort().await;
            copier.abort().await;
            match error {
                BundleError::Cancelled => return Err(error),
                BundleError::TooManyParts(error) => {
                    self.too_large
                        .lock()
                        .await
                        .insert(of_manifest.clone(), error);
                }
                _ => {}
            }
            // Another worker may have committed the group and swept this upload away.
            return match committer.read(&group, scratch).await {
                Ok(Some(committed)) => {
                    let receipt = committer
                        .finish_anothers(committed, None, source, source_bucket, scratch)
                        .await?;
                    Ok(GroupReport {
                        receipt,
                        committed_here: false,
                        listed_bytes: outline.listed_bytes,
                    })
                }
                _ => Err(error),
            };
        };

        // From here on the group is finished whatever `cancel` says: the commit may be in flight.
        let committed = committer.put(&group, &catalog, scratch).await?;
        let committed = committed.ok_or_else(|| BundleError::Undecided(group.name.clone()))?;
        let won = committed.attempt() == attempt.as_str();
        let receipt = if won {
            committer
                .finish(committed, source, source_bucket, scratch)
                .await?
        } else {
            committer
                .finish_anothers(committed, Some(&archive), source, source_bucket, scratch)
                .await?
        };
        self.progress.group();
        Ok(GroupReport {
            receipt,
            committed_here: won,
            listed_bytes: outline.listed_bytes,
        })
    }

    /// Step 2: an archive that nothing names yet, and the catalog that will name it, on scratch.
    /// `None` if objects failed that can be read now, so that another attempt is needed.
    #[expect(clippy::too_many_arguments, reason = "what one attempt is made of")]
    async fn attempt(
        &self,
        manifest: &ManifestRef,
        rows: &Manifest,
        outline: &Outline,
        copier: &Copier,
        upload: &Upload,
        mut record: GroupRecord,
        scope: &Arc<Scope>,
        number: u32,
    ) -> Result<Option<Arc<File>>, BundleError> {
        let Settings {
            scratch,
            scratch_size,
            groups,
            memory,
            parts,
            ..
        } = &*self.settings;
        let scratch_error = |cause| BundleError::Scratch {
            path: scratch.clone(),
            cause,
        };
        let catalog = tempfile::tempfile_in(scratch).map_err(scratch_error)?;
        let fetcher = Fetcher {
            s3: self.s3.clone(),
            limiters: Arc::clone(&self.limiters),
            scratch: scratch.clone(),
            copier: copier.clone(),
            sha256: self.settings.sha256,
            tags: self.tags.clone(),
            asker: self.asker.clone(),
            scope: Arc::clone(scope),
            wary: number > 1,
        };
        let work = Work {
            address: &manifest.address(),
            manifest: rows,
            options: copier.options(),
            share: Share::plan(*memory, *groups, outline.archive)?,
            budgets: &self.budgets,
            archive: outline.archive,
            parts: parts.of_store(self.s3.wants_equal_parts()),
            directory: scratch,
            scratch: scratch_of_group(*scratch_size, *groups),
            fetcher: &fetcher,
            upload,
            progress: &self.progress,
        };
        let (packed, parts) = work.run(catalog).await?;
        if !self.believes(&packed.tally, rows, scope, number).await? {
            return Ok(None);
        }
        if packed.size > 0 {
            upload
                .complete(parts, packed.size, packed.crc64nvme)
                .await
                .map_err(BundleError::Upload)?;
        }
        record.archive = (packed.size > 0).then(|| ArchiveRecord {
            key: upload.archive().key.clone(),
            size: packed.size,
            crc64nvme: packed.crc64nvme,
        });
        let written = tokio::task::spawn_blocking(move || packed.catalog.finish(&record)).await;
        let catalog = written
            .expect("writing a catalog does not panic")
            .map_err(BundleError::CatalogWrite)?;
        Ok(Some(Arc::new(catalog)))
    }

    /// Whether the failures of an attempt are those of its objects. Asks about buckets that are
    /// doubted, and fetches a byte of every denied object once more.
    async fn believes(
        &self,
        tally: &Tally,
        rows: &Manifest,
        scope: &Scope,
        number: u32,
    ) -> Result<bool, BundleError> {
        for doubt in tally.doubted() {
            let answer = self.asker.about(&doubt.bucket, scope).await;
            match (decide(&doubt, &answer, number), answer) {
                (Decision::Believe, _) => {}
                (Decision::Again, _) => return Ok(false),
                (Decision::Failed, Answer::Down(error)) => {
                    return Err(BundleError::Fetch(FetchError::Source(error)));
                }
                (Decision::Denied | Decision::Failed, _) => {
                    return Err(BundleError::SourceDenied {
                        bucket: doubt.bucket,
                        lost: doubt.lost,
                    });
                }
            }
        }
        self.asker.are_denied(rows, tally.denied()).await
    }

    async fn outline(
        &self,
        manifest: &ManifestRef,
        rows: &Manifest,
        options: &ArchiveOptions,
    ) -> Result<Outline, BundleError> {
        let rows = rows.rows().map_err(ManifestError::Scratch)?;
        let options = options.clone();
        let outline = tokio::task::spawn_blocking(move || Outline::of(rows, &options)).await;
        outline
            .expect("reading rows does not panic")
            .map_err(|cause| BundleError::Row {
                manifest: manifest.address(),
                cause,
            })
    }

    /// How the archives of a group's run are written: its claim says so, for every worker alike.
    async fn archive_options(&self, group: &Group) -> Result<ArchiveOptions, BundleError> {
        let defaults = &self.settings.archive;
        if !group.own {
            return Ok(defaults.clone());
        }
        let mut claims = self.claims.lock().await;
        if let Some(known) = claims.get(&group.run) {
            return Ok(known.as_ref().unwrap_or(defaults).clone());
        }
        let destination = &self.settings.destination;
        let address = destination.address(destination.layout.claim(&group.run));
        let claimed = match self.s3.get_bytes(&address, None, MAX_CLAIM).await {
            Ok((bytes, _)) => {
                let claim = RunClaim::parse_of(&bytes, &group.run);
                Some(
                    claim
                        .map_err(|cause| BundleError::Claim {
                            address: address.clone(),
                            cause,
                        })?
                        .archive,
                )
            }
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(BundleError::ReadBack(error)),
        };
        if claimed.as_ref().is_some_and(|claimed| claimed != defaults) {
            tracing::debug!(run = %group.run, "archive options come from the run's claim");
        }
        claims.insert(group.run.clone(), claimed.clone());
        Ok(claimed.unwrap_or_else(|| defaults.clone()))
    }
}
