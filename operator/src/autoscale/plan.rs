//! How many workers a run wants. Depth only sizes the workers; it never decides that something is
//! finished.

use crate::queues::Depth;

/// What scaling goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// Whether the run is done, failed or suspended: no worker has anything to do.
    pub(crate) at_rest: bool,
    /// Whether groups are known to be without receipt, or grouping goes on.
    pub(crate) work_left: bool,
    /// The queue's depth; `None` where it could not be read.
    pub(crate) depth: Option<Depth>,
    /// The most groups on the queue by the last readings of its depth; `None` before there were
    /// enough of them to take a worker away.
    pub(crate) recent_groups: Option<u64>,
    /// Groups a worker is to have.
    pub(crate) groups_per_worker: u32,
    pub(crate) min: u32,
    pub(crate) max: u32,
    /// Workers that the operator may give it, over all runs.
    pub(crate) cap: u32,
    /// What is known of the run's workers.
    pub(crate) trust: Trust,
    /// Replicas asked for when the depth was read, from which they may double.
    pub(crate) base: u32,
    /// Pods that the cluster makes, where it refused to make more just now.
    pub(crate) creatable: Option<u32>,
    /// Replicas asked for now.
    pub(crate) current: u32,
    /// Workers that hold a group.
    pub(crate) busy: u32,
}

/// Whether more workers would do more work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// No worker does anything: one is enough to see whether that has changed.
    Failing,
    /// None has shown yet that it works.
    Unproven,
    /// One has archived a group, or has held one for a while.
    Proven,
}

impl Trust {
    /// Workers that a run may have next: twice as many with each reading of the depth.
    fn most(self, base: u32) -> u32 {
        let most = match self {
            Self::Failing => 1,
            Self::Unproven => base,
            Self::Proven => base.saturating_mul(2),
        };
        most.max(1)
    }
}

/// Replicas to ask for.
pub(crate) fn replicas(inputs: Inputs) -> u32 {
    if inputs.at_rest {
        return 0;
    }
    let Some(depth) = inputs.depth else {
        // Never fewer because of an error.
        return inputs.current.min(most(inputs));
    };
    let mut wanted = workers_for(depth.groups(), inputs);
    if inputs.work_left {
        // One reading may be wrong: a worker goes when several said that it is not needed.
        let recent = inputs
            .recent_groups
            .map_or(u32::MAX, |groups| workers_for(groups, inputs));
        wanted = wanted.max(recent.min(inputs.current));
    }
    // Figures lag: while groups are without receipt one worker is awake, and there when the first
    // message comes (docs/decisions/one-worker-awake.md).
    let floor = if inputs.work_left {
        inputs.min.max(1)
    } else {
        0
    };
    // A busy worker is not taken away: it ends its group first.
    wanted
        .max(floor)
        .min(most(inputs))
        .max(inputs.busy.min(inputs.current))
}

/// Between which numbers another autoscaler scales the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) least: u32,
    /// With 0 the run is held at zero.
    pub(crate) most: u32,
}

impl Bounds {
    /// No worker has anything to do.
    pub(crate) const NONE: Self = Self { least: 0, most: 0 };
}

/// Returns the bounds for an autoscaler that does not know which worker is busy, so that none of
/// those is removed.
pub(crate) fn bounds(inputs: Inputs) -> Bounds {
    let most = most(inputs);
    Bounds {
        least: inputs.min.max(inputs.busy).min(most),
        most,
    }
}

/// The most replicas to ask for: no busy worker is taken away by a maximum that was lowered.
fn most(inputs: Inputs) -> u32 {
    if inputs.at_rest {
        return 0;
    }
    allowed(inputs).max(inputs.busy.min(inputs.current))
}

/// Workers that may take groups. Those above it end theirs.
pub(crate) fn allowed(inputs: Inputs) -> u32 {
    let creatable = inputs.creatable.map_or(u32::MAX, |pods| pods.max(1));
    inputs
        .max
        .min(inputs.cap)
        .min(inputs.trust.most(inputs.base))
        .min(creatable)
}

fn workers_for(groups: u64, inputs: Inputs) -> u32 {
    let workers = groups.div_ceil(u64::from(inputs.groups_per_worker.max(1)));
    u32::try_from(workers).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
