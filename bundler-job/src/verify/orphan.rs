//! What attempts at groups of the run left under `archives/`: the archives, indexes and open
//! uploads that no catalog names.
//!
//! A worker that dies or is late may leave an archive that nothing refers to, and no later run
//! looks for it, because a group with a receipt is never visited again. A repair removes it only
//! after the catalog of that run and group was read, names another attempt and an archive that is
//! there, and only if it is older than an hour. An attempt at a group without a catalog is kept,
//! however old it is: a stalled worker may still commit it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use s3bundler_contract::{GroupName, RunName, S3Address};

use super::finding::{Finding, Findings};
use super::scope::Scope;
use crate::catalog::Committed;
use crate::destination::Destination;
use crate::s3::{Listed, OpenUpload, OpenUploads, S3, S3Error};

/// Something under `archives/` that an attempt at a group of the run wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trace {
    key: String,
    /// Of an upload that is open.
    upload_id: Option<String>,
    since: Option<SystemTime>,
    /// Whether its key is that of a group of the run's own grouper.
    own: bool,
}

/// What attempts at the groups of a run wrote, by group.
pub(super) type Traces = BTreeMap<GroupName, Vec<Trace>>;

/// Lists everything under `archives/`, and keeps what is of the run. Keys of earlier releases that
/// name no run are not.
pub(super) async fn traces(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
) -> Result<Traces, S3Error> {
    let prefix = destination.layout.archives();
    let mut traces = Traces::new();
    let mut take = |key: String, upload_id: Option<String>, since: Option<SystemTime>| {
        if let Some((group, _)) = destination.layout.parse_archive(&key, run) {
            traces.entry(group.name).or_default().push(Trace {
                key,
                upload_id,
                since,
                own: group.own,
            });
        }
    };
    let each = |page: Vec<Listed>| {
        for Listed { key, modified, .. } in page {
            take(key, None, modified);
        }
        true
    };
    s3.list(&destination.bucket, &prefix, each).await?;
    match s3.open_uploads(&destination.address(&prefix)).await {
        Ok(OpenUploads::Listed(uploads)) => {
            for OpenUpload {
                key,
                upload_id,
                initiated,
            } in uploads
            {
                take(key, Some(upload_id), initiated);
            }
        }
        Ok(OpenUploads::Unsupported) => {}
        // Who only reads archives need not be allowed to.
        Err(error) => {
            tracing::warn!(%error, "open uploads cannot be listed, and are not in the report");
        }
    }
    Ok(traces)
}

impl Trace {
    /// What is reported of it in a group without a catalog.
    pub(super) fn uncommitted(self, destination: &Destination, catalog: S3Address) -> Finding {
        let object = destination.address(self.key);
        match self.upload_id {
            None => Finding::UncommittedAttempt { object, catalog },
            Some(upload_id) => Finding::OpenUpload {
                object,
                upload_id,
                committed: false,
            },
        }
    }

    fn is_older_than(&self, age: Duration, now: SystemTime) -> bool {
        self.since
            .and_then(|since| now.duration_since(since).ok())
            .is_some_and(|found| found >= age)
    }

    fn lost(&self, committed: &Committed) -> Finding {
        let object = committed.destination().address(&self.key);
        match &self.upload_id {
            None => Finding::LostAttempt {
                object,
                catalog: committed.address(),
            },
            Some(upload_id) => Finding::OpenUpload {
                object,
                upload_id: upload_id.clone(),
                committed: true,
            },
        }
    }
}

/// Reports what attempts that lost have left of a committed group, and removes it if the request is
/// to repair, nothing is wrong with what the catalog names (`sound`), and it is old enough. Returns
/// what was removed.
pub(super) async fn check(
    scope: Scope<'_>,
    committed: &Committed,
    traces: &[Trace],
    sound: bool,
    findings: &mut Findings,
) -> Result<Vec<S3Address>, S3Error> {
    let own = committed.group().own;
    let is_left = |trace: &&Trace| {
        trace.own == own && (trace.upload_id.is_some() || committed.is_another(&trace.key))
    };
    let left: Vec<&Trace> = traces.iter().filter(is_left).collect();
    let mut removed = Vec::new();
    // Nothing is removed beside an archive that is not as its catalog says: it may be the only one
    // that is.
    let whole = if scope.request.repair && sound && !left.is_empty() {
        committed.whole(scope.s3).await?.ok()
    } else {
        None
    };
    let now = SystemTime::now();
    for trace in left {
        let proof = whole
            .filter(|_| trace.is_older_than(scope.request.orphan_age, now))
            .and_then(|whole| {
                if trace.upload_id.is_some() {
                    whole.rules_out_upload(&trace.key)
                } else {
                    whole.rules_out(&trace.key)
                }
            });
        let Some(unreferenced) = proof else {
            findings.push(trace.lost(committed));
            continue;
        };
        let deleted = match &trace.upload_id {
            Some(upload_id) => {
                scope
                    .s3
                    .abort_upload(unreferenced.address(), upload_id)
                    .await
            }
            None => scope.s3.delete(unreferenced.address()).await,
        };
        match deleted {
            Ok(()) => removed.push(unreferenced.address().clone()),
            Err(error) => {
                tracing::warn!(%error, "what an attempt that lost has left cannot be removed");
                findings.push(trace.lost(committed));
            }
        }
    }
    Ok(removed)
}
