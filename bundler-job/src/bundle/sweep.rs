//! Removes what attempts that lost have left (step 6 of the commit protocol). It deletes only what
//! a catalog that was read from S3 rules out, and it never keeps a group from being published: what
//! cannot be listed or deleted is a warning, and `verify` finds it again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::{Committed, Unreferenced, Whole};
use crate::s3::{OpenUploads, S3, S3Error};

/// Removes what attempts that lost have left. Clones share what was reported already.
#[derive(Debug, Clone)]
pub struct Sweeper {
    s3: S3,
    /// Failures that were reported: a bucket that denies deletions, or a store that does not list
    /// uploads, does so for every group.
    reported: Arc<Mutex<BTreeSet<(&'static str, String)>>>,
}

impl Sweeper {
    /// A sweeper that has reported nothing yet.
    pub fn new(s3: S3) -> Self {
        Self {
            s3,
            reported: Arc::default(),
        }
    }

    /// Deletes archives and indexes of other attempts than the winner at exactly this group of this
    /// run, and aborts their uploads.
    pub async fn sweep(&self, committed: &Committed, source_bucket: &str) {
        let destination = committed.destination();
        let layout = &destination.layout;
        let stem = layout.archive_stem(source_bucket, committed.group());
        let listed = self.s3.list_all(&destination.bucket, &stem).await;
        let mut archives = self.done(listed).unwrap_or_default();
        archives.retain(|listed| {
            let attempt = layout.parse_attempt(&listed.key, source_bucket, committed.group());
            attempt.is_some_and(|attempt| attempt.as_str() != committed.attempt())
        });
        let uploads = self.done(self.s3.open_uploads(&destination.address(&stem)).await);
        let uploads = uploads.map(OpenUploads::known).unwrap_or_default();
        if archives.is_empty() && uploads.is_empty() {
            return;
        }
        let whole = match self.done(committed.whole(&self.s3).await) {
            Some(Ok(whole)) => whole,
            Some(Err(archive)) => {
                let kept: Vec<&str> = archives.iter().map(|listed| listed.key.as_str()).collect();
                tracing::error!(
                    catalog = %committed.address(), archive = archive.key, ?kept,
                    "the archive that the catalog names does not exist or has another size; other \
                     attempts are kept"
                );
                return;
            }
            None => return,
        };
        for unreferenced in archives
            .iter()
            .filter_map(|listed| whole.rules_out(&listed.key))
        {
            self.delete(&unreferenced).await;
        }
        for (key, upload_id) in &uploads {
            if let Some(unreferenced) = whole.rules_out_upload(key) {
                self.done(
                    self.s3
                        .abort_upload(unreferenced.address(), upload_id)
                        .await,
                );
            }
        }
    }

    /// Deletes the archive of an attempt that lost.
    pub async fn discard(&self, whole: &Whole<'_>, archive: &str) {
        if let Some(unreferenced) = whole.rules_out(archive) {
            self.delete(&unreferenced).await;
        }
    }

    async fn delete(&self, unreferenced: &Unreferenced) {
        self.done(self.s3.delete(unreferenced.address()).await);
    }

    /// What a request returned; a failure is a warning, and the second one of its kind only a debug
    /// line.
    fn done<T>(&self, result: Result<T, S3Error>) -> Option<T> {
        let error = match result {
            Ok(done) => return Some(done),
            Err(error) => error,
        };
        let kind = (error.action, error.code.clone());
        if self
            .reported
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(kind)
        {
            tracing::warn!(%error, "what other attempts left is not removed; the group is \
                archived all the same");
        } else {
            tracing::debug!(%error, "what other attempts left is not removed");
        }
        None
    }
}
