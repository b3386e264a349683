//! The requests of a run in which nothing fails: of the grouper, of each worker, of each group and of
//! each object, in the order in which the code sends them.
//!
//! Sizes of pages, batches and parts are those of the code itself. That the steps are as here is
//! proven by `tests/integration/plan.rs`, which compares them with what a simulated S3 counts of
//! runs. Retries, hedges and receives that find nothing are left out.

use std::fmt;

use serde::Serialize;

use super::groups::Totals;
use crate::group::MESSAGES_AT_A_TIME;
use crate::s3::LISTED_AT_A_TIME;

/// A request, as the API reference names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) enum Operation {
    HeadBucket,
    ListObjectsV2,
    ListMultipartUploads,
    GetObject,
    HeadObject,
    GetObjectTagging,
    PutObject,
    CopyObject,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    CompleteMultipartUpload,
    DeleteObject,
    SendMessageBatch,
    ReceiveMessage,
    ChangeMessageVisibility,
    DeleteMessage,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}

/// Whom a request is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Place {
    /// The bucket of the inventory, or of existing manifests.
    Inventory,
    /// The buckets of the objects.
    Source,
    /// The bucket of the archives.
    Destination,
    /// SQS.
    Queue,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Inventory => "inventory",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Queue => "queue",
        })
    }
}

/// What a number follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Basis {
    /// The rows and options alone.
    Inventory,
    /// An assumption, which the report states.
    Assumed,
}

/// The price of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tariff {
    /// Nothing.
    Free,
    /// Of a request that writes to a class.
    Put(Class),
    /// Of a part, or of the beginning of an upload.
    Part(Class),
    /// Of a request that reads.
    Get(Class),
    /// Of SQS.
    Queue,
}

/// The storage class of what a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// That of archives, indexes and copies.
    Archives,
    /// That of group manifests.
    Manifests,
    /// That of each object.
    Sources,
    /// STANDARD. Listings cost the same in every bucket.
    Standard,
}

/// Requests of one kind for one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) place: Place,
    pub(crate) operation: Operation,
    pub(crate) tariff: Tariff,
    pub(crate) count: u64,
    pub(crate) basis: Basis,
    pub(crate) purpose: &'static str,
}

/// What the rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// So many data files of an inventory.
    Inventory { files: u64 },
    /// So many group manifests, in a listing.
    Manifests { files: u64 },
    /// A listing, which no run reads.
    Listing,
}

/// How the run is worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// In one process, with the queue in memory, as `run` does.
    Run,
    /// By `group` and this many `bundle` processes.
    Queue { workers: u64 },
}

/// All that requests follow from.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) rows: Rows,
    pub(crate) work: Work,
    pub(crate) totals: &'a Totals,
    /// Parts of all archives.
    pub(crate) parts: u64,
    /// Whether their number depends on how well objects are compressed.
    pub(crate) is_compressed: bool,
    /// Objects whose GET shows tags.
    pub(crate) tagged: u64,
    /// How often messages are kept hidden for longer.
    pub(crate) extensions: u64,
    /// Whether no condition is sent with writes.
    pub(crate) single_writer: bool,
    /// Buckets whose region each process has to find out.
    pub(crate) regions: u64,
}

/// The lines of a run.
pub(crate) fn requests(facts: &Facts<'_>) -> Vec<Line> {
    let mut lines = Lines::default();
    grouper(facts, &mut lines);
    workers(facts, &mut lines);
    groups(facts, &mut lines);
    objects(facts, &mut lines);
    if facts.work == Work::Run {
        totals_of_the_run(facts, &mut lines);
    }
    lines.0.retain(|line| line.count > 0);
    lines.0
}

/// Pages of a listing of so many keys.
fn pages(keys: u64) -> u64 {
    keys.div_ceil(LISTED_AT_A_TIME).max(1)
}

#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn add(
        &mut self,
        (place, operation, tariff): (Place, Operation, Tariff),
        count: u64,
        purpose: &'static str,
    ) {
        self.0.push(Line {
            place,
            operation,
            tariff,
            count,
            basis: Basis::Inventory,
            purpose,
        });
    }

    /// The same of a number that is assumed.
    fn assume(&mut self, request: (Place, Operation, Tariff), count: u64, purpose: &'static str) {
        self.add(request, count, purpose);
        if let Some(line) = self.0.last_mut() {
            line.basis = Basis::Assumed;
        }
    }

    /// Writes that never replace anything. A single writer looks for the key before.
    fn put_once(&mut self, facts: &Facts<'_>, class: Class, count: u64, purpose: &'static str) {
        if facts.single_writer {
            self.add(
                HEAD_STANDARD,
                count,
                "whether a key of a single writer exists",
            );
        }
        self.add(
            (Place::Destination, Operation::PutObject, Tariff::Put(class)),
            count,
            purpose,
        );
    }
}

type Request = (Place, Operation, Tariff);

const GET_INVENTORY: Request = (
    Place::Inventory,
    Operation::GetObject,
    Tariff::Get(Class::Standard),
);
const GET_STANDARD: Request = (
    Place::Destination,
    Operation::GetObject,
    Tariff::Get(Class::Standard),
);
const HEAD_STANDARD: Request = (
    Place::Destination,
    Operation::HeadObject,
    Tariff::Get(Class::Standard),
);
const HEAD_ARCHIVES: Request = (
    Place::Destination,
    Operation::HeadObject,
    Tariff::Get(Class::Archives),
);
const PUT_STANDARD: Request = (
    Place::Destination,
    Operation::PutObject,
    Tariff::Put(Class::Standard),
);
const PUT_ARCHIVES: Request = (
    Place::Destination,
    Operation::PutObject,
    Tariff::Put(Class::Archives),
);
const LIST: Request = (
    Place::Destination,
    Operation::ListObjectsV2,
    Tariff::Put(Class::Standard),
);
const LIST_UPLOADS: Request = (
    Place::Destination,
    Operation::ListMultipartUploads,
    Tariff::Put(Class::Standard),
);

/// `group`, and the grouper in `run`.
fn grouper(facts: &Facts<'_>, lines: &mut Lines) {
    let groups = facts.totals.groups;
    lines.add(GET_STANDARD, 1, "the claim of the run, which is not there");
    match facts.rows {
        Rows::Inventory { files } => {
            lines.add(GET_INVENTORY, 2, "manifest.json and manifest.checksum");
            let head = (
                Place::Inventory,
                Operation::HeadObject,
                Tariff::Get(Class::Standard),
            );
            lines.add(head, files, "whether the data files are there");
            lines.add(GET_INVENTORY, files, "the data files");
        }
        Rows::Manifests { files } => {
            let list = (
                Place::Inventory,
                Operation::ListObjectsV2,
                Tariff::Put(Class::Standard),
            );
            lines.add(list, pages(files), "the existing manifests");
            lines.add(GET_INVENTORY, files, "the existing manifests");
        }
        Rows::Listing => {}
    }
    lines.put_once(facts, Class::Standard, 1, "the claim");
    lines.add(GET_STANDARD, 1, "the claim, read back");
    lines.put_once(facts, Class::Manifests, groups, "the group manifests");
    if groups > 0 {
        lines.add(LIST, pages(groups), "whether the group manifests are there");
    }
    lines.put_once(facts, Class::Standard, 1, "the summary");
    lines.add(GET_STANDARD, 1, "the summary, read back");
    if facts.work != Work::Run {
        let send = (Place::Queue, Operation::SendMessageBatch, Tariff::Queue);
        lines.add(
            send,
            groups.div_ceil(MESSAGES_AT_A_TIME as u64),
            "the messages",
        );
    }
    // A run's grouper shares what its worker finds out.
    if facts.work != Work::Run {
        let head = (
            Place::Destination,
            Operation::HeadBucket,
            Tariff::Get(Class::Standard),
        );
        lines.add(head, facts.regions, "the regions of the buckets");
    }
}

/// Each process that archives.
fn workers(facts: &Facts<'_>, lines: &mut Lines) {
    let workers = match facts.work {
        Work::Run => 1,
        Work::Queue { workers } => workers,
    };
    let delete = (Place::Destination, Operation::DeleteObject, Tariff::Free);
    let puts = if facts.single_writer { 1 } else { 2 };
    lines.add(
        PUT_STANDARD,
        puts * workers,
        "the probe of conditional writes",
    );
    lines.add(delete, workers, "the probe of conditional writes");
    let head = (
        Place::Destination,
        Operation::HeadBucket,
        Tariff::Get(Class::Standard),
    );
    lines.add(head, facts.regions * workers, "the regions of the buckets");
    if facts.work != Work::Run {
        lines.add(
            GET_STANDARD,
            workers,
            "the first group manifest, for its bucket",
        );
        let head = (
            Place::Source,
            Operation::HeadBucket,
            Tariff::Get(Class::Standard),
        );
        lines.add(head, workers, "whether the bucket answers");
    }
    if facts.totals.groups > 0 {
        lines.add(GET_STANDARD, workers, "the claim, for its options");
    }
}

/// Each group: docs/commit-protocol.md has the steps.
fn groups(facts: &Facts<'_>, lines: &mut Lines) {
    let Totals {
        groups, archives, ..
    } = *facts.totals;
    if let Work::Queue { .. } = facts.work {
        let receive = (Place::Queue, Operation::ReceiveMessage, Tariff::Queue);
        lines.assume(receive, groups, "the messages, one at a time");
        let extend = (
            Place::Queue,
            Operation::ChangeMessageVisibility,
            Tariff::Queue,
        );
        lines.assume(
            extend,
            facts.extensions,
            "messages of groups that take long",
        );
        let delete = (Place::Queue, Operation::DeleteMessage, Tariff::Queue);
        lines.add(delete, groups, "the messages of archived groups");
    }
    lines.add(GET_STANDARD, groups, "the group manifests");
    lines.add(GET_STANDARD, groups, "the catalogs, which are not there");
    let write = |operation, tariff| (Place::Destination, operation, tariff);
    lines.add(
        write(
            Operation::CreateMultipartUpload,
            Tariff::Part(Class::Archives),
        ),
        archives,
        "the archives",
    );
    let part = write(Operation::UploadPart, Tariff::Part(Class::Archives));
    if facts.is_compressed {
        lines.assume(
            part,
            facts.parts,
            "the archives, as far as they are compressed",
        );
    } else {
        lines.add(part, facts.parts, "the archives");
    }
    lines.add(
        write(
            Operation::CompleteMultipartUpload,
            Tariff::Put(Class::Archives),
        ),
        archives,
        "the archives",
    );
    lines.add(HEAD_ARCHIVES, archives, "whether the archives are whole");
    lines.put_once(facts, Class::Standard, groups, "the catalogs: the commits");
    lines.add(GET_STANDARD, groups, "the catalogs, read back");
    lines.add(LIST, groups, "what other attempts left");
    lines.add(LIST_UPLOADS, groups, "what other attempts left");
    lines.add(PUT_ARCHIVES, archives, "the indexes");
    lines.add(HEAD_ARCHIVES, archives, "whether the indexes are there");
    let dead_letters = facts.totals.with_dead_letters;
    lines.add(
        PUT_STANDARD,
        dead_letters,
        "dead letters of rows that name no object",
    );
    lines.add(
        HEAD_STANDARD,
        dead_letters,
        "whether the dead letters are there",
    );
    lines.add(PUT_STANDARD, groups, "the receipts");
    lines.add(HEAD_STANDARD, groups, "whether the receipts are there");
}

/// Each object.
fn objects(facts: &Facts<'_>, lines: &mut Lines) {
    let Totals { packed, copies, .. } = *facts.totals;
    let of_source = |operation| (Place::Source, operation, Tariff::Get(Class::Sources));
    lines.add(
        of_source(Operation::GetObject),
        packed,
        "the objects in archives",
    );
    lines.add(
        of_source(Operation::GetObject),
        copies.objects,
        "one byte of each object that is copied",
    );
    let tagging = of_source(Operation::GetObjectTagging);
    lines.assume(
        tagging,
        facts.tagged,
        "tags: a second request for an object that has some",
    );
    lines.assume(
        tagging,
        facts.totals.questions(),
        "whether tags are shown, once for each of the first 1,000 directories",
    );
    let heads = of_source(Operation::HeadObject);
    let purpose = "checksums of copies whose ETag is not an MD5";
    if copies.without_etag > 0 {
        lines.assume(heads, copies.source_heads, purpose);
    } else {
        lines.add(heads, copies.source_heads, purpose);
    }
    let write = |operation, tariff| (Place::Destination, operation, tariff);
    lines.add(
        HEAD_ARCHIVES,
        copies.objects,
        "copies that an earlier run made",
    );
    lines.add(
        write(Operation::CopyObject, Tariff::Put(Class::Archives)),
        copies.objects - copies.in_parts,
        "the copies",
    );
    lines.add(
        write(
            Operation::CreateMultipartUpload,
            Tariff::Part(Class::Archives),
        ),
        copies.in_parts,
        "copies in parts",
    );
    lines.add(
        write(Operation::UploadPartCopy, Tariff::Part(Class::Archives)),
        copies.parts,
        "copies in parts",
    );
    lines.add(
        write(
            Operation::CompleteMultipartUpload,
            Tariff::Put(Class::Archives),
        ),
        copies.in_parts,
        "copies in parts",
    );
    lines.add(
        HEAD_ARCHIVES,
        copies.objects,
        "whether the copies are whole",
    );
    lines.add(LIST_UPLOADS, copies.in_parts, "what earlier copies left");
    lines.put_once(
        facts,
        Class::Standard,
        copies.objects,
        "the descriptions of the copies",
    );
    lines.add(
        HEAD_STANDARD,
        copies.objects,
        "whether the descriptions are there",
    );
}

/// What `run` counts at its end.
fn totals_of_the_run(facts: &Facts<'_>, lines: &mut Lines) {
    lines.add(LIST, 1, "the summaries of retry passes");
    lines.add(GET_STANDARD, 1, "the summary, to count");
    lines.add(LIST, pages(facts.totals.groups), "the receipts, to count");
    lines.add(LIST, 1, "whether a retry pass was begun");
}

#[cfg(test)]
mod tests;
