//! What the operator asks of the Kubernetes API, counted by an API server in memory. Scenarios in a
//! cluster show that what it does is right.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use s3bundler_contract::ExitCode;
use s3bundler_testbed::api_server::ApiServer;
use s3bundler_testbed::cli::{Program, Running, Signal};
use s3bundler_testbed::client;
use s3bundler_testbed::fleet::{self, ARCHIVE, NAMESPACE};
use s3bundler_testbed::idle_queues::IdleQueues;
use s3bundler_testbed::simulator::{Simulator, SimulatorOptions};
use serde_json::{Value, json};

/// Time between two regular reconciles of a run, less what it may be early.
const PERIOD: Duration = Duration::from_secs(14);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(3);
const GROUPS: u64 = 5;
const PODS: usize = 4;
/// How often each pod becomes ready, or not ready.
const CHANGES: usize = 300;

struct Scene {
    api: ApiServer,
    simulator: Simulator,
    queues: IdleQueues,
}

impl Scene {
    async fn start() -> Self {
        let simulator = Simulator::start(SimulatorOptions::default()).unwrap();
        client::create_bucket(&client::s3(simulator.access()), ARCHIVE)
            .await
            .unwrap();
        let scene = Self {
            api: ApiServer::start().unwrap(),
            simulator,
            queues: IdleQueues::start(PODS as u64).unwrap(),
        };
        fleet::account(&scene.api);
        scene
    }

    /// A run with workers and so many receipts.
    async fn live_run(&self, name: &str, receipts: u64) {
        let s3 = client::s3(self.simulator.access());
        fleet::put_records(&s3, name, GROUPS, 0..receipts)
            .await
            .unwrap();
        fleet::live_run(&self.api, &self.queues.url(name), name, GROUPS);
        for n in 0..PODS {
            self.api.apply("pods", fleet::pod(name, n));
        }
        fleet::workers(&self.api, name, PODS);
    }

    fn operator(&self) -> Running {
        let program = Program::new(env!("CARGO_BIN_EXE_s3bundler-operator"))
            .access(self.simulator.access())
            .sqs(self.queues.access())
            .env("KUBECONFIG", self.api.kubeconfig())
            .args(["--worker-image=worker:1", "--listen=127.0.0.1:0"])
            .timeout(2 * PATIENCE);
        program.spawn().unwrap()
    }

    /// Waits until a run is as wanted.
    async fn until(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let run = self.api.get("archiveruns", NAMESPACE, name).unwrap();
            if wanted(&run) {
                return run;
            }
            assert!(begun.elapsed() < PATIENCE, "{run:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn is_counted(&self, name: &str, receipts: u64) {
        self.until(name, |run| run["status"]["groups"]["committed"] == receipts)
            .await;
    }
}

async fn end(operator: Running) {
    operator.signal(Signal::Terminate).unwrap();
    let outcome = operator.wait().await.unwrap();
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

/// The requests other than watches and events.
fn asked(api: &ApiServer) -> BTreeMap<String, u64> {
    let mut requests = api.requests();
    requests.retain(|name, _| !name.starts_with("WATCH") && name != "POST events");
    requests
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_have_ended_cost_no_request_but_the_list_that_shows_them() {
    const ENDED: u64 = 600;
    let scene = Scene::start().await;
    for n in 0..ENDED {
        let run = fleet::finished_run(&format!("finished-{n}"));
        scene.api.apply("archiveruns", run);
    }
    scene.live_run("live", 3).await;
    let operator = scene.operator();
    // It is reconciled after those that were listed before it.
    scene.is_counted("live", 3).await;
    let requests = asked(&scene.api);
    let of_runs = |(name, _): &(&String, &u64)| name.contains("archiveruns");
    let of_runs: Vec<_> = requests.iter().filter(of_runs).collect();
    let [(list, pages), (write, writes)] = of_runs[..] else {
        panic!("{of_runs:?}")
    };
    assert_eq!(
        (list.as_str(), *pages),
        ("LIST archiveruns", ENDED.div_ceil(250))
    );
    assert_eq!(write, "PATCH archiveruns/status");
    assert!(*writes < 5, "of the live run: {requests:?}");
    let reads: u64 = requests
        .iter()
        .filter(|(name, _)| name.starts_with("GET"))
        .map(|(_, count)| count)
        .sum();
    assert!(reads < 20, "of the live run: {requests:?}");
    end(operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_become_ready_cause_neither_reads_nor_more_writes_than_the_regular_ones() {
    let scene = Scene::start().await;
    scene.live_run("live", 3).await;
    let operator = scene.operator();
    scene.is_counted("live", 3).await;
    let busy = |busy: usize| move |run: &Value| run["status"]["workers"]["busy"] == busy;
    scene.until("live", busy(PODS / 2)).await;
    scene.api.forget_requests();
    let begun = Instant::now();
    for change in 0..CHANGES {
        for n in 0..PODS {
            let name = format!("live-worker-{n:03}");
            scene.api.change("pods", NAMESPACE, &name, |pod| {
                let is_ready = change % 2 == 0 || change + 1 == CHANGES;
                pod["status"]["conditions"][2]["status"] =
                    json!(if is_ready { "True" } else { "False" });
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What they are in the end is shown.
    scene.until("live", busy(PODS)).await;
    let periods = begun.elapsed().div_duration_f64(PERIOD);
    let requests = asked(&scene.api);
    let writes = requests.get("PATCH archiveruns/status").copied();
    let writes = u32::try_from(writes.unwrap_or(0)).unwrap();
    assert!(
        f64::from(writes) <= periods + 1.0,
        "{writes} in {periods} periods"
    );
    let others: BTreeMap<_, _> = requests
        .iter()
        .filter(|(name, _)| *name != "PATCH archiveruns/status")
        .collect();
    assert!(others.is_empty(), "{others:?}");
    end(operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_changes_does_not_wait_for_the_regular_reconcile() {
    let scene = Scene::start().await;
    scene.live_run("live", 3).await;
    let operator = scene.operator();
    scene.is_counted("live", 3).await;
    for (suspend, reason) in [(true, "Suspended"), (false, "Bundling")] {
        let begun = Instant::now();
        scene.api.change("archiveruns", NAMESPACE, "live", |run| {
            run["spec"]["suspend"] = json!(suspend);
        });
        scene
            .until("live", |run| {
                run["status"]["conditions"][0]["reason"] == reason
            })
            .await;
        assert!(begun.elapsed() < PERIOD, "{reason}");
    }
    end(operator).await;
}

/// Whether the run goes on hangs on what its grouper exited with, and the watches of Jobs and pods
/// are two.
#[tokio::test(flavor = "multi_thread")]
async fn a_grouper_that_failed_is_judged_by_a_pod_that_the_watch_does_not_show_yet() {
    let scene = Scene::start().await;
    scene.live_run("live", 3).await;
    let grouper = "live-grouper";
    let job = scene.api.get("jobs", NAMESPACE, grouper).unwrap();
    scene.api.change("jobs", NAMESPACE, grouper, |job| {
        job["status"] = json!({"failed": 1, "conditions": [{
            "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed",
        }]});
    });
    let denied = ExitCode::Permission.code();
    scene.api.apply(
        "pods",
        json!({
            // Without the label that the watch asks for.
            "metadata": {"name": "live-grouper-1", "namespace": NAMESPACE, "labels": {
                "batch.kubernetes.io/job-name": grouper, "batch.kubernetes.io/controller-uid": job["metadata"]["uid"],
            }},
            "status": {"phase": "Failed", "containerStatuses": [{
                "name": "s3bundler", "image": "worker:1", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": denied}},
            }]},
        }),
    );
    let operator = scene.operator();
    let condition = |run: &Value, name: &str| {
        let conditions = run["status"]["conditions"].as_array().unwrap();
        conditions
            .iter()
            .find(|it| it["type"] == name)
            .unwrap()
            .clone()
    };
    let run = scene
        .until("live", |run| condition(run, "Stalled")["status"] == "True")
        .await;
    assert_eq!(condition(&run, "Stalled")["reason"], "AccessDenied");
    assert_eq!(condition(&run, "Failed")["status"], "False");
    end(operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_of_a_finished_run_are_deleted_although_no_watch_shows_them() {
    let scene = Scene::start().await;
    let mut run = fleet::finished_run("ended");
    run["status"]["conditions"]
        .as_array_mut()
        .unwrap()
        .retain(|it| it["type"] != "QueueReady");
    run["status"]["queue"]["url"] = json!(scene.queues.url("ended"));
    scene.api.apply("archiveruns", run);
    fleet::workers(&scene.api, "ended", PODS);
    let workers = "ended-worker";
    scene
        .api
        .change("deployments", NAMESPACE, workers, |workers| {
            workers["metadata"]["labels"] = json!({});
        });
    let operator = scene.operator();
    let begun = Instant::now();
    while scene.api.get("deployments", NAMESPACE, workers).is_some() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    end(operator).await;
}

/// Groups that pods release when they end go back to the queue.
#[tokio::test(flavor = "multi_thread")]
async fn the_pods_of_a_deleted_run_are_gone_before_its_queues_and_its_finalizer() {
    /// Lists of the pods that are left, so that the operator had time to do worse.
    const LOOKS: u64 = 3;
    let scene = Scene::start().await;
    scene.live_run("live", 3).await;
    scene.api.change("archiveruns", NAMESPACE, "live", |run| {
        run["metadata"]["deletionTimestamp"] = json!(Timestamp::now());
    });
    let lists = || scene.api.requests().get("LIST pods").copied();
    let operator = scene.operator();
    let begun = Instant::now();
    // The first one is that of the watch.
    while lists() < Some(1 + LOOKS) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", scene.api.requests());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let deployment = scene.api.get("deployments", NAMESPACE, "live-worker");
    assert_eq!((deployment, scene.queues.requests()), (None, 0));
    let run = scene.api.get("archiveruns", NAMESPACE, "live").unwrap();
    assert_ne!(run["metadata"]["finalizers"], json!([]));

    for n in 0..PODS {
        let name = format!("live-worker-{n:03}");
        scene.api.change("pods", NAMESPACE, &name, |pod| {
            pod["status"]["phase"] = json!("Succeeded");
        });
    }
    scene
        .until("live", |run| run["metadata"]["finalizers"] == json!([]))
        .await;
    assert!(scene.queues.requests() > 0, "the queues are looked for");
    end(operator).await;
}
