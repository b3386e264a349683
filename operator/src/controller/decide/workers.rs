//! The workers, and how many of them.

use std::cmp::Reverse;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::decision::{Decision, Write};
use crate::autoscale::plan::{Bounds, Inputs, Trust, allowed, bounds, replicas};
use crate::controller::explanation::Explanation;
use crate::controller::observed::{Observed, WorkerPod};
use crate::controller::run::Run;
use crate::crd::{ArchiveRunStatus, ScalingMode};

/// A worker that has held a group for so long has read its manifest and its first objects.
const HELD: SignedDuration = SignedDuration::from_mins(1);

/// What limits the workers of a run, besides its spec.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Workers that the operator may give it.
    cap: u32,
    trust: Trust,
}

impl Room {
    pub(super) fn of(cap: u32, prior: &ArchiveRunStatus, seen: &Observed, now: Timestamp) -> Self {
        let trust = trust(prior, seen, now);
        Self { cap, trust }
    }
}

/// The workers, and how many of them.
pub(super) fn workers(
    run: &Run,
    decision: &mut Decision,
    seen: &Observed,
    missing: Option<u64>,
    Room { cap, trust }: Room,
) {
    let current = seen.replicas();
    let inputs = Inputs {
        at_rest: false,
        work_left: missing != Some(0),
        depth: seen
            .depths
            .as_ref()
            .and_then(|depths| depths.groups.as_ref().ok())
            .copied(),
        recent_groups: seen.recent_groups,
        groups_per_worker: run.groups_per_worker,
        min: run.min_replicas,
        max: run.max_replicas,
        cap,
        trust,
        base: seen.replicas_then,
        creatable: seen.creatable,
        current,
        busy: seen.pods.busy,
    };
    let (workers, scale) = match run.mode {
        ScalingMode::Builtin => {
            let wanted = replicas(inputs);
            (
                wanted,
                seen.workers
                    .is_none_or(|it| it.replicas != wanted)
                    .then_some(Write::Scale(wanted)),
            )
        }
        ScalingMode::Keda => (current, Some(Write::ApplyScaledObject(bounds(inputs)))),
        ScalingMode::External => (current, None),
    };
    decision.workers = workers;
    // A Deployment begins with one pod: there is none before there may be one.
    let is_made = seen.workers.is_some();
    if is_made
        || !matches!(
            scale,
            Some(Write::Scale(0) | Write::ApplyScaledObject(Bounds::NONE))
        )
    {
        decision.writes.push(Write::ApplyWorkers);
        if run.mode != ScalingMode::External {
            let pausing = pauses(&seen.pods.workers, allowed(inputs), workers);
            decision.writes.extend(pausing);
        }
        decision.writes.extend(scale);
    }
    if cap == 0 && decision.workers == 0 && run.mode != ScalingMode::External && missing != Some(0)
    {
        let message = "other runs have all workers that the operator may give, its --max-workers: \
            this one goes on when one of them needs fewer";
        decision
            .degraded
            .get_or_insert_with(|| Explanation::new("WorkersExhausted", message));
    }
}

/// Whether more workers would do more work.
fn trust(prior: &ArchiveRunStatus, seen: &Observed, now: Timestamp) -> Trust {
    let pods = &seen.pods;
    let held = |worker: &WorkerPod| {
        worker
            .busy_since
            .is_some_and(|since| now.duration_since(since) >= HELD)
    };
    let all_troubled = pods.troubled > 0 && count(pods.troubled) >= pods.workers.len();
    let known = prior.groups.is_some_and(|groups| groups.committed > 0);
    let has_committed = seen
        .counted
        .as_ref()
        .map_or(known, |counted| counted.groups() > 0);
    if pods.busy == 0 && (prior.is_true("Stalled") || all_troubled) {
        Trust::Failing
    } else if pods.busy == 0 && pods.troubled > 0 {
        Trust::Unproven
    } else if has_committed || pods.workers.iter().any(held) {
        Trust::Proven
    } else {
        Trust::Unproven
    }
}

fn count(pods: u32) -> usize {
    usize::try_from(pods).unwrap_or(usize::MAX)
}

/// Pauses the busy workers above `allowed`, the youngest first, and resumes the others: they end their
/// groups and take no more. If fewer workers than there are `remain`, the idle ones stay as they are,
/// because those are removed first.
fn pauses(workers: &[WorkerPod], allowed: u32, remain: u32) -> Vec<Write> {
    let (mut busy, idle): (Vec<_>, Vec<_>) = workers
        .iter()
        .partition(|worker| worker.busy_since.is_some());
    busy.sort_by_key(|worker| (!worker.is_paused, Reverse(worker.created_at), &worker.name));
    let surplus = busy.len().saturating_sub(count(allowed));
    let (above, within) = busy.split_at(surplus);
    let idle = if surplus == 0 && workers.len() <= count(remain) {
        &idle[..]
    } else {
        &[]
    };
    let names = |workers: &[&WorkerPod], is_paused| -> Vec<String> {
        let concerned = workers.iter().filter(|it| it.is_paused == is_paused);
        concerned.map(|it| it.name.clone()).collect()
    };
    let pause = names(above, false);
    let resume = [names(within, true), names(idle, true)].concat();
    let mut writes = Vec::new();
    if !pause.is_empty() {
        writes.push(Write::PauseWorkers(pause));
    }
    if !resume.is_empty() {
        writes.push(Write::ResumeWorkers(resume));
    }
    writes
}

/// What keeps workers at zero.
pub(super) fn scale_to_zero(run: &Run) -> Vec<Write> {
    match run.mode {
        ScalingMode::Keda => vec![Write::ApplyScaledObject(Bounds::NONE), Write::Scale(0)],
        ScalingMode::Builtin | ScalingMode::External => vec![Write::Scale(0)],
    }
}

/// What keeps workers at zero for longer: whoever else scales may go on. KEDA is told once.
pub(super) fn stay_at_zero(run: &Run, is_told: bool, seen: &Observed) -> Vec<Write> {
    if seen.replicas() > 0 || (run.mode == ScalingMode::Keda && !is_told) {
        scale_to_zero(run)
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
