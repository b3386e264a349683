//! What a look at the world showed, as plain data: the input of every decision.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::{ExitCode, InventoryRef, RunSummary, Termination, Verification};

use super::ownership::NameConflict;
use super::problem::Problem;
use super::throughput::Rate;
use crate::crd::Verify;
use crate::queues::Depths;
use crate::receipts::Counted;
use crate::records::RecordsError;

/// A Job of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum JobState {
    /// There is no Job.
    #[default]
    Absent,
    /// It is at work, or waits for its turn.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended badly, for good.
    Failed {
        /// What its last container exited with.
        exit_code: Option<i32>,
        message: String,
    },
}

/// The Job that verifies the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verifier {
    pub(crate) state: JobState,
    /// What it is to prove.
    pub(crate) mode: Verify,
    /// When it was made, or failed.
    pub(crate) at: Option<Timestamp>,
    /// What its last pod reported; `None` if it did not come to its end, and of an earlier release.
    pub(crate) report: Option<Verification>,
}

impl Verifier {
    /// Whether it has proved what is asked for. What attempts that lost have left is no harm.
    pub(crate) fn has_passed(&self, mode: Verify) -> bool {
        let has_found = match &self.state {
            JobState::Succeeded => Some(false),
            JobState::Failed { exit_code, .. } => {
                let is_over = *exit_code == Some(i32::from(ExitCode::Findings.code()));
                let report = self.report.as_ref().filter(|_| is_over);
                report.map(|report| report.findings > 0)
            }
            JobState::Absent | JobState::Running => None,
        };
        has_found == Some(false) && self.mode >= mode
    }
}

/// The Deployment of the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkersState {
    /// Replicas asked for.
    pub(crate) replicas: u32,
}

/// A worker's pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkerPod {
    pub(crate) name: String,
    /// Since when it has held groups without a pause; `None`: it holds none.
    pub(crate) busy_since: Option<Timestamp>,
    /// Whether it was asked to take no other group.
    pub(crate) is_paused: bool,
    pub(crate) created_at: Option<Timestamp>,
}

/// The pods of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pods {
    /// All that are not finished, those of Jobs included.
    pub(crate) present: u32,
    /// Verifiers among them.
    pub(crate) verifiers: u32,
    /// Workers that run.
    pub(crate) running: u32,
    /// Those of them that nothing is wrong with.
    pub(crate) healthy: u32,
    /// Workers that hold a group: the ready ones.
    pub(crate) busy: u32,
    /// Workers, in whatever state, that are not about to go.
    pub(crate) workers: Vec<WorkerPod>,
    /// Workers that something is wrong with.
    pub(crate) troubled: u32,
    /// Whether a grouper runs.
    pub(crate) grouping: bool,
    /// What is wrong with workers, worst first.
    pub(crate) problems: Vec<Problem>,
    /// What is wrong with the pods of Jobs, worst first.
    pub(crate) job_problems: Vec<Problem>,
}

/// Whether the run's own pods have shown that they may write to the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    /// Not asked by this look, or without an answer.
    #[default]
    Unknown,
    /// Not yet.
    No,
    /// They have, with the inventory of the run's claim; `None` if an earlier release has made the
    /// claim.
    Yes(Option<InventoryRef>),
}

/// What there is; by default nothing, and nothing is known.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Whether the pods' service account is there.
    pub(crate) service_account: bool,
    /// Whether the destination may be read.
    pub(crate) acknowledged: Acknowledged,
    /// The grouper of the pass at hand.
    pub(crate) grouper: JobState,
    /// When its Job was made, or failed.
    pub(crate) grouper_at: Option<Timestamp>,
    /// What its last pod waited for that could not begin.
    pub(crate) grouper_end: Option<Termination>,
    pub(crate) verifier: Verifier,
    pub(crate) workers: Option<WorkersState>,
    pub(crate) pods: Pods,
    /// Depth of the queues; `None` where it was not read, because nothing hangs on it.
    pub(crate) depths: Option<Depths>,
    /// The most groups on the queue by the last readings, if there were enough of them.
    pub(crate) recent_groups: Option<u64>,
    /// Replicas asked for when the depth was read.
    pub(crate) replicas_then: u32,
    /// Workers that the cluster makes, where it refused to make more just now.
    pub(crate) creatable: Option<u32>,
    /// For how long the queue has been empty with nothing in flight, and nobody about to send to
    /// it.
    pub(crate) empty_for: Duration,
    /// Whether this operator has had the lost groups of the pass sent again already.
    pub(crate) sent_again: bool,
    /// What the grouper of the inventory made; `None` before.
    pub(crate) summary: Option<RunSummary>,
    /// What the grouper of the pass at hand made, the inventory's own in pass 0.
    pub(crate) pass_summary: Option<RunSummary>,
    /// Receipts, as the last LIST that came to its end showed them; `None` before the first.
    pub(crate) counted: Option<Counted>,
    /// How fast the last minutes' receipts came, if that is known.
    pub(crate) rate: Option<Rate>,
    /// Whether more of them are to be listed now.
    pub(crate) is_counting: bool,
    /// Why S3 could not be read, where it could not.
    pub(crate) records_error: Option<RecordsError>,
    /// What is not the run's and has a name that it needs.
    pub(crate) name_conflict: Option<NameConflict>,
}

impl Observed {
    /// Replicas of the workers that are asked for now.
    pub(crate) fn replicas(&self) -> u32 {
        self.workers.map_or(0, |workers| workers.replicas)
    }
}
