//! Messages: one a group, ten at a time, none for groups that are archived.

use s3bundler_contract::message::ManifestRef;

use super::{GroupError, GroupMade};
use crate::queue::Queue;

/// As many as SQS takes in one SendMessageBatch.
pub(crate) const MESSAGES_AT_A_TIME: usize = 10;

/// Tells the caller and the queue of groups.
pub(super) struct Announcer<'a, Q, F> {
    queue: Option<&'a Q>,
    on_group: &'a mut F,
    waiting: Vec<ManifestRef>,
    pub(super) sent: u64,
    pub(super) already_archived: u64,
}

impl<'a, Q: Queue, F: FnMut(&GroupMade)> Announcer<'a, Q, F> {
    pub(super) fn new(queue: Option<&'a Q>, on_group: &'a mut F) -> Self {
        Self {
            queue,
            on_group,
            waiting: Vec::with_capacity(MESSAGES_AT_A_TIME),
            sent: 0,
            already_archived: 0,
        }
    }

    /// Announces a group whose manifest is in S3.
    pub(super) async fn add(
        &mut self,
        group: &GroupMade,
        manifest: ManifestRef,
    ) -> Result<(), GroupError> {
        (self.on_group)(group);
        if group.already_archived {
            self.already_archived += 1;
            return Ok(());
        }
        if self.queue.is_some() {
            self.waiting.push(manifest);
        }
        if self.waiting.len() < MESSAGES_AT_A_TIME {
            Ok(())
        } else {
            self.flush().await
        }
    }

    /// Sends what is waiting.
    pub(super) async fn flush(&mut self) -> Result<(), GroupError> {
        if let Some(queue) = self.queue
            && !self.waiting.is_empty()
        {
            queue.send(&self.waiting).await?;
            self.sent += self.waiting.len() as u64;
            self.waiting.clear();
        }
        Ok(())
    }
}
