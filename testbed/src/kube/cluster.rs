//! A cluster: the node with all its programs, booted and ready, or the way to one that another
//! process keeps.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::certificates::{Certificates, NODE};
use super::node::{Node, run_to_end};
use super::{Image, KubeError, NODE_ADDRESS, control_plane, kubelet, with_path};
use crate::cli::{Program, Signal, send};
use crate::install::{self, Recipe};
use crate::servers::{Access, Moto, MotoOptions};

/// Where S3 and SQS listen, at [`NODE_ADDRESS`].
const S3_PORT: u16 = 5000;
/// A boot takes some fifteen seconds; a busy machine gets this long for each thing that is waited
/// for.
const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(100);
/// Ends what it started, then removes its traces.
const STOP_PATIENCE: Duration = Duration::from_mins(1);
/// Said when another cluster has the machine.
pub const WAITING: &str = "another cluster of this machine is up; waiting for it to end \
    (`s3bundler-testbed down` ends that of `up`)";
/// helm waits for pods, for as long as its own `--timeout`.
const HELM_PATIENCE: Duration = Duration::from_mins(6);
/// A definition is established within a second.
const DEFINITION_PATIENCE: Duration = Duration::from_secs(30);
/// In the cluster's folder: all that another process needs to know. Written last, so it means that
/// the cluster is ready.
const RECORD: &str = "cluster.json";

/// A running Kubernetes of one node with S3 and SQS. Gone when dropped by the process that started
/// it.
#[derive(Debug)]
pub struct Cluster {
    record: Record,
    access: Access,
    /// Absent in a process that only attached to it. moto first, which ends sooner than the node it
    /// is in.
    own: Option<(Moto, Node)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    folder: PathBuf,
    kubernetes: PathBuf,
    helm: PathBuf,
    /// The process that keeps it, with its start in clock ticks, because numbers of processes are
    /// used again.
    owner: u32,
    owner_since: u64,
    endpoint: String,
    access_key: String,
    secret_key: String,
}

impl Record {
    fn access(&self) -> Access {
        Access::new(&self.endpoint, &self.access_key, &self.secret_key)
    }
}

impl Cluster {
    /// Boots one and returns when its node is ready and pods can be made. Installs what is missing,
    /// and waits for another cluster on this machine to end.
    pub async fn start() -> Result<Self, KubeError> {
        if !rustix::process::geteuid().is_root() {
            return Err(KubeError::NotRoot);
        }
        let (plugins, kubernetes, helm) = blocking(|| {
            let plugins = install::node_tools()?;
            Ok((
                plugins,
                install::installed(Recipe::Kubernetes)?,
                install::installed(Recipe::Helm)?,
            ))
        })
        .await?;
        let lock = only_one().await?;
        let folder = new_folder()?;
        let (place, programs) = (folder.clone(), kubernetes.clone());
        // From here on the node's end is everything's end, so `?` leaves nothing behind.
        let (mut node, keys) = blocking(move || {
            let mut node = Node::start(&place, &lock).inspect_err(|_| {
                let _ = fs::remove_dir_all(&place);
            })?;
            let certificates = place.join("keys");
            fs::create_dir(&certificates).map_err(with_path(&certificates))?;
            let keys = Certificates::generate(&certificates)?;
            kubelet::start_containerd(&mut node, &place, plugins)?;
            control_plane::start_api(&mut node, &programs, &place, &keys)?;
            Ok((node, keys))
        })
        .await?;
        let options = MotoOptions {
            bind: Some(IpAddr::V4(NODE_ADDRESS)),
            port: Some(S3_PORT),
            inside: Some(node.namespaces()),
            ..MotoOptions::default()
        };
        let moto = tokio::spawn(Moto::start_with(options));

        let (owner, owner_since) = (
            std::process::id(),
            since(std::process::id()).unwrap_or_default(),
        );
        let access = Access::new(format!("http://{NODE_ADDRESS}:{S3_PORT}"), "", "");
        let record = Record {
            folder,
            kubernetes,
            helm,
            owner,
            owner_since,
            endpoint: access.endpoint.clone(),
            access_key: String::new(),
            secret_key: String::new(),
        };
        let mut cluster = Self {
            record,
            access,
            own: None,
        };
        let booted = cluster.boot(&mut node, &keys).await;
        let moto = moto.await.map_err(|error| KubeError::File {
            path: cluster.record.folder.clone(),
            source: std::io::Error::other(error),
        })?;
        booted?;
        let moto = moto?;
        let access = moto.access().clone();
        cluster.own = Some((moto, node));
        cluster.set_access(access)?;
        Ok(cluster)
    }

    /// Takes these keys for S3 and SQS, and writes them down for others.
    fn set_access(&mut self, access: Access) -> Result<(), KubeError> {
        self.record.access_key.clone_from(&access.access_key);
        self.record.secret_key.clone_from(&access.secret_key);
        self.access = access;
        let path = self.record.folder.join(RECORD);
        let text = serde_json::to_string_pretty(&self.record).map_err(std::io::Error::from);
        text.and_then(|text| fs::write(&path, text))
            .map_err(with_path(&path))
    }

    /// From now on S3 and SQS want to know who asks and what he may do. [`Cluster::access`] has the
    /// keys of an administrator then; [`Cluster::moto`] makes other users, and roles.
    pub async fn enforce_iam(&mut self) -> Result<(), KubeError> {
        let moto = self.moto()?;
        let administrator = moto.administrator().await?;
        moto.enforce_iam().await?;
        self.set_access(administrator)
    }

    /// Its S3 and SQS server. Only the process that keeps the cluster has it.
    pub fn moto(&self) -> Result<&Moto, KubeError> {
        let own = self.own.as_ref().map(|(moto, _)| moto);
        own.ok_or_else(|| KubeError::NotOurs(self.record.folder.clone()))
    }

    async fn boot(&self, node: &mut Node, keys: &Certificates) -> Result<(), KubeError> {
        let folder = &self.record.folder;
        let socket = kubelet::socket(folder);
        wait_for(node, "containerd answers", async || {
            // Its socket is there before its services are.
            Ok(ctr(&socket)
                .arg("version")
                .output()
                .is_ok_and(|output| output.status.success()))
        })
        .await?;
        let pause = Image::new(kubelet::PAUSE)
            .file("/pause", self.record.kubernetes.join("pause"))
            .entrypoint(["/pause"]);
        self.load(&pause).await?;
        wait_for(node, "the API server is ready", async || {
            // The port first: a client in Go costs a tenth of a second of our few processors.
            Ok(tokio::net::TcpStream::connect((NODE_ADDRESS, 443))
                .await
                .is_ok()
                && self.kubectl(["get", "--raw=/readyz"]).await.is_ok())
        })
        .await?;
        control_plane::start_controllers(node, &self.record.kubernetes, folder, keys)?;
        kubelet::start_kubelet(node, &self.record.kubernetes, folder, keys)?;
        wait_for(node, "the node is ready", async || {
            let query = r#"-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
            Ok(self
                .kubectl(["get", "node", NODE, query])
                .await
                .is_ok_and(|status| status == "True"))
        })
        .await?;
        wait_for(node, "pods can be made", async || {
            Ok(self
                .kubectl(["get", "serviceaccount", "default"])
                .await
                .is_ok())
        })
        .await
    }

    /// The way to a cluster that another process keeps, by its [folder](Self::folder).
    pub fn attach(folder: &Path) -> Result<Self, KubeError> {
        let not_running = || KubeError::NotRunning(folder.to_owned());
        let text = fs::read(folder.join(RECORD)).map_err(|_| not_running())?;
        let record: Record = serde_json::from_slice(&text).map_err(|_| not_running())?;
        if since(record.owner) != Some(record.owner_since) {
            return Err(not_running());
        }
        Ok(Self {
            access: record.access(),
            record,
            own: None,
        })
    }

    /// Ends it and returns when no process, mount, network, control group or file of it is left.
    /// For one that another process keeps, asks that process.
    pub async fn stop(mut self) -> Result<(), KubeError> {
        if let Some(own) = self.own.take() {
            return blocking(move || {
                drop(own);
                Ok(())
            })
            .await;
        }
        if since(self.record.owner) == Some(self.record.owner_since) {
            send(self.record.owner, Signal::Terminate)?;
        }
        let begun = Instant::now();
        while self.record.folder.exists()
            || since(self.record.owner) == Some(self.record.owner_since)
        {
            if begun.elapsed() > STOP_PATIENCE {
                let log = format!("{} is still there", self.record.folder.display());
                return Err(KubeError::NotReady {
                    what: "the cluster has ended",
                    waited: STOP_PATIENCE,
                    log,
                });
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// All its files, the logs of its programs in `log/` among them.
    pub fn folder(&self) -> &Path {
        &self.record.folder
    }

    /// A kubeconfig file of an administrator; it carries its keys and can be copied.
    pub fn kubeconfig(&self) -> PathBuf {
        self.record.folder.join("keys/admin.kubeconfig")
    }

    /// S3 and SQS: the same address for pods and for tests.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The folders of `kubectl` and `helm`, for a PATH.
    pub fn programs(&self) -> [&Path; 2] {
        [&self.record.kubernetes, &self.record.helm]
    }

    /// A program of this machine that finds the cluster, its S3 and its SQS in its environment.
    pub fn program(&self, path: impl AsRef<Path>) -> Program {
        let mut folders: Vec<_> = self.programs().map(Path::to_owned).into();
        folders.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        let program = Program::new(path)
            .access(&self.access)
            .env("KUBECONFIG", self.kubeconfig());
        // Both clients keep caches in a home, which is nobody's here.
        let program = program.env("HOME", self.record.folder.join("home"));
        match std::env::join_paths(folders) {
            Ok(path) => program.env("PATH", path),
            Err(_) => program,
        }
    }

    /// Runs kubectl, which must succeed, and gives what it printed.
    pub async fn kubectl<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, KubeError> {
        succeed(
            "kubectl",
            self.program(self.record.kubernetes.join("kubectl"))
                .args(arguments),
        )
        .await
    }

    /// Runs helm, which must succeed, and gives what it printed.
    pub async fn helm<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, KubeError> {
        let helm = self
            .program(self.record.helm.join("helm"))
            .args(arguments)
            .timeout(HELM_PATIENCE);
        succeed("helm", helm).await
    }

    /// `kubectl apply` of YAML or JSON documents.
    pub async fn apply(&self, documents: &str) -> Result<String, KubeError> {
        let program = self
            .program(self.record.kubernetes.join("kubectl"))
            .args(["apply", "--filename=-"]);
        succeed("kubectl apply", program.input(documents.to_owned())).await
    }

    /// Waits until a definition of resources is served, by its name, such as
    /// `archiveruns.archive.s3bundler.dev`. It must have been created or applied before; an error
    /// if that takes more than half a minute.
    pub async fn established(&self, definition: &str) -> Result<(), KubeError> {
        let definition = format!("customresourcedefinition/{definition}");
        let timeout = format!("--timeout={}s", DEFINITION_PATIENCE.as_secs());
        let begun = Instant::now();
        loop {
            let waited = self
                .kubectl(["wait", "--for=condition=Established", &definition, &timeout])
                .await;
            match waited {
                Err(error)
                    if has_no_conditions_yet(&error) && begun.elapsed() < DEFINITION_PATIENCE =>
                {
                    sleep(POLL).await;
                }
                waited => return waited.map(drop),
            }
        }
    }

    /// Gives the node an image, under its name. Pods must not ask for it to be pulled
    /// (`imagePullPolicy: IfNotPresent`).
    pub async fn load(&self, image: &Image) -> Result<(), KubeError> {
        let (image, socket) = (image.clone(), kubelet::socket(&self.record.folder));
        let scratch = self
            .record
            .folder
            .join(format!("image-{:08x}.tar", rand::rng().random::<u32>()));
        blocking(move || {
            image.write(&scratch)?;
            run_to_end(ctr(&socket).args(["images", "import"]).arg(&scratch))?;
            fs::remove_file(&scratch).map_err(with_path(&scratch))
        })
        .await
    }
}

/// Whether this is how `kubectl wait` takes an object that is so new that its conditions are null:
/// as an error, although one without any is waited for.
fn has_no_conditions_yet(error: &KubeError) -> bool {
    matches!(error, KubeError::Command { output, .. } if output.contains("accessor error: <nil>"))
}

/// containerd's own client, for the images and containers of Kubernetes.
fn ctr(socket: &Path) -> Command {
    let mut command = Command::new("ctr");
    command
        .arg("--address")
        .arg(socket)
        .args(["--namespace", "k8s.io"]);
    command
}

async fn succeed(name: &str, program: Program) -> Result<String, KubeError> {
    let done = program.run().await?;
    if done.code == Some(0) {
        return Ok(done.stdout);
    }
    let status = done
        .code
        .map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
    Err(KubeError::Command {
        command: name.to_owned(),
        status,
        output: format!("{}{}", done.stdout, done.stderr),
    })
}

async fn wait_for(
    node: &mut Node,
    what: &'static str,
    mut there: impl AsyncFnMut() -> Result<bool, KubeError>,
) -> Result<(), KubeError> {
    let begun = Instant::now();
    while !there().await? {
        node.check()?;
        if begun.elapsed() > PATIENCE {
            let log = ["kubelet", "containerd", "kube-apiserver"]
                .map(|program| node.log_tail(program))
                .join("\n");
            return Err(KubeError::NotReady {
                what,
                waited: PATIENCE,
                log,
            });
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// Waits until no other cluster is on this machine, which it says, and keeps others waiting for as
/// long as the file is open.
async fn only_one() -> Result<File, KubeError> {
    locked(&std::env::temp_dir().join("s3bundler-kube.lock"), || {
        eprintln!("{WAITING}");
    })
    .await
}

/// Has the lock of this file; calls `waiting` once where somebody else has it.
async fn locked(path: &Path, waiting: impl FnOnce()) -> Result<File, KubeError> {
    let lock = File::create(path).map_err(with_path(path))?;
    let mut waiting = Some(waiting);
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            // Asked again and again, because a thread that waits for a lock cannot be called off.
            Err(TryLockError::WouldBlock) => {
                if let Some(waiting) = waiting.take() {
                    waiting();
                }
                sleep(POLL).await;
            }
            Err(TryLockError::Error(error)) => return Err(with_path(path)(error)),
        }
    }
}

/// A folder that nobody else can read, for there are keys in it.
fn new_folder() -> Result<PathBuf, KubeError> {
    let name = format!("s3bundler-kube-{:08x}", rand::rng().random::<u32>());
    let folder = std::env::temp_dir().join(name);
    DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .map_err(with_path(&folder))?;
    Ok(folder)
}

/// When a process began, in clock ticks since the machine did: field 22 of `/proc/<pid>/stat`,
/// proc(5). Fields are counted after the last parenthesis, because the second one is a name of any
/// kind.
fn since(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    text.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

/// Runs what blocks on a thread for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KubeError> + Send + 'static,
) -> Result<T, KubeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(KubeError::File {
            path: PathBuf::new(),
            source: std::io::Error::other(error),
        }),
    }
}

#[cfg(test)]
mod tests;
