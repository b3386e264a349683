//! Workers of all runs together: a large run makes room for another team's, and loses no group.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use s3bundler_testbed::proxy::{Fault, Operation};
use serde_json::json;

use super::scene::Scene;
use super::team::{Team, told};

/// Workers that the operator may give.
const MAX_WORKERS: i32 = 2;
/// Objects of the large run: more than are archived meanwhile.
const OBJECTS: usize = 1_000;
/// For as long as a worker can be seen with a group. Shorter than the drain of [`Team::archive_run`].
const GROUP_TAKES: Duration = Duration::from_secs(3);

/// How often each object was read.
type Reads = Arc<Mutex<BTreeMap<String, usize>>>;

pub async fn a_large_run_makes_room_for_another_team_and_ends_its_groups(scene: &Scene) {
    let (large, small) = (scene.team("large").await, scene.team("small").await);
    let (all, few) = (large.inventory(OBJECTS).await, small.inventory(20).await);
    scene
        .upgrade(json!({"operator": {"watchNamespaces": [], "maxWorkers": MAX_WORKERS}}))
        .await;
    let reads = Reads::default();
    count_reads(&large, &reads, GROUP_TAKES);
    small.rule("source", |_| Fault::Delay(GROUP_TAKES));
    let groups = json!({"group": {"maxObjects": 5}});
    large
        .apply(&large.archive_run("logs", &all, groups.clone()))
        .await;
    large
        .until("logs", "busy with all workers", |status| {
            status
                .workers
                .is_some_and(|it| (it.desired, it.busy) == (MAX_WORKERS, MAX_WORKERS))
        })
        .await;

    small.apply(&small.archive_run("logs", &few, groups)).await;
    small
        .until("logs", "at work", |status| {
            status.workers.is_some_and(|workers| workers.busy > 0)
        })
        .await;
    let left = large.status("logs").await;
    assert_ne!(told(&left, "Complete").map(|it| it.0), Some("True"));
    assert_eq!(left.workers.unwrap().desired, 1, "its share");
    count_reads(&large, &reads, Duration::ZERO);
    small.heal();
    for (team, objects) in [(&large, OBJECTS), (&small, 20)] {
        let status = team.condition("logs", "Complete", "True", "Complete").await;
        let archived = status.objects.unwrap().archived;
        assert_eq!(usize::try_from(archived), Ok(objects));
        team.assert_verified("logs").await;
    }
    let reads = reads.lock().unwrap();
    let again: Vec<_> = reads.iter().filter(|(_, reads)| **reads > 1).collect();
    assert_eq!(reads.len(), OBJECTS);
    assert!(again.is_empty(), "a group was broken off: {again:?}");
}

/// Counts how often each object of a team is read, which takes so long.
fn count_reads(team: &Team<'_>, reads: &Reads, takes: Duration) {
    let reads = Arc::clone(reads);
    team.rule("source", move |seen| {
        if seen.operation == Operation::GetObject {
            *reads.lock().unwrap().entry(seen.key()).or_default() += 1;
        }
        Fault::Delay(takes)
    });
}
