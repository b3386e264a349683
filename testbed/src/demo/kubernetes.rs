//! The demo in a cluster, as a user would do it: Helm installs the operator, `kubectl apply` makes
//! an ArchiveRun.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::progress::{End, Progress};
use super::{
    ARCHIVES, DemoError, PREFIX, RUN, another_time, archive, look_at_archives, plan, say, source,
    verify, wrong,
};
use crate::client;
use crate::kube::{Cluster, Image, KubeError};
use crate::servers::Access;

/// Where the operator is installed.
const SYSTEM: &str = "s3bundler-system";
/// The operator's Deployment, as the chart names it in a release `s3bundler`.
pub const OPERATOR: &str = "s3bundler-operator";
/// Where the run is, with what it needs.
const TEAM: &str = "team-a";
/// The images are tagged with this. They are in the node already and are pulled from nowhere.
const TAG: &str = "demo";
/// A run takes about a minute; a busy machine gets this long.
const PATIENCE: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(500);

/// Runs the demo in a cluster of its own; gives the cluster that still holds everything.
pub async fn on_kubernetes(
    s3bundler: &Path,
    operator: &Path,
    files: &Path,
) -> Result<Cluster, DemoError> {
    say(
        "Booting a Kubernetes of one node with S3 and SQS; the first time it is built, which \
         takes some ten minutes",
    );
    let begun = Instant::now();
    let cluster = Cluster::start().await.map_err(|error| match error {
        KubeError::NotRoot => DemoError::NotRoot,
        other => other.into(),
    })?;
    indent(cluster.kubectl(["get", "nodes"]).await?.trim_end());
    println!("    after {:.1} s", begun.elapsed().as_secs_f64());
    install(&cluster, s3bundler, operator).await?;
    let client = client::s3(cluster.access());
    let (sources, manifest) = source::lay_out(&client, files).await?;
    prepare_namespace(&cluster).await?;
    let limits = ["--max-objects", "250", "--max-object-size", "8MiB"];
    plan(cluster.program(s3bundler), &manifest, &limits).await?;
    let run = archive_run(&manifest);
    say("kubectl apply --filename demo.yaml");
    indent(run.trim_end());
    write(&cluster, "demo.yaml", &run)?;
    cluster.apply(&run).await?;
    follow(&cluster).await?;
    verify(cluster.program(s3bundler)).await?;
    archive::look_inside(&client, &sources).await?;
    Ok(cluster)
}

/// What to look at in the cluster: now, if it is kept, and otherwise the next time.
pub fn where_to_look_on_kubernetes(cluster: &Cluster, s3bundler: &Path, is_kept: bool) -> String {
    let commands = commands(s3bundler);
    if !is_kept {
        return format!("{}\n{commands}", another_time("make demo", "the cluster"));
    }
    let exports: Vec<_> = cluster
        .exports()
        .lines()
        .map(|line| format!("    {line}"))
        .collect();
    let exports = exports.join("\n");
    let folder = cluster.folder().display();
    format!(
        "The cluster is up until Ctrl-C. In another shell:\n{exports}\n\n{commands}\n\
         Logs of the cluster's programs are in {folder}/log."
    )
}

fn commands(s3bundler: &Path) -> String {
    let looks = look_at_archives(s3bundler);
    format!(
        "    kubectl get archiveruns --all-namespaces
    kubectl --namespace {TEAM} describe archiverun {RUN}
    kubectl --namespace {SYSTEM} logs deployment/{OPERATOR}
    helm --namespace {SYSTEM} get values s3bundler
{looks}"
    )
}

fn indent(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}

fn write(cluster: &Cluster, name: &str, text: &str) -> Result<PathBuf, DemoError> {
    let path = cluster.folder().join(name);
    std::fs::write(&path, text).map_err(|cause| DemoError::File {
        path: path.clone(),
        cause,
    })?;
    Ok(path)
}

/// The images and the chart, with an endpoint and keys instead of roles.
async fn install(cluster: &Cluster, s3bundler: &Path, operator: &Path) -> Result<(), DemoError> {
    say("Loading the images of operator and worker");
    for (image, program) in [("operator", operator), ("worker", s3bundler)] {
        cluster
            .load(&Image::of_program(
                format!("localhost/s3bundler/{image}:{TAG}"),
                program,
            )?)
            .await?;
    }
    say(&format!(
        "helm install s3bundler charts/s3bundler --namespace {SYSTEM} --values values.yaml --wait"
    ));
    let begun = Instant::now();
    cluster
        .apply(&[namespace(SYSTEM), secret(SYSTEM, cluster.access())].join("---\n"))
        .await?;
    let values = values(cluster.access());
    indent(values.trim_end());
    let values = write(cluster, "values.yaml", &values)?
        .display()
        .to_string();
    let chart = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../charts/s3bundler")
        .display()
        .to_string();
    let arguments = [
        "install",
        "s3bundler",
        &chart,
        "--namespace",
        SYSTEM,
        "--values",
        &values,
    ];
    let waiting = ["--wait", "--timeout", "110s"];
    cluster.helm(arguments.into_iter().chain(waiting)).await?;
    println!(
        "    installed and ready after {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// All that a namespace needs for runs: keys, and a service account without permissions.
async fn prepare_namespace(cluster: &Cluster) -> Result<(), DemoError> {
    say(&format!(
        "A namespace {TEAM} under restricted Pod Security, with a worker service account and a \
         Secret"
    ));
    let account = format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: s3bundler-worker, namespace: \
         {TEAM}}}\n"
    );
    cluster
        .apply(&[namespace(TEAM), secret(TEAM, cluster.access()), account].join("---\n"))
        .await?;
    Ok(())
}

/// Prints a line whenever the run changes, until it has ended well.
async fn follow(cluster: &Cluster) -> Result<(), DemoError> {
    say(&format!(
        "kubectl --namespace {TEAM} get archiverun {RUN} --watch"
    ));
    println!("     AFTER  {}", Progress::TITLES);
    let (begun, mut last) = (Instant::now(), Progress::default());
    let end = loop {
        let run = cluster
            .kubectl([
                "get",
                "archiverun",
                RUN,
                "--namespace",
                TEAM,
                "--output=json",
            ])
            .await?;
        let run = serde_json::from_str(&run)
            .map_err(|error| wrong(format!("kubectl get archiverun: {error}")))?;
        let now = Progress::of(&run);
        if now != last {
            println!("    {:>4} s  {now}", begun.elapsed().as_secs());
            last = now;
        }
        if let Some(end) = last.end() {
            break end.clone();
        }
        if begun.elapsed() > PATIENCE {
            break End::Otherwise(format!("the run did not end within {PATIENCE:?}"));
        }
        sleep(POLL).await;
    };
    match end {
        End::Complete => Ok(()),
        End::Otherwise(why) => {
            tell_why(cluster).await;
            Err(wrong(why))
        }
    }
}

/// Everything that helps to find out why a run did not complete.
async fn tell_why(cluster: &Cluster) {
    for arguments in [
        &["--namespace", TEAM, "describe", "archiverun", RUN][..],
        &[
            "--namespace",
            TEAM,
            "get",
            "jobs,deployments,pods",
            "--output=wide",
        ],
        &[
            "--namespace",
            TEAM,
            "get",
            "events",
            "--sort-by=.lastTimestamp",
        ],
        &[
            "--namespace",
            SYSTEM,
            "logs",
            &format!("deployment/{OPERATOR}"),
            "--tail=60",
        ],
    ] {
        let told = cluster
            .kubectl(arguments)
            .await
            .unwrap_or_else(|error| error.to_string());
        eprintln!("$ kubectl {}\n{told}", arguments.join(" "));
    }
}

fn namespace(name: &str) -> String {
    format!(
        "apiVersion: v1
kind: Namespace
metadata:
  name: {name}
  labels: {{pod-security.kubernetes.io/enforce: restricted}}
"
    )
}

fn secret(namespace: &str, access: &Access) -> String {
    let Access {
        access_key,
        secret_key,
        ..
    } = access;
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: aws, namespace: {namespace}}}
stringData:
  AWS_ACCESS_KEY_ID: {access_key:?}
  AWS_SECRET_ACCESS_KEY: {secret_key:?}
"
    )
}

fn values(access: &Access) -> String {
    let Access {
        endpoint, region, ..
    } = access;
    format!(
        r#"global: {{imageRegistry: localhost}}
policy: {{allowAll: true}}
operator:
  image: {{tag: {TAG}}}
  env: &aws {{AWS_ENDPOINT_URL: "{endpoint}", AWS_REGION: {region}, AWS_EC2_METADATA_DISABLED: "true"}}
  credentialsSecretName: aws
  clusterName: demo
worker:
  image: {{tag: {TAG}}}
  env: *aws
  resources: &small
    requests: {{cpu: 20m, memory: 32Mi, ephemeral-storage: 1Gi}}
    limits: {{memory: 512Mi}}
grouper:
  resources: *small
"#
    )
}

fn archive_run(manifest: &str) -> String {
    format!(
        "apiVersion: archive.s3bundler.dev/v1alpha1
kind: ArchiveRun
metadata:
  name: {RUN}
  namespace: {TEAM}
spec:
  source:
    inventory:
      manifest: {manifest}
  destination:
    bucket: {ARCHIVES}
    prefix: {PREFIX}
  group:
    maxObjects: 250
  archive:
    maxObjectSize: 8Mi
  credentialsSecretRef:
    name: aws
  workers:
    scaling:
      maxReplicas: 3
    drainSeconds: 5
"
    )
}

#[cfg(test)]
mod tests;
