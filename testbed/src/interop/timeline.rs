//! A run that KEDA scales, poll by poll.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::InteropError;
use super::scene::{PATIENCE, Scene, condition};

const POLL: Duration = Duration::from_millis(500);

/// A range of replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Range {
    fn of(spec: &Value, least: &str, most: &str) -> Self {
        Self {
            least: number(&spec[least]),
            most: number(&spec[most]),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}..{}", self.least, self.most)
    }
}

/// What a run, its Deployment, its ScaledObject and its HPA show at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Poll {
    /// The column STATUS.
    pub(super) status: String,
    pub(super) progress: String,
    /// Replicas of the Deployment; none if there is no Deployment.
    pub(super) replicas: Option<u64>,
    /// Workers that are ready, which are those that hold a group.
    pub(super) busy: u64,
    /// The ScaledObject's range, and whether it is paused at zero.
    pub(super) scaled_object: Option<(Range, bool)>,
    /// The HPA's range, and the replicas that it wants.
    pub(super) hpa: Option<(Range, u64)>,
    /// The metric that the HPA read from KEDA's adapter, for each replica: a Kubernetes quantity.
    pub(super) metric: Option<String>,
}

impl Poll {
    pub(super) const TITLES: &'static str =
        "STATUS            GROUPS   REPLICAS  BUSY  SCALEDOBJECT  HPA           METRIC";

    /// Of the objects that were found.
    pub(super) fn of(objects: &Value) -> Self {
        let mut poll = Self::default();
        let list = objects["items"].as_array();
        for object in list.map_or(std::slice::from_ref(objects), Vec::as_slice) {
            poll.record(object);
        }
        poll
    }

    fn record(&mut self, object: &Value) {
        let (spec, status) = (&object["spec"], &object["status"]);
        match object["kind"].as_str() {
            Some("ArchiveRun") => {
                self.status = text(condition(object, "Ready").map(|it| &it["reason"]));
                self.progress = text(Some(&status["progress"]));
            }
            Some("Deployment") => {
                self.replicas = Some(number(&spec["replicas"]));
                self.busy = number(&status["readyReplicas"]);
            }
            Some("ScaledObject") => {
                let pause =
                    &object["metadata"]["annotations"]["autoscaling.keda.sh/paused-replicas"];
                let range = Range::of(spec, "minReplicaCount", "maxReplicaCount");
                self.scaled_object = Some((range, pause == "0"));
            }
            Some("HorizontalPodAutoscaler") => {
                let range = Range::of(spec, "minReplicas", "maxReplicas");
                self.hpa = Some((range, number(&status["desiredReplicas"])));
                let current = &status["currentMetrics"][0]["external"]["current"];
                self.metric = current["averageValue"].as_str().map(str::to_owned);
            }
            _ => {}
        }
    }

    pub(super) fn has_workers(&self, workers: u64) -> bool {
        self.replicas.unwrap_or_default() >= workers
    }

    /// Whether the metric alone would leave fewer workers than are busy.
    pub(super) fn needs_floor(&self, groups_per_worker: u64) -> bool {
        let metric = self.metric.as_deref().and_then(thousandths);
        metric.is_some_and(|metric| {
            let groups = metric * self.replicas.unwrap_or_default();
            groups.div_ceil(1000 * groups_per_worker) < self.busy
        })
    }

    /// Whether nothing is left of the workers and of their scaling.
    pub(super) fn is_over(&self) -> bool {
        !self.has_workers(1) && self.scaled_object.is_none() && self.hpa.is_none()
    }
}

impl fmt::Display for Poll {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dash = || "-".to_owned();
        let replicas = self.replicas.map_or_else(dash, |it| it.to_string());
        let scaled_object = self.scaled_object.map_or_else(dash, |(range, is_paused)| {
            if is_paused {
                "paused at 0".to_owned()
            } else {
                range.to_string()
            }
        });
        let hpa = self
            .hpa
            .map_or_else(dash, |(range, wanted)| format!("{range} wants {wanted}"));
        write!(
            formatter,
            "{:<16}  {:<7}  {replicas:>8}  {:>4}  {scaled_object:<12}  {hpa:<12}  {}",
            self.status,
            self.progress,
            self.busy,
            self.metric.as_deref().unwrap_or("-"),
        )
    }
}

/// A quantity such as `7` or `500m` in thousandths.
fn thousandths(quantity: &str) -> Option<u64> {
    match quantity.strip_suffix('m') {
        Some(thousandths) => thousandths.parse().ok(),
        None => quantity.parse::<u64>().ok()?.checked_mul(1000),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Polls a run, prints a line if it has changed, and keeps all of them.
pub(super) struct Timeline<'a> {
    scene: &'a Scene,
    team: &'a str,
    run: &'a str,
    begun: Instant,
    pub(super) polls: Vec<Poll>,
}

impl<'a> Timeline<'a> {
    pub(super) fn of(scene: &'a Scene, team: &'a str, run: &'a str) -> Self {
        Self {
            scene,
            team,
            run,
            begun: Instant::now(),
            polls: Vec::new(),
        }
    }

    /// Polls until the run is as wanted.
    pub(super) async fn until(
        &mut self,
        what: &str,
        is_wanted: impl Fn(&Poll) -> bool,
    ) -> Result<(), InteropError> {
        let begun = Instant::now();
        loop {
            let poll = self.poll().await?;
            if self.polls.last() != Some(&poll) {
                let seconds = self.begun.elapsed().as_secs();
                println!("    {:<16} {seconds:>4} s  {poll}", self.team);
                self.polls.push(poll.clone());
            }
            if is_wanted(&poll) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let what = format!("{}/{}: {what}", self.team, self.run);
                return Err(InteropError::NotInTime {
                    what,
                    waited: PATIENCE,
                });
            }
            sleep(POLL).await;
        }
    }

    async fn poll(&self) -> Result<Poll, InteropError> {
        let worker = format!("{}-worker", self.run);
        let objects = [
            format!("archiverun/{}", self.run),
            format!("deployment/{worker}"),
            format!("scaledobject/{worker}"),
            format!("horizontalpodautoscaler/keda-hpa-{worker}"),
        ];
        let mut arguments: Vec<&str> = objects.iter().map(String::as_str).collect();
        arguments.extend(["--namespace", self.team, "--ignore-not-found"]);
        Ok(Poll::of(&self.scene.get(&arguments).await?))
    }
}

/// The names of pods that were ready, and so held a group, when they were asked to end.
pub(super) fn ended_while_busy(pods: &[Value]) -> Vec<&str> {
    let mut ended = std::collections::BTreeSet::new();
    let mut busy = Vec::new();
    for pod in pods {
        let metadata = &pod["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        if metadata["deletionTimestamp"].is_null() || !ended.insert(name) {
            continue;
        }
        if condition(pod, "Ready").is_some_and(|ready| ready["status"] == "True") {
            busy.push(name);
        }
    }
    busy
}

#[cfg(test)]
mod tests;
