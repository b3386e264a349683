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
mod tests {
    use super::*;

    #[test]
    fn whoever_else_scales_has_the_room_that_is_left_and_takes_no_busy_worker() {
        let base = Inputs {
            at_rest: false,
            work_left: true,
            depth: None,
            groups_per_worker: 1,
            min: 0,
            max: 20,
            cap: 1000,
            current: 0,
            busy: 0,
        };
        for (inputs, expected) in [
            (base, 20),
            (Inputs { cap: 7, ..base }, 7),
            (Inputs { cap: 0, ..base }, 0),
            (
                Inputs {
                    cap: 2,
                    current: 9,
                    busy: 5,
                    ..base
                },
                5,
            ),
            (
                Inputs {
                    at_rest: true,
                    current: 9,
                    busy: 5,
                    ..base
                },
                0,
            ),
        ] {
            assert_eq!(most(inputs), expected, "{inputs:?}");
        }
    }

    #[test]
    fn replicas_follow_the_depth_within_bounds() {
        let base = Inputs {
            at_rest: false,
            work_left: true,
            depth: Some(Depth {
                visible: 0,
                in_flight: 0,
            }),
            groups_per_worker: 1,
            min: 0,
            max: 20,
            cap: 1000,
            current: 0,
            busy: 0,
        };
        let depth = |visible, in_flight| Some(Depth { visible, in_flight });
        let cases = [
            ("one is there before the first message", base, 1),
            (
                "nothing is left to do",
                Inputs {
                    work_left: false,
                    ..base
                },
                0,
            ),
            (
                "in flight counts",
                Inputs {
                    depth: depth(3, 2),
                    ..base
                },
                5,
            ),
            (
                "several groups a worker",
                Inputs {
                    depth: depth(5, 0),
                    groups_per_worker: 2,
                    ..base
                },
                3,
            ),
            (
                "no target is no division by zero",
                Inputs {
                    depth: depth(5, 0),
                    groups_per_worker: 0,
                    ..base
                },
                5,
            ),
            (
                "the maximum holds",
                Inputs {
                    depth: depth(500, 0),
                    ..base
                },
                20,
            ),
            (
                "so does the operator's",
                Inputs {
                    depth: depth(500, 0),
                    cap: 7,
                    ..base
                },
                7,
            ),
            (
                "the minimum while work is left",
                Inputs { min: 3, ..base },
                3,
            ),
            (
                "no minimum once none is left",
                Inputs {
                    min: 3,
                    work_left: false,
                    ..base
                },
                0,
            ),
            (
                "busy workers stay",
                Inputs {
                    depth: depth(0, 2),
                    current: 9,
                    busy: 6,
                    ..base
                },
                6,
            ),
            (
                "busy workers stay above a lowered maximum",
                Inputs {
                    max: 2,
                    depth: depth(9, 5),
                    current: 5,
                    busy: 5,
                    ..base
                },
                5,
            ),
            (
                "no more than there are",
                Inputs {
                    depth: depth(1, 0),
                    current: 2,
                    busy: 3,
                    ..base
                },
                2,
            ),
            (
                "unknown depth changes nothing",
                Inputs {
                    depth: None,
                    current: 12,
                    ..base
                },
                12,
            ),
            (
                "a queue that looks empty keeps one awake",
                Inputs { current: 8, ..base },
                1,
            ),
            (
                "nothing stays at rest, busy or not",
                Inputs {
                    at_rest: true,
                    depth: depth(9, 9),
                    current: 5,
                    busy: 5,
                    min: 2,
                    ..base
                },
                0,
            ),
            (
                "more messages than numbers",
                Inputs {
                    depth: depth(u64::MAX, 9),
                    max: u32::MAX,
                    cap: u32::MAX,
                    ..base
                },
                u32::MAX,
            ),
        ];
        for (name, inputs, expected) in cases {
            assert_eq!(replicas(inputs), expected, "{name}");
        }
    }
}
