use proptest::prelude::*;

use super::*;

fn demand(namespace: &str, workers: u32) -> Demand {
    Demand {
        namespace: namespace.to_owned(),
        terms: NamespaceTerms::default(),
        workers,
    }
}

fn with(weight: u32, max_workers: Option<u32>, demand: Demand) -> Demand {
    Demand {
        terms: NamespaceTerms {
            weight,
            max_workers,
        },
        ..demand
    }
}

fn shares(most: u32, demands: &[(&str, Demand)]) -> Vec<u32> {
    let shares = fair_shares(most, demands.iter().map(|(run, demand)| (*run, demand)));
    demands.iter().map(|(run, _)| shares[run]).collect()
}

/// What it is about, the workers, the runs, and their shares.
type Case = (
    &'static str,
    u32,
    Vec<(&'static str, Demand)>,
    &'static [u32],
);

#[test]
fn namespaces_share_first_and_then_their_runs() {
    let cases: &[Case] = &[
        (
            "enough for all",
            10,
            vec![("x", demand("a", 3)), ("y", demand("b", 7))],
            &[3, 7],
        ),
        (
            "a large run leaves half to another team",
            10,
            vec![("x", demand("a", 300)), ("y", demand("b", 300))],
            &[5, 5],
        ),
        (
            "two runs of one team are not two teams",
            12,
            vec![
                ("x", demand("a", 300)),
                ("y", demand("a", 300)),
                ("z", demand("b", 300)),
            ],
            &[3, 3, 6],
        ),
        (
            "what a small run does not want goes to the others",
            12,
            vec![
                ("x", demand("a", 1)),
                ("y", demand("b", 300)),
                ("z", demand("c", 300)),
            ],
            &[1, 6, 5],
        ),
        (
            "weights",
            12,
            vec![
                ("x", with(2, None, demand("a", 300))),
                ("y", demand("b", 300)),
            ],
            &[8, 4],
        ),
        (
            "a namespace's most",
            12,
            vec![
                ("x", with(1, Some(2), demand("a", 300))),
                ("y", demand("b", 300)),
            ],
            &[2, 10],
        ),
        (
            "a weight of nothing is one",
            2,
            vec![("x", with(0, None, demand("a", 9))), ("y", demand("b", 9))],
            &[1, 1],
        ),
        (
            "fewer workers than runs",
            1,
            vec![("x", demand("a", 1)), ("y", demand("b", 1))],
            &[1, 0],
        ),
        ("none", 0, vec![("x", demand("a", 1))], &[0]),
        (
            "more than numbers",
            u32::MAX,
            vec![("x", demand("a", u32::MAX)), ("y", demand("a", u32::MAX))],
            &[1 << 31, (1 << 31) - 1],
        ),
    ];
    for (name, most, demands, expected) in cases {
        assert_eq!(shares(*most, demands), *expected, "{name}");
    }
}

fn demands() -> impl Strategy<Value = Vec<(String, Demand)>> {
    let demand = (0..4_u8, 0..4_u32, 0..60_u32).prop_map(|(namespace, weight, workers)| {
        // A namespace has one weight.
        with(
            weight.max(u32::from(namespace)),
            None,
            demand(&format!("n{namespace}"), workers),
        )
    });
    prop::collection::vec(demand, 0..12).prop_map(|demands| {
        let named = |(n, demand)| (format!("run{n:02}"), demand);
        demands.into_iter().enumerate().map(named).collect()
    })
}

proptest! {
    #[test]
    fn no_worker_is_given_twice_or_left_over(most in 0..200_u32, demands in demands()) {
        let shares = fair_shares(most, demands.iter().map(|(run, demand)| (run.as_str(), demand)));
        let given: u32 = shares.values().sum();
        let wanted: u32 = demands.iter().map(|(_, demand)| demand.workers).sum();
        prop_assert_eq!(given, most.min(wanted));
        for (run, demand) in &demands {
            prop_assert!(shares[run.as_str()] <= demand.workers);
        }
    }

    #[test]
    fn no_run_of_a_namespace_has_two_more_than_one_that_wants_more(most in 0..200_u32, demands in demands()) {
        let shares = fair_shares(most, demands.iter().map(|(run, demand)| (run.as_str(), demand)));
        for (a, one) in &demands {
            for (b, other) in &demands {
                let is_short = shares[b.as_str()] < other.workers;
                if one.namespace == other.namespace && is_short {
                    prop_assert!(shares[a.as_str()] <= shares[b.as_str()] + 1, "{a} {b} {shares:?}");
                }
            }
        }
    }
}
