//! `s3bundler-operator`: one of its replicas holds the Lease and reconciles ArchiveRuns, the others
//! wait.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

use futures_util::FutureExt as _;
use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::runtime::events::{Recorder, Reporter};
use s3bundler_common::failure::Failure;
use s3bundler_common::http_pages;
use s3bundler_common::logging::{self, LogFormat};
use s3bundler_common::shutdown::Shutdown;
use s3bundler_contract::ExitCode;
use s3bundler_operator::args::{Args, Invocation, ReadyArgs};
use s3bundler_operator::aws::Aws;
use s3bundler_operator::controller::{self, Notifier, Parts, Sink};
use s3bundler_operator::defaults::Defaults;
use s3bundler_operator::kubernetes;
use s3bundler_operator::lease::Candidate;
use s3bundler_operator::metrics::Metrics;
use s3bundler_operator::ready::ready;
use tokio::runtime::Runtime;

fn main() {
    let done = match Invocation::try_parse_from(std::env::args_os()) {
        Ok(Invocation::Operate(args)) => start(*args),
        Ok(Invocation::Ready(args)) => ask(&args),
        Err(error) => {
            let _ = error.print();
            // 6, as the worker's, and not clap's 2.
            let usage = ExitCode::Usage.code();
            std::process::exit(if error.use_stderr() { usage.into() } else { 0 });
        }
    };
    let code = match done {
        Ok(()) => 0,
        Err(failure) => {
            // Not eprintln!, which panics if the reader of a pipe has ended.
            let _ = writeln!(std::io::stderr(), "s3bundler-operator: {failure}");
            failure.exit.code()
        }
    };
    // Whatever still runs on a thread of its own is of no use any more.
    std::process::exit(code.into());
}

fn start(args: Args) -> Result<(), Failure> {
    let format = match args.log_format.as_str() {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    };
    logging::init(&args.log, format, std::io::stderr)?;
    let runtime = runtime();
    let ended = runtime.block_on(run(args));
    // A look-up of a name that hangs is on a thread of its own, which nothing can end.
    runtime.shutdown_background();
    ended
}

/// Asks another operator whether it is ready.
fn ask(args: &ReadyArgs) -> Result<(), Failure> {
    runtime()
        .block_on(ready(&args.address, Duration::from_secs(args.wait)))
        .map_err(|error| Failure::new(ExitCode::Unexpected, error))?;
    println!("the operator at {} is ready", args.address);
    Ok(())
}

fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build();
    runtime.expect("threads and an event queue can be had")
}

async fn run(args: Args) -> Result<(), Failure> {
    let metrics = Metrics::default();
    let listening = http_pages::listen(args.listen)
        .await
        .map_err(|error| unexpected(format_args!("--listen {}: {error}", args.listen)))?;
    let page_metrics = metrics.clone();
    tokio::spawn(http_pages::serve(listening, move |path| {
        page_metrics.page(path)
    }));
    let client = kubernetes::client(metrics.kubernetes())
        .await
        .map_err(|error| unexpected(format_args!("cannot reach a cluster: {error}")))?;
    let aws = Aws::load(args.region.clone()).await?.metered(metrics.aws());
    let defaults = defaults(&args, &aws)?;
    let sinks = Sink::all(&args.notify, &args.notify_headers)?;
    let shutdown = Shutdown::listen()
        .map_err(|error| unexpected(format_args!("cannot listen to signals: {error}")))?;
    let shutdown = shutdown.token().clone().cancelled_owned().boxed().shared();
    metrics.ready();

    let candidate = args.lease_namespace.as_ref().map(|namespace| {
        Candidate::new(client.clone(), namespace, &args.lease_name, &args.identity)
    });
    let mut leader = None;
    if let Some(candidate) = &candidate {
        tracing::info!(
            lease = args.lease_name,
            identity = args.identity,
            "waiting for the lease"
        );
        tokio::select! {
            since = candidate.acquire() => leader = Some((candidate, since)),
            () = shutdown.clone() => return Ok(()),
        }
    }
    metrics.leads();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        image = args.worker_image,
        "reconciling ArchiveRuns"
    );
    let reporter = Reporter {
        controller: "s3bundler-operator".to_owned(),
        instance: Some(args.identity.clone()),
    };
    let recorder = Recorder::new(client.clone(), reporter);
    let notifier = Notifier::new(
        sinks,
        client.clone(),
        recorder.clone(),
        args.cluster_name.clone(),
        metrics.notifications().clone(),
    );
    let parts = Parts {
        recorder,
        client,
        aws,
        defaults,
        max_workers: args.max_workers,
        metrics,
        notifier: notifier.clone(),
    };
    let hold = async {
        match leader {
            Some((candidate, since)) => unexpected(candidate.hold(since).await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = controller::run(parts, &args.watch_namespaces, shutdown) => {}
        () = notifier.run() => {}
        // Another one may be working already: nothing of ours may go on.
        lost = hold => return Err(lost),
    }
    if let Some(candidate) = &candidate {
        candidate.release().await;
    }
    Ok(())
}

fn unexpected(message: impl Display) -> Failure {
    Failure::new(ExitCode::Unexpected, message)
}

fn defaults(args: &Args, aws: &Aws) -> Result<Defaults, Failure> {
    let resources = |name: &str, json: &str| {
        serde_json::from_str::<ResourceRequirements>(json)
            .map_err(|error| Failure::new(ExitCode::Usage, format_args!("--{name}: {error}")))
    };
    let endpoints = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"]
        .iter()
        .filter_map(|name| std::env::var(name).ok());
    let host = |url: String| Some(url.parse::<http::Uri>().ok()?.authority()?.to_string());
    Ok(Defaults {
        image: args.worker_image.clone(),
        image_pull_policy: args.worker_image_pull_policy.clone(),
        service_account: args.worker_service_account.clone(),
        region: aws.region().to_owned(),
        env: args.worker_env.clone(),
        worker_resources: resources("worker-resources", &args.worker_resources)?,
        grouper_resources: resources("grouper-resources", &args.grouper_resources)?,
        worker_fs_group: args.worker_fs_group,
        cluster: args.cluster_name.clone(),
        policy: args.policy.clone(),
        keda: args.keda,
        ca_bundle: args.worker_ca_bundle.clone(),
        queue_hosts: endpoints.filter_map(host).collect(),
    })
}
