//! How the workers that the operator may give are divided: max-min fairness over namespaces by their
//! weights, then over the runs of each. Pure (docs/decisions/workers-of-all-runs.md).
//!
//! ```text
//! 12 workers   team-a (weight 2) wants 20 ──► 8 ──► run x wants 1  ──► 1
//!                                                   run y wants 19 ──► 7
//!              team-b (weight 1) wants 4  ──► 4 ──► run z wants 4  ──► 4
//! ```

use std::collections::BTreeMap;

/// What the policy says of the workers of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NamespaceTerms {
    /// How many parts of what is scarce it gets, where a namespace of weight 1 gets one.
    pub(crate) weight: u32,
    /// Workers of its runs together, at most.
    pub(crate) max_workers: Option<u32>,
}

impl Default for NamespaceTerms {
    fn default() -> Self {
        Self {
            weight: 1,
            max_workers: None,
        }
    }
}

/// What a run asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) namespace: String,
    pub(crate) terms: NamespaceTerms,
    /// Workers that it would have if it were alone.
    pub(crate) workers: u32,
}

/// Returns the share of each run, by its UID. Their sum is at most `most`, and no worker is left over
/// that a run wants and may have.
pub(crate) fn fair_shares<'a>(
    most: u32,
    demands: impl IntoIterator<Item = (&'a str, &'a Demand)>,
) -> BTreeMap<&'a str, u32> {
    let mut namespaces: BTreeMap<&str, Namespace<'_>> = BTreeMap::new();
    for (run, demand) in demands {
        let namespace = namespaces.entry(&demand.namespace).or_default();
        // Runs may have seen different policies: the newest is not known, so the larger counts.
        namespace.weight = namespace.weight.max(demand.terms.weight.max(1));
        namespace.max_workers = match (namespace.max_workers, demand.terms.max_workers) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        namespace.runs.push((run, demand.workers));
    }
    let wanted: Vec<_> = namespaces.values().map(Namespace::claim).collect();
    let mut shares = BTreeMap::new();
    for (namespace, share) in namespaces.values().zip(divide(most, &wanted)) {
        let wanted: Vec<_> = namespace
            .runs
            .iter()
            .map(|(_, workers)| Claim {
                wanted: *workers,
                weight: 1,
            })
            .collect();
        let runs = namespace.runs.iter().map(|(run, _)| *run);
        shares.extend(runs.zip(divide(share, &wanted)));
    }
    shares
}

#[derive(Default)]
struct Namespace<'a> {
    weight: u32,
    max_workers: Option<u32>,
    runs: Vec<(&'a str, u32)>,
}

impl Namespace<'_> {
    fn claim(&self) -> Claim {
        let wanted = self
            .runs
            .iter()
            .fold(0, |sum: u32, (_, workers)| sum.saturating_add(*workers));
        Claim {
            wanted: wanted.min(self.max_workers.unwrap_or(u32::MAX)),
            weight: self.weight,
        }
    }
}

/// What one party of a division wants.
#[derive(Debug, Clone, Copy)]
struct Claim {
    wanted: u32,
    weight: u32,
}

/// Divides `total` by weights, to each claim no more than it wants. What a claim leaves of its part
/// goes to the others.
fn divide(total: u32, claims: &[Claim]) -> Vec<u32> {
    let mut shares = vec![0; claims.len()];
    // Those who want least for their weight come first: what they leave goes to all that follow.
    let mut order: Vec<usize> = (0..claims.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&claims[a], &claims[b]);
        let scaled = |it: &Claim, other: &Claim| u64::from(it.wanted) * u64::from(other.weight);
        scaled(a, b).cmp(&scaled(b, a))
    });
    let mut left = u64::from(total);
    let mut weights: u64 = claims.iter().map(|it| u64::from(it.weight)).sum();
    for at in order {
        let Claim { wanted, weight } = claims[at];
        // Rounded up, so that no worker is left over: those who want most for their weight come
        // last, and make up for it.
        let part = (left * u64::from(weight)).div_ceil(weights.max(1));
        let share = u64::from(wanted).min(part).min(left);
        shares[at] = u32::try_from(share).expect("no more than is wanted");
        left -= share;
        weights -= u64::from(weight);
    }
    shares
}

#[cfg(test)]
mod tests;
