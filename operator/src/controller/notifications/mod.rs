//! What the operator sends when a run ends: a CloudEvent to each sink that its owner configured. Off
//! unless there is a sink.
//!
//! ```text
//! reconcile: the end of a run ──► status.notifications: Pending for each sink    (announcement, one write with the end)
//!                                         │ submit, also after a restart
//!                                         ▼
//! a lane for each sink: queue ──► read the run ──► event ──► POST ──► 2xx ──► status.notifications: Delivered
//!                         ▲                                   └─ else ─► pause, then the next one
//!                         └─────────── to the end ◄───────────┘
//! ```
//!
//! The status is the only memory: what is Pending in it is delivered, at least once, by whichever
//! operator comes to it. A reconcile never waits for a sink, and one sink never for another
//! (docs/decisions/notifications.md).

mod announcement;
mod event;
mod queue;
mod sink;

use std::sync::Arc;

use futures_util::future::join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use s3bundler_common::causes::with_causes;
use serde_json::json;

use self::event::CloudEvent;
use self::queue::{Item, Queue};
use self::sink::Undelivered;
use super::backoff::pause;
use crate::crd::{ArchiveRun, ArchiveRunStatus, NotificationState, NotificationStatus};
use crate::metrics::NotificationMetrics;
use crate::queues::ClusterName;

pub(crate) use self::announcement::{announce, time_to_wait};
pub use self::sink::{Sink, SinkError};

/// Failed attempts after which the run shows why.
const ATTEMPTS_UNTIL_SHOWN: u32 = 3;
/// Writes of a result that another writer of the status may be faster than.
const WRITES: u32 = 5;

/// Delivers the notifications of runs that ended. Cheap to clone.
#[derive(Clone)]
pub struct Notifier(Arc<Inner>);

struct Inner {
    client: Client,
    recorder: Recorder,
    cluster: ClusterName,
    metrics: NotificationMetrics,
    sinks: Vec<String>,
    lanes: Vec<Lane>,
    /// For sinks that the operator does not have any more.
    removed: Lane,
}

/// The way to one sink.
struct Lane {
    /// `None`: notifications that nobody gets.
    sink: Option<Sink>,
    queue: Queue,
}

impl Lane {
    fn new(sink: Option<Sink>) -> Self {
        let queue = Queue::default();
        Self { sink, queue }
    }

    fn name(&self) -> Option<&str> {
        self.sink.as_ref().map(Sink::name)
    }
}

/// What became of an item that needs no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Delivered,
    /// The run does not exist any more, or its status says that nothing is pending.
    NotWanted,
    GivenUp,
}

impl Notifier {
    /// One for these sinks. It delivers while [`Notifier::run`] does.
    pub fn new(
        sinks: Vec<Sink>,
        client: Client,
        recorder: Recorder,
        cluster: ClusterName,
        metrics: NotificationMetrics,
    ) -> Self {
        let names: Vec<_> = sinks.iter().map(|sink| sink.name().to_owned()).collect();
        for name in &names {
            metrics.pending(name, 0);
        }
        Self(Arc::new(Inner {
            client,
            recorder,
            cluster,
            metrics,
            sinks: names,
            lanes: sinks.into_iter().map(|it| Lane::new(Some(it))).collect(),
            removed: Lane::new(None),
        }))
    }

    /// Names of the sinks.
    pub(crate) fn sinks(&self) -> &[String] {
        &self.0.sinks
    }

    /// Has the pending notifications of a run delivered. Does nothing about those that are queued.
    pub(crate) fn submit(&self, metadata: &ObjectMeta, status: &ArchiveRunStatus) {
        for sink in announcement::pending(status) {
            let lane = self.0.lane(sink);
            if lane.queue.add(Item::new(metadata, sink)) {
                self.0.pending(lane, 1);
            }
        }
    }

    /// Delivers, for ever.
    pub async fn run(&self) {
        let lanes = self.0.lanes.iter().chain([&self.0.removed]);
        join_all(lanes.map(|lane| self.0.serve(lane))).await;
    }
}

impl Inner {
    fn lane(&self, sink: &str) -> &Lane {
        let named = self.lanes.iter().find(|lane| lane.name() == Some(sink));
        named.unwrap_or(&self.removed)
    }

    fn pending(&self, lane: &Lane, more: i64) {
        if let Some(name) = lane.name() {
            self.metrics.pending(name, more);
        }
    }

    /// Delivers what comes to a lane, one after the other, for ever. After a failure the next item
    /// is another one: one that its sink refuses does not keep the others back.
    async fn serve(&self, lane: &Lane) {
        let mut failures: u32 = 0;
        loop {
            let mut item = lane.queue.next().await;
            match Box::pin(self.deliver(lane, &mut item)).await {
                Ok(settled) => {
                    tracing::info!(
                        sink = item.sink,
                        namespace = item.namespace,
                        run = item.name,
                        ?settled,
                        "notification of the end of a run"
                    );
                    lane.queue.settle(&item);
                    self.pending(lane, -1);
                    if settled == Settled::Delivered {
                        failures = 0;
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let pause = pause(failures);
                    tracing::warn!(sink = item.sink, namespace = item.namespace, run = item.name, %error, again_seconds = pause.as_secs(), "the notification of the end of a run is not delivered");
                    lane.queue.put_back(item);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Sends one notification, unless the run itself says that it is not pending.
    async fn deliver(&self, lane: &Lane, item: &mut Item) -> Result<Settled, DeliveryError> {
        let Some(run) = self.read(item).await? else {
            return Ok(Settled::NotWanted);
        };
        let status = run.status.clone().unwrap_or_default();
        if announcement::pending(&status).all(|sink| sink != item.sink) {
            return Ok(Settled::NotWanted);
        }
        let Some(event) = CloudEvent::of(&run, &status, &self.cluster) else {
            return Ok(Settled::NotWanted);
        };
        let Some(sink) = &lane.sink else {
            let words = "the operator has no sink of this name any more";
            self.record(run, item, NotificationState::GivenUp, Some(words))
                .await?;
            return Ok(Settled::GivenUp);
        };
        let sent = sink.post(&event).await;
        self.metrics.sent(sink.name(), Undelivered::outcome(&sent));
        let Err(undelivered) = sent else {
            self.record(run, item, NotificationState::Delivered, None)
                .await?;
            return Ok(Settled::Delivered);
        };
        item.attempts = item.attempts.saturating_add(1);
        let words = undelivered.to_string();
        if announcement::is_late(&status, Timestamp::now()) {
            self.metrics.gave_up(sink.name());
            self.tell(&run, "NotificationGivenUp", &item.sink, &words)
                .await;
            self.record(run, item, NotificationState::GivenUp, Some(&words))
                .await?;
            return Ok(Settled::GivenUp);
        }
        if item.attempts == ATTEMPTS_UNTIL_SHOWN {
            self.tell(&run, "NotificationFailed", &item.sink, &words)
                .await;
            self.record(run, item, NotificationState::Pending, Some(&words))
                .await?;
        }
        Err(undelivered.into())
    }

    /// The run of an item; `None` if it does not exist any more.
    async fn read(&self, item: &Item) -> Result<Option<ArchiveRun>, DeliveryError> {
        let run = self.runs(item).get_opt(&item.name).await?;
        Ok(run.filter(|run| run.uid().as_deref() == Some(&item.uid)))
    }

    /// Writes what became of a notification, over the status that was read or a newer one.
    async fn record(
        &self,
        mut run: ArchiveRun,
        item: &Item,
        state: NotificationState,
        message: Option<&str>,
    ) -> Result<(), DeliveryError> {
        let is_over = state != NotificationState::Pending;
        let result = NotificationStatus {
            sink: item.sink.clone(),
            state,
            time: is_over.then(|| Time(Timestamp::now())),
            message: message.map(str::to_owned),
        };
        let (runs, mut conflict) = (self.runs(item), None);
        for _ in 0..WRITES {
            let status = run.status.clone().unwrap_or_default();
            let patch = Patch::Merge(json!({
                "metadata": {"resourceVersion": run.resource_version()},
                "status": {"notifications": announcement::with(status.notifications, &result)},
            }));
            let written = runs
                .patch_status(&item.name, &PatchParams::default(), &patch)
                .await;
            match written {
                Err(kube::Error::Api(answer)) if answer.code == 409 => {
                    conflict = Some(kube::Error::Api(answer));
                }
                Err(kube::Error::Api(answer)) if answer.code == 404 => return Ok(()),
                written => return Ok(written.map(drop)?),
            }
            match self.read(item).await? {
                Some(newer) => run = newer,
                None => return Ok(()),
            }
        }
        Err(conflict.map_or(DeliveryError::Unrecorded, DeliveryError::from))
    }

    /// An event of the run, for whom its end matters. One that is lost is no reason to stop.
    async fn tell(&self, run: &ArchiveRun, reason: &str, sink: &str, words: &str) {
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(format!(
                "sink {sink} does not accept the notification of the run's end: {words}"
            )),
            action: "Notify".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &run.object_ref(&())).await {
            tracing::debug!(%error, "event was not written");
        }
    }

    fn runs(&self, item: &Item) -> Api<ArchiveRun> {
        Api::namespaced(self.client.clone(), &item.namespace)
    }
}

/// Why an attempt has to be repeated.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error("{undelivered}{}", cause(.undelivered))]
    Undelivered { undelivered: Undelivered },
    #[error("the run cannot be read or written: {}", with_causes(.0))]
    Kubernetes(#[from] kube::Error),
    #[error("the result could not be written")]
    Unrecorded,
}

impl From<Undelivered> for DeliveryError {
    fn from(undelivered: Undelivered) -> Self {
        Self::Undelivered { undelivered }
    }
}

/// What only the log says: it may name hosts of the operator's network.
fn cause(undelivered: &Undelivered) -> String {
    undelivered
        .cause()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default()
}
