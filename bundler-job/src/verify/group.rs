//! One group: its catalog, and everything that the catalog names, compared with what S3 has.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use futures_util::{StreamExt, TryStreamExt, stream};
use s3bundler_contract::attempt::index_of;
use s3bundler_contract::{GroupName, Reason, Receipt, RowDigest, S3Address, etag};
use tokio::sync::mpsc;

use super::archive::{self, Reading, ReadingError};
use super::bytes::{self, Chunks};
use super::copied::{self, Copied, Copies};
use super::finding::{Finding, Findings};
use super::listing::{Role, Task};
use super::orphan;
use super::part::Part;
use super::scope::Scope;
use super::{VerifyError, VerifyRequest};
use crate::bundle::tags::MISSING_TAGS;
use crate::catalog::{
    CatalogError, Committed, Derived, Outcome, Publication, ReadError, Totals, derive,
    publish_derived,
};
use crate::s3::{S3Error, crc64nvme_from_base64, crc64nvme_to_base64};

/// HEADs in flight for the copied objects of a group.
const HEADS: usize = 16;
/// Chunks of an archive between the connection and the thread that reads it.
const CHUNKS: usize = 16;
/// Largest catalog: a million rows with 2 KiB of metadata each that no compressor makes smaller,
/// twice.
const CATALOG_BYTES: u64 = 4 << 30;

/// What looking into a group showed.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) group: GroupName,
    pub(super) role: Role,
    /// Absent where the catalog cannot be read.
    pub(super) totals: Option<Totals>,
    /// Its failed rows, by reason.
    pub(super) failed: FailedRows,
    /// Whether it has a receipt, repaired ones included.
    pub(super) receipt: bool,
    pub(super) findings: Findings,
    /// Objects of the right size without a checksum.
    pub(super) unproven: u64,
    /// Objects that may have tags that were not read.
    pub(super) missing_tags: u64,
    /// Members of the archive that were read and are right.
    pub(super) members: u64,
    pub(super) repaired: bool,
    /// What was removed of attempts that lost.
    pub(super) removed: Vec<S3Address>,
}

/// Some rows of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct RowSum {
    pub(super) rows: u64,
    pub(super) digest: RowDigest,
}

impl RowSum {
    /// Adds other rows.
    pub(super) fn add(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.digest.merge(other.digest);
    }
}

/// Failed rows by reason.
pub(super) type FailedRows = BTreeMap<Reason, RowSum>;

/// Looks into a group.
pub(super) async fn check(scope: Scope<'_>, task: Task) -> Result<Checked, VerifyError> {
    let mut checked = Checked {
        group: task.group.clone(),
        role: task.role,
        totals: None,
        failed: FailedRows::new(),
        receipt: false,
        findings: Findings::default(),
        unproven: 0,
        missing_tags: 0,
        members: 0,
        repaired: false,
        removed: Vec::new(),
    };
    let address = scope.catalog(&task.group);
    let mut group = Group {
        scope,
        address,
        task,
        unproven: Vec::new(),
    };
    let Some(Read {
        catalog,
        derived,
        failed,
        missing_tags,
        copies,
    }) = group.read(&mut checked.findings).await?
    else {
        return Ok(checked);
    };
    checked.totals = Some(derived.totals.clone());
    checked.failed = failed;
    checked.missing_tags = missing_tags;
    let mut lasting = copies.findings;
    lasting.extend(group.manifest(&catalog).await?);
    lasting.extend(group.archive(&catalog).await?);
    let mut following = group.following(&catalog, &derived).await?;
    if scope.request.repair && !following.is_empty() && repairable(&lasting, &following) {
        publish_derived(scope.s3, &group.publication(), catalog.record(), &derived).await?;
        group.task.names.receipts = scope.receipts(&group.task.group).await?;
        group.task.names.dead_letters |= derived.dead_letters.is_some();
        following = group.following(&catalog, &derived).await?;
        checked.repaired = true;
        tracing::info!(group = %group.task.group, "wrote index, dead letters and receipt again");
    }
    checked.receipt = !group.task.names.receipts.is_empty();
    drop(derived);
    let missing = lasting.iter().any(|it| {
        matches!(
            it,
            Finding::Missing {
                part: Part::Archive,
                ..
            }
        )
    });
    if scope.request.full && !missing {
        let reading = group.read_archive(Arc::clone(&catalog)).await?;
        checked.members = reading.members;
        lasting.extend(reading.findings);
        // Reading it compared the sum of its bytes with the catalog's.
        group.unproven.retain(|part| *part != Part::Archive);
    }
    let sound = lasting.is_empty();
    checked.findings.extend(lasting);
    let traces = std::mem::take(&mut group.task.traces);
    checked.removed = orphan::check(scope, &catalog, &traces, sound, &mut checked.findings).await?;
    checked.findings.extend(following);
    let unsealed = u64::from(!catalog.catalog().is_sealed());
    checked.unproven = group.unproven.len() as u64 + copies.unproven + unsealed;
    scope.progress.group();
    tracing::debug!(group = %checked.group, "verified");
    Ok(checked)
}

/// Whether everything that is wrong can be written again from a catalog that nothing else
/// contradicts.
fn repairable(lasting: &Findings, following: &Findings) -> bool {
    lasting.is_empty() && following.iter().all(Finding::is_derived)
}

/// What a HEAD says of an object.
enum Verdict {
    /// It is not what it should be.
    Wrong(Finding),
    /// Size and checksum are those of the bytes that were written.
    Proved,
    /// The size is right, and the store keeps no checksum.
    Unproven,
    /// The size is right, and the store keeps a checksum that the bundler did not give it:
    /// something else wrote it.
    OtherChecksum,
}

/// S3 keeps exactly one checksum of an object: the one that its writer chose ("Checking object
/// integrity", S3 user guide).
fn has_other_checksum(head: &HeadObjectOutput) -> bool {
    [
        head.checksum_crc32(),
        head.checksum_crc32_c(),
        head.checksum_sha1(),
        head.checksum_sha256(),
    ]
    .iter()
    .any(Option::is_some)
}

struct Group<'a> {
    scope: Scope<'a>,
    /// Of the catalog.
    address: S3Address,
    task: Task,
    /// Objects of the right size without a checksum.
    unproven: Vec<Part>,
}

/// A catalog, and what was found while it was read.
struct Read {
    catalog: Arc<Committed>,
    derived: Derived,
    /// The failed rows, of which retry passes are made.
    failed: FailedRows,
    /// Objects that may have tags that were not read.
    missing_tags: u64,
    /// What looking at the copies showed.
    copies: Copies,
}

impl Group<'_> {
    /// Reads the catalog and looks for the copies that it names. What only the catalog could be
    /// blamed for goes into `findings`, and then there is nothing more to compare; what is wrong
    /// with copies is given back.
    async fn read(&self, findings: &mut Findings) -> Result<Option<Read>, VerifyError> {
        let unreadable = |problem: String| Finding::UnreadableCatalog {
            catalog: self.address.clone(),
            problem,
        };
        if self
            .task
            .names
            .catalog
            .is_some_and(|size| size > CATALOG_BYTES)
        {
            findings.push(unreadable(format!(
                "it has more than {CATALOG_BYTES} bytes"
            )));
            return Ok(None);
        }
        let VerifyRequest {
            destination,
            run,
            scratch,
            ..
        } = self.scope.request;
        let problem =
            match Committed::read(self.scope.s3, destination, run, &self.task.group, scratch).await
            {
                Ok(Some(committed)) => Ok(Arc::new(committed)),
                Ok(None) => Err(unreadable("it disappeared after it was listed".to_owned())),
                Err(ReadError::Foreign {
                    address: catalog,
                    problem,
                }) => Err(Finding::ForeignCatalog { catalog, problem }),
                Err(ReadError::S3(error)) if error.is_mismatch() => Err(unreadable(error.detail)),
                Err(ReadError::S3(error)) => return Err(error.into()),
                Err(
                    ReadError::Scratch { cause, .. }
                    | ReadError::Catalog {
                        cause: CatalogError::Io(cause),
                        ..
                    },
                ) => {
                    return Err(VerifyError::Scratch {
                        object: self.address.clone(),
                        cause: cause.into(),
                    });
                }
                Err(ReadError::Catalog { cause, .. }) => Err(unreadable(cause.to_string())),
            };
        let committed = match problem {
            Ok(committed) => committed,
            Err(finding) => {
                findings.push(finding);
                return Ok(None);
            }
        };
        let (copies, copied) = mpsc::channel(HEADS);
        let scratch = self.scope.request.scratch.clone();
        let (progress, full) = (self.scope.progress.clone(), self.scope.request.full);
        let catalog = Arc::clone(&committed);
        let reading = tokio::task::spawn_blocking(move || {
            let (mut failed, mut missing_tags) = (FailedRows::new(), 0);
            let derived = derive(catalog.catalog(), &scratch, |entry| {
                // Members that are to be read count when they are.
                if !full || !matches!(entry.outcome, Outcome::Archived(_)) {
                    progress.object(entry.row.size.unwrap_or(0));
                }
                missing_tags += u64::from(entry.headers.contains_key(MISSING_TAGS));
                if let Outcome::Failed(reason) = entry.outcome {
                    let failed: &mut RowSum = failed.entry(reason).or_default();
                    failed.rows += 1;
                    failed
                        .digest
                        .add(&entry.row.bucket, &entry.row.key, entry.listed_version_id());
                }
                if let Outcome::Copied { key } = &entry.outcome {
                    // Nobody listens any more once a HEAD failed.
                    let _ = copies.blocking_send(Copied::new(key, entry));
                }
            })?;
            Ok::<_, CatalogError>((derived, failed, missing_tags))
        });
        let (reading, copies) = tokio::join!(reading, self.copies(copied));
        let stopped = |cause| VerifyError::Stopped {
            address: self.address.clone(),
            cause,
        };
        let (derived, failed, missing_tags) = match reading.map_err(stopped)? {
            Ok(read) => read,
            Err(cause @ CatalogError::Io(_)) => {
                return Err(VerifyError::Scratch {
                    object: self.address.clone(),
                    cause,
                });
            }
            Err(error) => {
                findings.push(unreadable(error.to_string()));
                return Ok(None);
            }
        };
        Ok(Some(Read {
            catalog: committed,
            derived,
            failed,
            missing_tags,
            copies: copies?,
        }))
    }

    async fn copies(&self, copied: mpsc::Receiver<Copied>) -> Result<Copies, VerifyError> {
        let copied = stream::unfold(copied, async |mut copied| {
            Some((copied.recv().await?, copied))
        });
        let checks = copied.map(|copied| async move {
            copied::check(self.scope, &self.task.group, &copied).await
        });
        let mut copies = Copies::default();
        let mut checks = std::pin::pin!(checks.buffer_unordered(HEADS));
        while let Some(checked) = checks.try_next().await? {
            copies.findings.extend(checked.findings);
            copies.unproven += checked.unproven;
        }
        Ok(copies)
    }

    /// Whether the manifest is the one that the catalog was made of.
    async fn manifest(&self, catalog: &Committed) -> Result<Findings, S3Error> {
        let record = catalog.record();
        let manifest = record.manifest();
        let found = match &self.task.names.manifest {
            Some(etag) => Some(etag.clone()),
            // Not among the run's own: told by its name already, or somewhere else.
            None if matches!(self.task.role, Role::Own(_)) => return Ok(Findings::default()),
            None => {
                let head = self.scope.s3.head(&manifest).await?;
                head.map(|head| etag::unquoted(head.e_tag()).to_owned())
            }
        };
        let mut findings = Findings::default();
        if found.as_ref() != Some(&record.manifest_etag) {
            findings.push(Finding::ManifestChanged {
                manifest,
                cataloged: record.manifest_etag.clone(),
                found,
            });
        }
        Ok(findings)
    }

    async fn archive(&mut self, catalog: &Committed) -> Result<Findings, VerifyError> {
        let mut findings = Findings::default();
        if let Some(archive) = &catalog.record().archive {
            let object = self.scope.request.destination.address(&archive.key);
            let sums = (archive.size, archive.crc64nvme);
            self.whole(Part::Archive, object, sums, &mut findings)
                .await?;
        }
        Ok(findings)
    }

    /// What follows from the catalog: index, dead letters, receipt.
    async fn following(
        &mut self,
        catalog: &Committed,
        derived: &Derived,
    ) -> Result<Findings, VerifyError> {
        let Scope {
            request: VerifyRequest {
                destination, run, ..
            },
            ..
        } = self.scope;
        let mut findings = Findings::default();
        self.unproven.retain(|part| *part == Part::Archive);
        let record = catalog.record();
        if let (Some(archive), Some(index)) = (&record.archive, &derived.index) {
            let object = destination.address(index_of(&archive.key));
            self.whole(
                Part::Index,
                object,
                (index.size, index.crc64nvme),
                &mut findings,
            )
            .await?;
        }
        match &derived.dead_letters {
            Some(dead) => {
                let sums = (dead.size, dead.crc64nvme);
                let object = self.dead_letters(catalog).await?;
                self.whole(Part::DeadLetters, object, sums, &mut findings)
                    .await?;
            }
            None if self.task.names.dead_letters => {
                findings.push(Finding::StrayDeadLetters {
                    object: self.publication().dead_letters(),
                });
            }
            None => {}
        }
        let expected = derived.totals.receipt(run, self.task.group.clone());
        let key = |receipt: &Receipt| receipt.key(&destination.layout, run);
        match self.task.names.receipts.as_slice() {
            [] => findings.push(Finding::NoReceipt {
                receipt: destination.address(key(&expected)),
            }),
            [one] if *one == expected => {}
            [one] => findings.push(Finding::WrongReceipt {
                receipt: destination.address(key(one)),
                expected: expected.name(),
            }),
            several => {
                let receipts = several.iter().map(key).collect();
                findings.push(Finding::SeveralReceipts {
                    group: self.task.group.clone(),
                    receipts,
                });
            }
        }
        Ok(findings)
    }

    /// Where the dead letters are: those of an existing manifest may still be where an earlier
    /// release wrote them.
    async fn dead_letters(&self, catalog: &Committed) -> Result<S3Address, S3Error> {
        let here = self.publication().dead_letters();
        if catalog.group().own || self.task.names.dead_letters {
            return Ok(here);
        }
        let earlier = catalog.record().earlier_dead_letters();
        Ok(if self.scope.s3.head(&earlier).await?.is_some() {
            earlier
        } else {
            here
        })
    }

    /// Compares an object of known bytes.
    async fn whole(
        &mut self,
        part: Part,
        object: S3Address,
        (size, crc64nvme): (u64, u64),
        findings: &mut Findings,
    ) -> Result<(), VerifyError> {
        match self.compare(part, &object, size, Some(crc64nvme)).await? {
            Verdict::Wrong(finding) => findings.push(finding),
            Verdict::Proved => {}
            // An archive is read member by member.
            Verdict::Unproven if self.scope.request.full && part != Part::Archive => {
                let group = self.task.group.clone();
                let found = match self.sums(&object).await {
                    Ok(found) => found,
                    Err(error) => {
                        let problem = error.damage()?;
                        findings.push(Finding::WrongBytes {
                            group,
                            part,
                            object,
                            problem,
                        });
                        return Ok(());
                    }
                };
                if found.size != size {
                    findings.push(Finding::WrongSize {
                        group,
                        part,
                        object,
                        expected: size,
                        found: found.size,
                    });
                } else if found.crc64nvme != crc64nvme {
                    let (expected, found) = (
                        crc64nvme_to_base64(crc64nvme),
                        crc64nvme_to_base64(found.crc64nvme),
                    );
                    findings.push(Finding::WrongChecksum {
                        part,
                        object,
                        expected,
                        found,
                    });
                }
            }
            Verdict::Unproven => self.unproven.push(part),
            Verdict::OtherChecksum => findings.push(Finding::OtherChecksum { part, object }),
        }
        Ok(())
    }

    /// Reads an object, once more if that fails: it may be damage of the way.
    async fn sums(&self, object: &S3Address) -> Result<bytes::Sums, VerifyError> {
        match bytes::sums(self.scope, object).await {
            Err(error) if error.is_transient() => bytes::sums(self.scope, object).await,
            read => read,
        }
    }

    /// Compares an object with its HEAD. One answer alone is not believed if it says that the
    /// object is wrong.
    async fn compare(
        &self,
        part: Part,
        object: &S3Address,
        expected: u64,
        crc64nvme: Option<u64>,
    ) -> Result<Verdict, S3Error> {
        match self.compare_once(part, object, expected, crc64nvme).await? {
            Verdict::Wrong(_) => self.compare_once(part, object, expected, crc64nvme).await,
            verdict => Ok(verdict),
        }
    }

    async fn compare_once(
        &self,
        part: Part,
        object: &S3Address,
        expected: u64,
        crc64nvme: Option<u64>,
    ) -> Result<Verdict, S3Error> {
        let Some(head) = self.scope.s3.head(object).await? else {
            return Ok(Verdict::Wrong(Finding::Missing {
                group: self.task.group.clone(),
                part,
                object: object.clone(),
            }));
        };
        // An answer without a length proves nothing.
        let Some(found) = head
            .content_length()
            .and_then(|size| u64::try_from(size).ok())
        else {
            return Ok(Verdict::Unproven);
        };
        if found != expected {
            let (group, object) = (self.task.group.clone(), object.clone());
            return Ok(Verdict::Wrong(Finding::WrongSize {
                group,
                part,
                object,
                expected,
                found,
            }));
        }
        let Some(expected) = crc64nvme.filter(|_| self.scope.request.crc64nvme) else {
            return Ok(Verdict::Unproven);
        };
        // A store that does not know CRC64NVME gives none, or something that is none (moto without
        // its C library: 4 bytes).
        Ok(
            match head.checksum_crc64_nvme().and_then(crc64nvme_from_base64) {
                Some(found) if found == expected => Verdict::Proved,
                Some(found) => {
                    let (expected, found) =
                        (crc64nvme_to_base64(expected), crc64nvme_to_base64(found));
                    Verdict::Wrong(Finding::WrongChecksum {
                        part,
                        object: object.clone(),
                        expected,
                        found,
                    })
                }
                None if has_other_checksum(&head) => Verdict::OtherChecksum,
                None => Verdict::Unproven,
            },
        )
    }

    /// Reads the archive and compares it. What seems to be damaged is read once more: it may be
    /// damage of the way.
    async fn read_archive(&self, catalog: Arc<Committed>) -> Result<Reading, VerifyError> {
        match self.read_archive_once(Arc::clone(&catalog)).await {
            Ok(reading) if reading.findings.is_empty() => Ok(reading),
            Err(error) if !error.is_transient() => Err(error),
            _ => self.read_archive_once(catalog).await,
        }
    }

    /// GETs the archive, in sequence, into a thread that compares it. Bytes that the store itself
    /// contradicts are compared as far as they came: that tells which objects are lost.
    async fn read_archive_once(&self, catalog: Arc<Committed>) -> Result<Reading, VerifyError> {
        let Some(record) = catalog.record().archive.clone() else {
            return Ok(Reading::default());
        };
        let address = self.scope.request.destination.address(&record.key);
        let (group, object) = (self.task.group.clone(), address.clone());
        let wrong = |problem| Finding::WrongBytes {
            group,
            part: Part::Archive,
            object,
            problem,
        };
        let mut body = match bytes::open(self.scope, &address).await {
            Ok(body) => body,
            Err(error) => {
                let mut reading = Reading::default();
                reading.findings.push(wrong(error.damage()?));
                return Ok(reading);
            }
        };
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let (archive, progress) = (address.clone(), self.scope.progress.clone());
        let comparing = tokio::task::spawn_blocking(move || {
            let chunks = Chunks::of(receiver);
            archive::compare(catalog.catalog(), &record, &archive, chunks, |bytes| {
                progress.object(bytes);
            })
        });
        let sending = async {
            while let Some(chunk) = body.next().await? {
                if sender.send(Ok(chunk)).await.is_err() {
                    break;
                }
            }
            Ok::<_, S3Error>(())
        };
        let sent = match sending.await {
            Err(error) if error.is_mismatch() => Ok(Some(error.detail)),
            sent => sent.map(|()| None),
        };
        if sent.is_err() {
            // So that an end of the bytes that is not theirs is no damage of theirs.
            let _ = sender
                .send(Err(std::io::ErrorKind::ConnectionAborted.into()))
                .await;
        }
        drop(sender);
        let compared = comparing
            .await
            .map_err(|cause| VerifyError::Stopped { address, cause })?;
        let contradicted = sent?;
        let mut reading = compared.map_err(|error| match error {
            ReadingError::Catalog(cause) => VerifyError::Scratch {
                object: self.address.clone(),
                cause,
            },
            ReadingError::Source(cause) => VerifyError::Scratch {
                object: self.address.clone(),
                cause: cause.into(),
            },
        })?;
        if let Some(problem) = contradicted.filter(|_| reading.findings.is_empty()) {
            reading.findings.push(wrong(problem));
        }
        Ok(reading)
    }

    fn publication(&self) -> Publication {
        let VerifyRequest {
            destination,
            run,
            scratch,
            ..
        } = self.scope.request.clone();
        Publication {
            destination,
            run,
            group: self.task.group.clone(),
            scratch,
        }
    }
}
