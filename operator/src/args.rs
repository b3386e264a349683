//! The command line of the operator, mostly what the chart's values become.

use std::net::SocketAddr;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use crate::defaults::CaBundle;
use crate::policy::PolicyFile;
use crate::queues::ClusterName;

/// Runs ArchiveRuns: makes their queues, groupers and workers, and says in their status what they
/// have come to.
#[derive(Debug, Clone, Parser)]
#[command(name = "s3bundler-operator", version, max_term_width = 110)]
#[command(after_help = "\
AWS credentials, region and endpoints come from the AWS_… variables and files that every AWS tool reads; the cluster from
the pod's service account or from KUBECONFIG.")]
pub struct Args {
    /// Image of the grouper and the workers; a run keeps the one it began with.
    #[arg(long, env = "S3BUNDLER_WORKER_IMAGE")]
    pub worker_image: String,
    /// Pull policy of that image: Always, IfNotPresent or Never.
    #[arg(
        long,
        env = "S3BUNDLER_WORKER_IMAGE_PULL_POLICY",
        default_value = "IfNotPresent"
    )]
    pub worker_image_pull_policy: String,
    /// Service account of the pods of runs that name none; it must exist in their namespace.
    #[arg(
        long,
        env = "S3BUNDLER_WORKER_SERVICE_ACCOUNT",
        default_value = "s3bundler-worker"
    )]
    pub worker_service_account: String,
    /// Variable for grouper and workers, such as AWS_ENDPOINT_URL; may be repeated. No secrets:
    /// they can be read in the pods' specs.
    #[arg(long = "worker-env", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub worker_env: Vec<(String, String)>,
    /// ConfigMap of the namespaces of runs, and its key, with the certificates (PEM) that grouper
    /// and workers trust instead of the system's.
    #[arg(long, env = "S3BUNDLER_WORKER_CA_BUNDLE", value_name = "CONFIGMAP/KEY", value_parser = ca_bundle)]
    pub worker_ca_bundle: Option<CaBundle>,
    /// Resources of workers that ask for none, as JSON of a container's `resources`.
    #[arg(
        long,
        env = "S3BUNDLER_WORKER_RESOURCES",
        default_value = r#"{"requests":{"cpu":"2","memory":"2Gi"},"limits":{"memory":"2Gi"}}"#
    )]
    pub worker_resources: String,
    /// Resources of groupers that ask for none, as JSON of a container's `resources`.
    #[arg(
        long,
        env = "S3BUNDLER_GROUPER_RESOURCES",
        default_value = r#"{"requests":{"cpu":"2","memory":"2Gi"},"limits":{"memory":"2Gi"}}"#
    )]
    pub grouper_resources: String,
    /// Group that owns the volumes of workers with scratch of type Ephemeral, which are root's
    /// otherwise. Default: none, for clusters that give one of their own, as OpenShift does.
    #[arg(long, env = "S3BUNDLER_WORKER_FS_GROUP", value_name = "GID")]
    pub worker_fs_group: Option<i64>,
    /// Workers of all runs together, at most.
    #[arg(long, env = "S3BUNDLER_MAX_WORKERS", default_value_t = 1000)]
    pub max_workers: u32,
    /// Namespace to watch; may be repeated. Default: all of them.
    #[arg(
        long = "watch-namespace",
        env = "S3BUNDLER_WATCH_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub watch_namespaces: Vec<String>,
    /// KEDA is installed, and the operator may write ScaledObjects: runs may have the scaling mode
    /// Keda.
    #[arg(long, env = "S3BUNDLER_KEDA")]
    pub keda: bool,
    /// What names this cluster in claims, in queues and in their tags: a DNS label of up to 20
    /// characters. Two clusters that write to one bucket, or have queues in one account, need two
    /// names.
    #[arg(long, env = "S3BUNDLER_CLUSTER_NAME", default_value = "kubernetes")]
    pub cluster_name: ClusterName,
    /// AWS region of queues and of buckets of runs that name none; a run keeps the one it began
    /// with. Default: what the environment or the profile names.
    #[arg(long, env = "S3BUNDLER_REGION")]
    pub region: Option<String>,
    /// What runs may do, by namespace: a JSON file of rules. Default: everything but host paths.
    #[arg(long, env = "S3BUNDLER_POLICY", value_name = "FILE", value_parser = PolicyFile::read)]
    pub policy: Option<PolicyFile>,
    /// Sink that gets a CloudEvent when a run ends: a name and an http or https URL. May be repeated.
    /// Default: none.
    #[arg(long, value_name = "NAME=URL", value_parser = name_and_value)]
    pub notify: Vec<(String, String)>,
    /// Folder with headers for the events of a sink, such as Authorization: a file for each, named by
    /// the header. May be repeated.
    #[arg(long, value_name = "NAME=FOLDER", value_parser = name_and_value)]
    pub notify_headers: Vec<(String, String)>,
    /// Where /metrics, /healthz and /readyz are served. [::] is IPv4 too.
    #[arg(long, env = "S3BUNDLER_LISTEN", default_value = "[::]:8080")]
    pub listen: SocketAddr,
    /// Name of the Lease that one of several replicas holds.
    #[arg(
        long,
        env = "S3BUNDLER_LEASE_NAME",
        default_value = "s3bundler-operator"
    )]
    pub lease_name: String,
    /// Namespace of the Lease: the operator's own. Without it no Lease is taken.
    #[arg(long, env = "S3BUNDLER_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// What this replica is called in the Lease: the pod's name.
    #[arg(long, env = "S3BUNDLER_IDENTITY", default_value = "s3bundler-operator")]
    pub identity: String,
    /// The log's form on standard error: text or json.
    #[arg(long, env = "S3BUNDLER_LOG_FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub log_format: String,
    /// What to log: a level, or directives as in RUST_LOG.
    #[arg(long, env = "S3BUNDLER_LOG", default_value = "info")]
    pub log: String,
}

/// Asks an operator whether it is ready. Exits with 0 if it is, and with 1 if it is not.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "ready", max_term_width = 110)]
pub struct ReadyArgs {
    /// Host and port of its pages, such as s3bundler-operator-metrics.s3bundler-system.svc:8080.
    #[arg(value_name = "HOST:PORT")]
    pub address: String,
    /// Seconds to wait until it is ready.
    #[arg(long, default_value_t = 30)]
    pub wait: u64,
}

/// What the program is started for.
#[derive(Debug, Clone)]
pub enum Invocation {
    /// To be the operator.
    Operate(Box<Args>),
    /// To ask another one.
    Ready(ReadyArgs),
}

impl Invocation {
    /// Of these arguments, the program's name first.
    pub fn try_parse_from<A>(args: impl IntoIterator<Item = A>) -> Result<Self, clap::Error>
    where
        A: Into<std::ffi::OsString> + Clone,
    {
        let mut command = Args::command()
            .subcommand_negates_reqs(true)
            .args_conflicts_with_subcommands(true)
            .subcommand(ReadyArgs::command());
        let matches = command.try_get_matches_from_mut(args)?;
        match matches.subcommand() {
            Some((_, matches)) => ReadyArgs::from_arg_matches(matches).map(Self::Ready),
            None => Args::from_arg_matches(&matches).map(|args| Self::Operate(Box::new(args))),
        }
        .map_err(|error| error.format(&mut command))
    }
}

fn ca_bundle(text: &str) -> Result<CaBundle, String> {
    match text.split_once('/') {
        Some((config_map, key)) if !config_map.is_empty() && !key.is_empty() => Ok(CaBundle {
            config_map: config_map.to_owned(),
            key: key.to_owned(),
        }),
        _ => Err("not CONFIGMAP/KEY".to_owned()),
    }
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("not NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests;
