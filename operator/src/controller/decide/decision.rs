//! What can be decided: plain data that the next steps carry out and report.

use std::time::Duration;

use crate::autoscale::plan::Bounds;
use crate::controller::explanation::Explanation;
use crate::controller::intervals::POLL_PERIOD;
use crate::crd::ArchiveRunStatus;
use crate::queues::QueuePair;

/// What a run is doing: the reason of its condition `Ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing has begun.
    Pending,
    /// There is no finished inventory yet, or it cannot be read.
    InventoryPending,
    /// The grouper is at work.
    Grouping,
    /// All groups are made, and being archived.
    Bundling,
    /// Objects that failed for the time being are tried again.
    Retrying,
    /// All is archived; the last workers are leaving.
    Draining,
    /// What is archived is being verified.
    Verifying,
    /// At rest until it is resumed.
    Suspended,
    /// Every object is archived or copied.
    Complete,
    /// As above, but for objects that are dead letters.
    CompleteWithFailures,
    /// Ended without being whole.
    Failed,
}

impl Phase {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InventoryPending => "InventoryPending",
            Self::Grouping => "Grouping",
            Self::Bundling => "Bundling",
            Self::Retrying => "Retrying",
            Self::Draining => "Draining",
            Self::Verifying => "Verifying",
            Self::Suspended => "Suspended",
            Self::Complete => "Complete",
            Self::CompleteWithFailures => "CompleteWithFailures",
            Self::Failed => "Failed",
        }
    }

    /// Whether it never changes again.
    pub(crate) const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Complete | Self::CompleteWithFailures | Self::Failed
        )
    }
}

/// Something to do. Each can be done again without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    /// Make the queue and its dead-letter queue.
    MakeQueues(String),
    /// Take the queues that the run brings.
    UseQueues(QueuePair),
    /// Make the grouper of a pass.
    ApplyGrouper(u32),
    /// Take the grouper of a pass away, to make it again.
    DeleteGrouper(u32),
    /// The same where messages are lost: a grouper that is made again sends the groups without
    /// receipt.
    SendAgain(u32),
    /// Make the verifier.
    ApplyVerifier,
    /// Take the verifier away.
    DeleteVerifier,
    /// Make the workers, or what they have in common newer.
    ApplyWorkers,
    /// Ask for so many workers.
    Scale(u32),
    /// Let KEDA scale between these numbers.
    ApplyScaledObject(Bounds),
    /// Ask these workers to take no other group.
    PauseWorkers(Vec<String>),
    /// Let these take groups again.
    ResumeWorkers(Vec<String>),
    /// Put dead-lettered groups back on the queue.
    Redrive(String),
    /// Take everything away that runs.
    DeleteWorkloads,
    /// Delete the queues that were made for the run.
    DeleteQueues,
    /// Delete the resource itself.
    DeleteRun,
}

/// Whether what a run has archived is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verified {
    /// Not known.
    NotYet(Explanation),
    /// It is right.
    Yes(Explanation),
    /// Something is wrong.
    No(Explanation),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    /// What the run is doing.
    pub(crate) phase: Phase,
    /// That, for people.
    pub(crate) message: String,
    /// Why it failed, with phase `Failed`.
    pub(crate) failed: Option<Explanation>,
    /// Why the run is not accepted.
    pub(crate) refused: Option<Explanation>,
    /// Why nothing moves until a person acts.
    pub(crate) stalled: Option<Explanation>,
    /// What is wrong while it moves.
    pub(crate) degraded: Option<Explanation>,
    /// What is known of what it has archived; `None`: what was known before.
    pub(crate) verified: Option<Verified>,
    pub(crate) pass: u32,
    /// Workers asked for.
    pub(crate) workers: u32,
    /// What to do, in this order.
    pub(crate) writes: Vec<Write>,
    /// When to look again; `None`: only when something changes.
    pub(crate) requeue_after: Option<Duration>,
}

impl Decision {
    /// A run that is doing this, with nothing to be done about it.
    pub(crate) fn new(phase: Phase, message: impl Into<String>) -> Self {
        Self {
            phase,
            message: message.into(),
            failed: None,
            refused: None,
            stalled: None,
            degraded: None,
            verified: None,
            pass: 0,
            workers: 0,
            writes: Vec::new(),
            requeue_after: Some(POLL_PERIOD),
        }
    }

    /// A run that is not carried out.
    pub(crate) fn refused(explanation: Explanation) -> Self {
        Self {
            refused: Some(explanation.clone()),
            requeue_after: Some(4 * POLL_PERIOD),
            ..Self::new(Phase::Pending, explanation.message)
        }
    }

    /// Workers that the run may have once this is carried out, of `current` replicas.
    pub(crate) fn holds(&self, current: u32) -> u32 {
        self.writes
            .iter()
            .fold(current, |holds, write| match write {
                Write::Scale(replicas) => *replicas,
                Write::ApplyScaledObject(bounds) => bounds.most,
                Write::DeleteWorkloads => 0,
                _ => holds,
            })
    }

    pub(super) fn failed(prior: &ArchiveRunStatus, explanation: Explanation) -> Self {
        let writes = vec![Write::DeleteWorkloads];
        let (message, pass) = (explanation.message.clone(), prior.pass());
        Self {
            failed: Some(explanation.clone()),
            stalled: Some(explanation),
            writes,
            pass,
            requeue_after: Some(Duration::ZERO),
            ..Self::new(Phase::Failed, message)
        }
    }
}
