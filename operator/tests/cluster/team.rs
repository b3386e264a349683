//! A namespace with runs in it, and what they have come to.

use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use s3bundler_operator::crd::{ArchiveRun, ArchiveRunStatus};
use s3bundler_testbed::cli::{Outcome, Program};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, inventory_of_bucket};
use s3bundler_testbed::proxy::{Fault, Seen};
use serde_json::{Value, json};

use super::asked;
use super::patience::{PATIENCE, POLL, Patience, eventually};
use super::scene::{CLUSTER, Scene, program};

/// A trouble that a person has to know of is in a condition by then.
pub const SHOWN: Duration = Duration::from_mins(1);
/// Maximum of `spec.retry.maxObjectPasses`.
const MOST_PASSES: i32 = 10;
/// A request that fails for the time being.
pub const FAILING: Fault = Fault::FailBefore {
    status: 500,
    code: "InternalError",
};

/// A namespace, and three buckets named after it.
pub struct Team<'a> {
    pub scene: &'a Scene,
    pub name: String,
}

impl Team<'_> {
    pub fn bucket(&self, kind: &str) -> String {
        format!("{}-{kind}", self.name)
    }

    /// Fills the source with this many small objects; gives their inventory's manifest.
    pub async fn inventory(&self, objects: usize) -> String {
        let all = (0..objects).map(|n| {
            (
                object_key(n),
                format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(n % 700)),
            )
        });
        client::put_objects(&self.scene.s3, &self.bucket("source"), all)
            .await
            .unwrap();
        let inventory = Inventory::new(self.bucket("source"), self.bucket("inventory"));
        inventory_of_bucket(&self.scene.s3, &inventory)
            .await
            .unwrap()
            .manifest
    }

    /// A run of an inventory, with groups of 10; `spec` is merged over it. Objects with a temporary
    /// failure are retried as often as possible: see [`Self::fail_from`].
    pub fn archive_run(&self, name: &str, manifest: &str, spec: Value) -> Value {
        let mut run = json!({
            "apiVersion": "archive.s3bundler.dev/v1alpha1", "kind": "ArchiveRun",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {
                "source": {"inventory": {"manifest": manifest}},
                "destination": {"bucket": self.bucket("archive"), "prefix": "arch"},
                "group": {"maxObjects": 10},
                "retry": {"maxObjectPasses": MOST_PASSES},
                "credentialsSecretRef": {"name": "aws"},
                "workers": {"scaling": {"maxReplicas": 3}, "drainSeconds": 5},
            },
        });
        merge(&mut run["spec"], spec);
        run
    }

    pub async fn apply(&self, run: &Value) {
        self.scene.apply(run).await;
    }

    pub fn runs(&self) -> Api<ArchiveRun> {
        Api::namespaced(self.scene.client.clone(), &self.name)
    }

    pub async fn create(&self, run: &Value) {
        let run: ArchiveRun = serde_json::from_value(run.clone()).unwrap();
        let (runs, params) = (self.runs(), PostParams::default());
        match asked::api(|| runs.create(&params, &run)).await {
            // It was made by a request whose answer was lost.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            created => drop(created.unwrap()),
        }
    }

    pub async fn status(&self, run: &str) -> ArchiveRunStatus {
        let runs = self.runs();
        asked::api(|| runs.get(run))
            .await
            .unwrap()
            .status
            .unwrap_or_default()
    }

    /// Asks for a run to be deleted.
    pub async fn delete(&self, run: &str) {
        let (runs, params) = (self.runs(), DeleteParams::default());
        match asked::api(|| runs.delete(run, &params)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            deleted => drop(deleted.unwrap()),
        }
    }

    /// Waits until a run is gone.
    pub async fn gone(&self, run: &str, within: Duration) {
        let (runs, begun) = (self.runs(), Instant::now());
        while asked::api(|| runs.get_opt(run)).await.unwrap().is_some() {
            assert!(
                begun.elapsed() < within,
                "{}/{run} is still there after {within:?}",
                self.name
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until nothing keeps a run any more.
    pub async fn without_finalizer(&self, run: &str) {
        let (runs, begun) = (self.runs(), Instant::now());
        while asked::api(|| runs.get(run))
            .await
            .unwrap()
            .metadata
            .finalizers
            .is_some()
        {
            assert!(
                begun.elapsed() < PATIENCE,
                "{}/{run} still has a finalizer",
                self.name
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the status of a run is as wanted, for as long as it changes.
    pub async fn until(
        &self,
        run: &str,
        what: &str,
        wanted: impl Fn(&ArchiveRunStatus) -> bool,
    ) -> ArchiveRunStatus {
        let mut patience = Patience::default();
        loop {
            let status = self.status(run).await;
            if wanted(&status) {
                return status;
            }
            let what = format!("{}/{run} is not {what}", self.name);
            patience.wait(status, what).await;
        }
    }

    /// Waits until groups of a run are archived.
    pub async fn archiving(&self, run: &str) -> ArchiveRunStatus {
        self.until(run, "archiving", |status| {
            status.groups.is_some_and(|groups| groups.committed > 0)
        })
        .await
    }

    /// Waits until the grouper of a run has sent all groups and its Job is Complete.
    pub async fn grouped(&self, run: &str) {
        let jobs: Api<Job> = Api::namespaced(self.scene.client.clone(), &self.name);
        let name = format!("{run}-grouper");
        eventually(
            format!("{}/{name} is not complete", self.name),
            async || {
                let job = asked::api(|| jobs.get_opt(&name)).await.unwrap()?;
                let conditions = job.status?.conditions?;
                let is_complete = |it: &JobCondition| it.type_ == "Complete" && it.status == "True";
                conditions.iter().any(is_complete).then_some(())
            },
        )
        .await;
    }

    /// Waits for a condition: its status, and its reason.
    pub async fn condition(
        &self,
        run: &str,
        name: &str,
        status: &str,
        reason: &str,
    ) -> ArchiveRunStatus {
        let what = format!("{name}={status}/{reason}");
        self.until(run, &what, |it| told(it, name) == Some((status, reason)))
            .await
    }

    /// The same, where it is a trouble that has to show itself: a minute after its cause at the
    /// latest.
    pub async fn shows(
        &self,
        cause: Instant,
        run: &str,
        name: &str,
        reason: &str,
    ) -> ArchiveRunStatus {
        self.shows_as(cause, run, name, "True", reason).await
    }

    /// The same of a condition that is not True where it is bad.
    pub async fn shows_as(
        &self,
        cause: Instant,
        run: &str,
        name: &str,
        value: &str,
        reason: &str,
    ) -> ArchiveRunStatus {
        let status = self.condition(run, name, value, reason).await;
        let took = cause.elapsed();
        println!(
            "{}/{run}: {name}/{reason} {:.1} s after its cause",
            self.name,
            took.as_secs_f64()
        );
        assert!(
            took < SHOWN,
            "{}/{run}: {name}/{reason} only {took:?} after its cause",
            self.name
        );
        status
    }

    /// Waits for an event of a run; returns its message.
    pub async fn event(&self, run: &str, reason: &str) -> String {
        let of_run = format!("--field-selector=reason={reason},involvedObject.name={run}");
        let events = [
            "get",
            "events",
            "-n",
            &self.name,
            &of_run,
            "-o",
            "jsonpath={.items[*].message}",
        ];
        let what = format!("{}/{run} has no event {reason}", self.name);
        eventually(what, async || {
            let told = self.scene.kubectl(&events).await.unwrap();
            (!told.is_empty()).then_some(told)
        })
        .await
    }

    pub async fn patch(&self, run: &str, patch: Value) {
        let (runs, params, patch) = (self.runs(), PatchParams::default(), Patch::Merge(patch));
        asked::api(|| runs.patch(run, &params, &patch))
            .await
            .unwrap();
    }

    /// Changes what the operator has said.
    pub async fn patch_status(&self, run: &str, status: Value) {
        let (runs, params, patch) = (
            self.runs(),
            PatchParams::default(),
            Patch::Merge(json!({"status": status})),
        );
        asked::api(|| runs.patch_status(run, &params, &patch))
            .await
            .unwrap();
    }

    /// Reading the inventory's objects from this number on fails until [`Self::heal`]. A worker tries
    /// such an object for half a minute at least before its group ends without it, and retry passes
    /// take it again. [`Self::archive_run`] sets the maximum number of passes, so the run cannot
    /// complete for at least 5 minutes.
    pub fn fail_from(&self, first: usize) {
        let first = object_key(first);
        self.rule("source", move |seen| {
            if seen.key() >= first {
                FAILING
            } else {
                Fault::Forward
            }
        });
    }

    /// All objects can be read again.
    pub fn heal(&self) {
        self.rule("source", |_| Fault::Forward);
    }

    /// From now on this decides what becomes of the requests of groupers and workers to one of the
    /// buckets.
    pub fn rule(&self, kind: &str, rule: impl Fn(&Seen) -> Fault + Send + Sync + 'static) {
        self.scene.rule(self.bucket(kind), rule);
    }

    /// Denies everybody an action on some keys of a bucket, by its policy, and nothing else any
    /// more.
    pub async fn deny(&self, kind: &str, action: &str, keys: &str) {
        let bucket = self.bucket(kind);
        let resource = format!("arn:aws:s3:::{bucket}/{keys}");
        let statement =
            json!({"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource});
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        self.scene
            .s3
            .put_bucket_policy()
            .bucket(bucket)
            .policy(policy)
            .send()
            .await
            .unwrap();
    }

    /// Takes the bucket's policy away.
    pub async fn allow(&self, kind: &str) {
        self.scene
            .s3
            .delete_bucket_policy()
            .bucket(self.bucket(kind))
            .send()
            .await
            .unwrap();
    }

    /// Waits until a pod is as wanted.
    pub async fn pod(&self, what: &str, wanted: impl Fn(&Pod) -> bool) {
        let pods: Api<Pod> = Api::namespaced(self.scene.client.clone(), &self.name);
        let all = ListParams::default();
        eventually(format!("{}: no {what}", self.name), async || {
            let found = asked::api(|| pods.list(&all)).await.unwrap();
            found.iter().any(&wanted).then_some(())
        })
        .await;
    }

    /// Waits until a container is as wanted.
    pub async fn container(&self, what: &str, wanted: impl Fn(&ContainerStatus) -> bool) {
        self.pod(what, |pod| {
            let statuses = pod.status.as_ref().map(|status| &status.container_statuses);
            statuses.into_iter().flatten().flatten().any(&wanted)
        })
        .await;
    }

    /// Waits until a container waits for one of these reasons.
    pub async fn waiting(&self, reasons: &[&str]) {
        self.container(&format!("container in {reasons:?}"), |it| {
            let waiting = it.state.as_ref().and_then(|state| state.waiting.as_ref());
            let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
            reason.is_some_and(|reason| reasons.contains(&reason))
        })
        .await;
    }

    /// Waits until a container has ended with this exit code.
    pub async fn container_ends(&self, code: i32) {
        self.container(&format!("container that ended with {code}"), |it| {
            let states = [&it.state, &it.last_state].into_iter().flatten();
            states
                .filter_map(|state| state.terminated.as_ref())
                .any(|ended| ended.exit_code == code)
        })
        .await;
    }

    /// Waits until there is nothing of these kinds any more.
    pub async fn cleared(&self, kinds: &[&str]) {
        for kind in kinds {
            let mut patience = Patience::default();
            loop {
                let left = self.names(kind).await;
                if left.is_empty() {
                    break;
                }
                let what = format!("{}: {kind} are still there", self.name);
                patience.wait(left, what).await;
            }
        }
    }

    /// Waits until all that there is of these kinds is being deleted. When it is gone is up to
    /// Kubernetes.
    pub async fn leaving(&self, kinds: &[&str]) {
        let stays = "go-template={{range .items}}{{if not .metadata.deletionTimestamp}}\
            {{.kind}}/{{.metadata.name}} {{end}}{{end}}";
        let (kinds, what) = (kinds.join(","), format!("{}: something stays", self.name));
        eventually(what, async || {
            let get = ["get", &kinds, "-n", &self.name, "-o", stays];
            let stay = self.scene.kubectl(&get).await.unwrap();
            stay.is_empty().then_some(())
        })
        .await;
    }

    /// Names of what there is of a kind.
    pub async fn names(&self, kind: &str) -> Vec<String> {
        let listed = self
            .scene
            .kubectl(&["get", kind, "-n", &self.name, "-o", "name"])
            .await
            .unwrap();
        listed.lines().map(str::to_owned).collect()
    }

    /// Empties the queues of a suspended run: SQS keeps messages for 14 days, and a run may be suspended
    /// for longer.
    pub async fn lose_messages(&self) {
        let queues = self.queues().await;
        assert!(!queues.is_empty(), "the queue stays");
        for queue in &queues {
            let purged = self.scene.sqs.purge_queue().queue_url(queue);
            purged.send().await.unwrap();
        }
    }

    /// URLs of queues with this team's name.
    pub async fn queues(&self) -> Vec<String> {
        self.queues_of("").await
    }

    /// URLs of queues with this team's name, and that of a run.
    pub async fn queues_of(&self, run: &str) -> Vec<String> {
        let prefix = format!("s3bundler_{CLUSTER}_{}_{run}", self.name);
        self.scene
            .sqs
            .list_queues()
            .queue_name_prefix(prefix)
            .send()
            .await
            .unwrap()
            .queue_urls
            .unwrap_or_default()
    }

    /// Makes the messages that workers of this team have received visible again.
    pub async fn end_visibility(&self) {
        let moto = self.scene.cluster.moto().unwrap();
        for queue in self.queues().await {
            let (_, name) = queue.rsplit_once('/').unwrap();
            moto.end_visibility(name).await.unwrap();
        }
    }

    /// Waits until there is no queue with this team's name any more.
    pub async fn without_queues(&self, within: Duration) {
        let begun = Instant::now();
        loop {
            let queues = self.queues().await;
            if queues.is_empty() {
                return;
            }
            assert!(
                begun.elapsed() < within,
                "{queues:?} are still there after {within:?}"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// `s3bundler group --redo 1` of a group of a run, whose workers receive it from this queue.
    pub async fn redo(&self, run: &str, group: &str, queue: &str) {
        let destination = format!("s3://{}/arch", self.bucket("archive"));
        let program = self.scene.cluster.program(program("s3bundler"));
        let redo = program
            .args(["group", "--redo", "1", "--groups", group])
            .args(["--destination", &destination])
            .args(["--name", run, "--queue", queue]);
        let redo = redo.run().await.unwrap();
        assert_eq!(redo.code, Some(0), "{redo}");
    }

    /// `s3bundler verify --full` of a run, from here.
    pub async fn verify(&self, run: &str) -> Outcome {
        self.verifying(run).run().await.unwrap()
    }

    /// The same before it runs.
    pub fn verifying(&self, run: &str) -> Program {
        let destination = format!("s3://{}/arch", self.bucket("archive"));
        let program = self.scene.cluster.program(program("s3bundler"));
        program.args([
            "verify",
            "--full",
            "--destination",
            &destination,
            "--name",
            run,
        ])
    }

    pub async fn assert_verified(&self, run: &str) {
        let verified = self.verify(run).await;
        assert_eq!(verified.code, Some(0), "{verified}");
    }
}

/// Status and reason of a condition.
pub fn told<'a>(status: &'a ArchiveRunStatus, name: &str) -> Option<(&'a str, &'a str)> {
    status
        .conditions
        .iter()
        .find(|it| it.type_ == name)
        .map(|it| (it.status.as_str(), it.reason.as_str()))
}

/// The message of a condition.
pub fn message(status: &ArchiveRunStatus, name: &str) -> String {
    status
        .conditions
        .iter()
        .find(|it| it.type_ == name)
        .map(|it| it.message.clone())
        .unwrap_or_default()
}

/// An object of [`Team::inventory`], by its number.
pub fn object_key(number: usize) -> String {
    format!("logs/{number:05}.json")
}

/// Merges JSON into other JSON.
pub fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
