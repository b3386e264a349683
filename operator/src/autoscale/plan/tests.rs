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
