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
    /// Groups a worker is to have.
    pub(crate) groups_per_worker: u32,
    pub(crate) min: u32,
    pub(crate) max: u32,
    /// Workers that the operator may still give, over all runs.
    pub(crate) cap: u32,
    /// Replicas asked for now.
    pub(crate) current: u32,
    /// Workers that hold a group.
    pub(crate) busy: u32,
}

/// Replicas to ask for.
pub(crate) fn replicas(inputs: Inputs) -> u32 {
    if inputs.at_rest {
        return 0;
    }
    let Some(depth) = inputs.depth else {
        // Never fewer because of an error.
        return inputs.current;
    };
    let groups = depth.visible.saturating_add(depth.in_flight);
    let wanted = groups.div_ceil(u64::from(inputs.groups_per_worker.max(1)));
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
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

/// Replicas that somebody else may ask for, who scales the run: no busy worker is taken away by a
/// maximum that was lowered.
pub(crate) fn most(inputs: Inputs) -> u32 {
    if inputs.at_rest {
        0
    } else {
        inputs
            .max
            .min(inputs.cap)
            .max(inputs.busy.min(inputs.current))
    }
}

#[cfg(test)]
mod tests;
