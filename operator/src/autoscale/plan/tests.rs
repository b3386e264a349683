use super::*;

/// A run that may have twenty workers and whose queue is empty.
const BASE: Inputs = Inputs {
    at_rest: false,
    work_left: true,
    depth: Some(depth(0, 0)),
    recent_groups: Some(0),
    groups_per_worker: 1,
    min: 0,
    max: 20,
    cap: 1000,
    trust: Trust::Proven,
    base: 1000,
    creatable: None,
    current: 0,
    busy: 0,
};

const fn depth(visible: u64, in_flight: u64) -> Depth {
    Depth { visible, in_flight }
}

#[test]
fn whoever_else_scales_has_the_room_that_is_left_and_takes_no_busy_worker() {
    let base = Inputs {
        depth: None,
        ..BASE
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
    let cases = [
        ("one is there before the first message", BASE, 1),
        (
            "nothing is left to do",
            Inputs {
                work_left: false,
                ..BASE
            },
            0,
        ),
        (
            "in flight counts",
            Inputs {
                depth: Some(depth(3, 2)),
                ..BASE
            },
            5,
        ),
        (
            "several groups a worker",
            Inputs {
                depth: Some(depth(5, 0)),
                groups_per_worker: 2,
                ..BASE
            },
            3,
        ),
        (
            "no target is no division by zero",
            Inputs {
                depth: Some(depth(5, 0)),
                groups_per_worker: 0,
                ..BASE
            },
            5,
        ),
        (
            "the maximum holds",
            Inputs {
                depth: Some(depth(500, 0)),
                ..BASE
            },
            20,
        ),
        (
            "so does the operator's",
            Inputs {
                depth: Some(depth(500, 0)),
                cap: 7,
                ..BASE
            },
            7,
        ),
        (
            "the minimum while work is left",
            Inputs { min: 3, ..BASE },
            3,
        ),
        (
            "no minimum once none is left",
            Inputs {
                min: 3,
                work_left: false,
                ..BASE
            },
            0,
        ),
        (
            "busy workers stay",
            Inputs {
                depth: Some(depth(0, 2)),
                current: 9,
                busy: 6,
                ..BASE
            },
            6,
        ),
        (
            "busy workers stay above a lowered maximum",
            Inputs {
                max: 2,
                depth: Some(depth(9, 5)),
                current: 5,
                busy: 5,
                ..BASE
            },
            5,
        ),
        (
            "no more than there are",
            Inputs {
                depth: Some(depth(1, 0)),
                current: 2,
                busy: 3,
                ..BASE
            },
            2,
        ),
        (
            "unknown depth changes nothing",
            Inputs {
                depth: None,
                current: 12,
                ..BASE
            },
            12,
        ),
        (
            "a queue that looks empty keeps one awake",
            Inputs { current: 8, ..BASE },
            1,
        ),
        (
            "nothing stays at rest, busy or not",
            Inputs {
                at_rest: true,
                depth: Some(depth(9, 9)),
                current: 5,
                busy: 5,
                min: 2,
                ..BASE
            },
            0,
        ),
        (
            "more messages than numbers",
            Inputs {
                depth: Some(depth(u64::MAX, 9)),
                max: u32::MAX,
                cap: u32::MAX,
                base: u32::MAX,
                ..BASE
            },
            u32::MAX,
        ),
    ];
    for (name, inputs, expected) in cases {
        assert_eq!(replicas(inputs), expected, "{name}");
    }
}

#[test]
fn workers_double_once_one_has_shown_that_it_works() {
    let base = Inputs {
        depth: Some(depth(500, 0)),
        recent_groups: None,
        min: 5,
        max: 300,
        trust: Trust::Unproven,
        base: 0,
        ..BASE
    };
    let next = |trust, base_replicas: u32, busy| {
        replicas(Inputs {
            trust,
            base: base_replicas,
            current: base_replicas,
            busy,
            ..base
        })
    };
    assert_eq!(next(Trust::Unproven, 0, 0), 1, "whatever the minimum is");
    assert_eq!(next(Trust::Unproven, 1, 1), 1);
    assert_eq!(
        next(Trust::Unproven, 8, 0),
        8,
        "those of an operator before stay"
    );
    let mut had = vec![0];
    while had.len() < 12 {
        had.push(next(Trust::Proven, had[had.len() - 1], 0));
    }
    assert_eq!(had, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    assert_eq!(next(Trust::Failing, 300, 0), 1);
    assert_eq!(next(Trust::Failing, 300, 2), 2, "busy ones stay");
    let twice_in_one_look = Inputs {
        trust: Trust::Proven,
        base: 2,
        current: 4,
        ..base
    };
    assert_eq!(replicas(twice_in_one_look), 4);
}

#[test]
fn pods_that_the_cluster_refuses_are_not_asked_for() {
    let base = Inputs {
        depth: Some(depth(500, 0)),
        recent_groups: Some(500),
        max: 300,
        base: 64,
        creatable: Some(40),
        current: 64,
        busy: 40,
        ..BASE
    };
    assert_eq!(replicas(base), 40);
    let none = Inputs {
        creatable: Some(0),
        busy: 0,
        ..base
    };
    assert_eq!(replicas(none), 1, "one tries whether it still is so");
}

#[test]
fn a_worker_goes_when_several_readings_agree() {
    let base = Inputs {
        depth: Some(depth(3, 0)),
        recent_groups: None,
        base: 10,
        current: 10,
        ..BASE
    };
    let cases = [
        ("not enough readings", base, 10),
        (
            "one of them was higher",
            Inputs {
                recent_groups: Some(7),
                ..base
            },
            7,
        ),
        (
            "higher than all workers",
            Inputs {
                recent_groups: Some(70),
                ..base
            },
            10,
        ),
        (
            "all agree",
            Inputs {
                recent_groups: Some(3),
                ..base
            },
            3,
        ),
        (
            "receipts are no estimate",
            Inputs {
                work_left: false,
                depth: Some(depth(0, 0)),
                ..base
            },
            0,
        ),
        (
            "a share that shrinks is not waited for",
            Inputs { cap: 4, ..base },
            4,
        ),
        (
            "nor is it where the depth is unknown",
            Inputs {
                cap: 4,
                depth: None,
                busy: 5,
                ..base
            },
            5,
        ),
    ];
    for (name, inputs, expected) in cases {
        assert_eq!(replicas(inputs), expected, "{name}");
    }
}

#[test]
fn whoever_else_scales_keeps_the_busy_workers() {
    let base = Inputs {
        depth: None,
        recent_groups: None,
        groups_per_worker: 4,
        min: 1,
        base: 10,
        current: 10,
        busy: 7,
        ..BASE
    };
    assert_eq!(bounds(base), Bounds { least: 7, most: 20 });
    let less = Inputs { cap: 3, ..base };
    assert_eq!(bounds(less), Bounds { least: 7, most: 7 });
    assert_eq!(allowed(less), 3);
    let idle = Inputs { busy: 0, ..base };
    assert_eq!(bounds(idle), Bounds { least: 1, most: 20 });
    let at_rest = Inputs {
        at_rest: true,
        ..base
    };
    assert_eq!(bounds(at_rest), Bounds::NONE);
}
