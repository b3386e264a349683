//! The alerts of the chart: none for a good run, and for a broken one those that name what is wrong.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::prometheus::{Alert, Prometheus, compare};
use super::scene::{
    OPERATOR, PATIENCE, RELEASE, Scene, archive_run, condition, denied, inventories, key, source,
    until,
};
use super::{InteropError, say};
use crate::client::ClientError;
use crate::proxy::{Fault, Operation, Seen};

pub(super) const GOOD: &str = "good";
const RUN: &str = "logs";
/// Objects of a good run, in groups of 4.
const OBJECTS: usize = 80;
const BROKEN_OBJECTS: usize = 8;
/// Time that S3 takes for an object, so that workers are scraped.
const LATENCY: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_secs(1);
/// More than the time that alerts of the trial are pending.
const SETTLE: Duration = Duration::from_secs(20);

/// Plays a run from its first to its last scrape, and watches the alerts all the time.
pub(super) async fn a_good_run_fires_none(
    scene: &Scene,
    prometheus: &Prometheus,
) -> Result<(), InteropError> {
    say("A good run");
    scene.team(GOOD).await?;
    scene.rule(source(GOOD), |seen| match seen.operation {
        Operation::GetObject => Fault::Delay(LATENCY),
        _ => Fault::Forward,
    });
    let manifest = scene.inventory(GOOD, OBJECTS).await?;
    let begun = Instant::now();
    scene
        .apply(&archive_run(GOOD, RUN, &manifest, &json!({})))
        .await?;
    let (mut fired, mut ended) = (BTreeSet::new(), None::<Instant>);
    while ended.is_none_or(|ended| ended.elapsed() < SETTLE) {
        if begun.elapsed() > PATIENCE {
            return Err(InteropError::NotInTime {
                what: format!("{GOOD}/{RUN} is Complete"),
                waited: PATIENCE,
            });
        }
        fired.extend(prometheus.firing().await?);
        let run = scene.get(&["archiverun", RUN, "--namespace", GOOD]).await?;
        let is_complete = condition(&run, "Complete").is_some_and(|it| it["status"] == "True");
        if is_complete && ended.is_none() {
            println!("    Complete after {} s", begun.elapsed().as_secs());
            ended = Some(Instant::now());
        }
        sleep(POLL).await;
    }
    // Those of the other parts of the trial are meant to be broken.
    fired.retain(|alert| [GOOD, RELEASE, ""].contains(&alert.namespace.as_str()));
    compare(&fired, &BTreeSet::new())?;
    println!("    no alert fired, {} s after its end", SETTLE.as_secs());
    Ok(())
}

/// A run that is broken in one way, in a namespace of its own.
struct Broken {
    team: &'static str,
    how: &'static str,
    damage: Damage,
    /// None if the run goes on by itself.
    alert: Option<&'static str>,
}

/// What is wrong with a run.
enum Damage {
    /// Fields of its spec, by its namespace.
    Spec(fn(&str) -> Value),
    /// What happens to requests to its source.
    Requests(fn(&Seen) -> Fault),
    /// So many of its objects are deleted after the inventory was written.
    Deleted(usize),
}

const BROKEN: [Broken; 7] = [
    Broken {
        team: "no-account",
        how: "its service account does not exist",
        damage: Damage::Spec(|_| json!({"serviceAccountName": "missing"})),
        alert: Some("S3BundlerRunRefused"),
    },
    Broken {
        team: "no-inventory",
        how: "there is no inventory yet",
        damage: Damage::Spec(|team| {
            let prefix = format!("s3://{}/nothing/", inventories(team));
            json!({"source": {"inventory": {"manifest": null, "latest": {"prefix": prefix}}}})
        }),
        alert: Some("S3BundlerInventoryMissing"),
    },
    Broken {
        team: "denied",
        how: "S3 denies its objects",
        damage: Damage::Requests(denied),
        alert: Some("S3BundlerRunStalled"),
    },
    Broken {
        team: "outage",
        how: "the source answers 503 to everything",
        damage: Damage::Requests(|_| Fault::FailBefore {
            status: 503,
            code: "ServiceUnavailable",
        }),
        alert: Some("S3BundlerOutage"),
    },
    Broken {
        team: "throttled",
        how: "S3 throttles every other request for its objects",
        damage: Damage::Requests(|seen| match seen.operation {
            Operation::GetObject if seen.nth % 2 == 0 => Fault::Throttle,
            _ => Fault::Forward,
        }),
        alert: None,
    },
    Broken {
        team: "half-gone",
        how: "half of its objects were deleted after the inventory",
        damage: Damage::Deleted(BROKEN_OBJECTS / 2),
        alert: Some("S3BundlerObjectsFailed"),
    },
    Broken {
        team: "all-gone",
        how: "all of its objects were deleted after the inventory",
        damage: Damage::Deleted(BROKEN_OBJECTS),
        alert: Some("S3BundlerRunFailed"),
    },
];

/// Plays broken runs side by side until each has its alert and no other.
pub(super) async fn broken_runs_fire_theirs(
    scene: &Scene,
    prometheus: &Prometheus,
) -> Result<(), InteropError> {
    say("Broken runs");
    for broken in &BROKEN {
        broken.begin(scene).await?;
    }
    let wanted: BTreeSet<_> = BROKEN
        .iter()
        .filter_map(|it| Some(Alert::new(it.alert?, it.team, RUN)))
        .collect();
    for alert in &wanted {
        fires(prometheus, alert).await?;
    }
    for whole in BROKEN.iter().filter(|it| it.alert.is_none()) {
        scene.condition(whole.team, RUN, "Complete", "True").await?;
    }
    // Alerts that should not fire have had the same time.
    sleep(SETTLE).await;
    compare(&of_trial(prometheus.firing().await?), &wanted)?;
    for Broken {
        team, how, alert, ..
    } in &BROKEN
    {
        println!("    {team}: {how}: {}", alert.unwrap_or("no alert"));
    }
    Ok(())
}

/// Scales the operator to zero.
pub(super) async fn a_missing_operator_fires_its_own(
    scene: &Scene,
    prometheus: &Prometheus,
) -> Result<(), InteropError> {
    say("No operator");
    let operator = ["scale", "deployment", OPERATOR, "--namespace", RELEASE];
    scene
        .kubectl(&[&operator[..], &["--replicas=0"]].concat())
        .await?;
    let down = Alert::new("S3BundlerOperatorDown", RELEASE, "");
    fires(prometheus, &down).await?;
    println!("    the operator was scaled to zero: S3BundlerOperatorDown");
    Ok(())
}

/// Leaves out the runs of other parts of the trial, which may be broken, too.
fn of_trial(fired: BTreeSet<Alert>) -> BTreeSet<Alert> {
    let teams: BTreeSet<_> = BROKEN
        .iter()
        .map(|it| it.team)
        .chain([GOOD, RELEASE])
        .collect();
    let fired = fired.into_iter();
    fired
        .filter(|alert| teams.contains(alert.namespace.as_str()))
        .collect()
}

async fn fires(prometheus: &Prometheus, alert: &Alert) -> Result<(), InteropError> {
    let Alert {
        name,
        namespace,
        run,
    } = alert;
    let what = format!("{name} fires for {namespace}/{run}");
    until(&what, async || {
        Ok(prometheus.firing().await?.contains(alert).then_some(()))
    })
    .await
}

impl Broken {
    async fn begin(&self, scene: &Scene) -> Result<(), InteropError> {
        let team = self.team;
        scene.team(team).await?;
        let manifest = scene.inventory(team, BROKEN_OBJECTS).await?;
        let mut spec = json!({});
        match self.damage {
            Damage::Spec(fields) => spec = fields(team),
            Damage::Requests(rule) => scene.rule(source(team), rule),
            Damage::Deleted(objects) => delete(scene, team, objects).await?,
        }
        scene.apply(&archive_run(team, RUN, &manifest, &spec)).await
    }
}

/// Deletes the first objects of a team's source.
async fn delete(scene: &Scene, team: &str, objects: usize) -> Result<(), InteropError> {
    for n in 0..objects {
        let deleted = scene
            .s3
            .delete_object()
            .bucket(source(team))
            .key(key(n))
            .send()
            .await;
        deleted.map_err(|error| ClientError {
            operation: "DeleteObject",
            target: format!("{}/{}", source(team), key(n)),
            cause: format!("{error:?}"),
        })?;
    }
    Ok(())
}
