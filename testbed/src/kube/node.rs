//! The node: namespaces of its own for network, processes and mounts, held by one process, and the
//! programs in them.
//!
//! ```text
//! us ──► unshare ──► init.sh (process 1 of the node) ◄── every program of the cluster, every container
//!  │        ▲ same process group, so its number is nobody else's
//!  └──► teardown.sh: reads our end from its input, then  kill init ─► rmdir control groups ─► rm folder ─► unlock
//! ```
//!
//! Killing process 1 of a process namespace ends all others in it, whatever they do; the kernel
//! says so by letting `unshare` return. There is no list of process ids to keep and none that could
//! be missing from it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{KubeError, with_path};
use crate::namespaces::Namespaces;

/// The node as pods and tests know it: S3, SQS and the API listen here.
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);
/// This machine as pods know it: a fault proxy or a webhook of a test may listen here.
pub const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 88, 255, 254);
/// The API as in-cluster configuration names it: the first address of the services. Being an
/// address of the bridge, it needs no kube-proxy.
pub const SERVICE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// What the bridge reaches: pods, node and this machine.
pub(super) const NETWORK: &str = "10.88.0.0/16";
pub(super) const BRIDGE: &str = "tb0";

const INIT: &str = include_str!("init.sh");
const TEARDOWN: &str = include_str!("teardown.sh");
/// Namespaces and three mounts: milliseconds, on a machine that is not busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of a log goes into an error message.
const TAIL: u64 = 3000;

/// A running node. Everything in it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Node {
    folder: PathBuf,
    control_group: String,
    init: u32,
    holder: Child,
    /// Ends the node and removes its traces as soon as its input ends.
    teardown: Child,
    programs: Vec<(String, Child)>,
}

impl Node {
    /// Makes the namespaces and the network. `folder` is empty and will be removed with the node;
    /// `lock` is given back when all is gone.
    pub(super) fn start(folder: &Path, lock: &File) -> Result<Self, KubeError> {
        let name = folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        for part in ["log", "init.sh", "teardown.sh"] {
            let path = folder.join(part);
            let made = match part {
                "init.sh" => fs::write(&path, INIT),
                "teardown.sh" => fs::write(&path, TEARDOWN),
                _ => fs::create_dir(&path),
            };
            made.map_err(with_path(&path))?;
        }
        free_of_others()?;
        let log = log(folder, "init")?;
        let failed = with_path(&folder.join("init.sh"));
        let mut holder = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child",
                "--propagation",
                "private",
            ])
            .args(["/bin/sh", "init.sh"])
            .arg(folder)
            .args([NODE_ADDRESS, SERVICE_ADDRESS].map(|address| address.to_string()))
            .arg(BRIDGE)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(with_path(folder))?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        // From here on there is something to end.
        let teardown = start_teardown(&mut holder, folder, &name, lock).inspect_err(|_| {
            let _ = holder.kill();
            let _ = holder.wait();
        })?;
        let mut node = Self {
            folder: folder.to_owned(),
            control_group: name,
            init: 0,
            holder,
            teardown,
            programs: Vec::new(),
        };
        node.init = node.wait_for_init()?;
        node.join_this_machine()?;
        Ok(node)
    }

    fn wait_for_init(&mut self) -> Result<u32, KubeError> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.holder.try_wait().map_err(with_path(&self.folder))? {
                return Err(self.ended("init", &status.to_string()));
            }
            if self.folder.join("node-is-ready").exists()
                && let Some(init) = only_child(self.holder.id())
            {
                return Ok(init);
            }
            if begun.elapsed() > PATIENCE {
                let log = self.log_tail("init");
                return Err(KubeError::NotReady {
                    what: "the node's namespaces",
                    waited: PATIENCE,
                    log,
                });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A pair of links, one end on the node's bridge and one here, and the routes. The links go
    /// with the node's network.
    fn join_this_machine(&self) -> Result<(), KubeError> {
        // Names of links are short, 15 characters at most.
        let link = format!("tb{}", self.init);
        let here = |arguments: &[&str]| run_to_end(Command::new("ip").args(arguments));
        here(&[
            "link",
            "add",
            &link,
            "type",
            "veth",
            "peer",
            "name",
            "host0",
            "netns",
            &self.init.to_string(),
        ])?;
        run_to_end(
            self.namespaces()
                .command(Path::new("ip"))
                .args(["link", "set", "host0", "master", BRIDGE, "up"]),
        )?;
        here(&["addr", "add", &format!("{HOST_ADDRESS}/16"), "dev", &link])?;
        here(&["link", "set", &link, "up"])?;
        here(&[
            "route",
            "add",
            &format!("{SERVICE_ADDRESS}/32"),
            "via",
            &NODE_ADDRESS.to_string(),
        ])
    }

    /// Starts a program in the node, its output in `log/<name>.log`. It sees nothing of our
    /// environment but the PATH.
    pub(super) fn run(
        &mut self,
        name: &str,
        program: &Path,
        arguments: &[String],
    ) -> Result<(), KubeError> {
        let log = log(&self.folder, name)?;
        let child = self
            .namespaces()
            .command(program)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(with_path(program))?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(with_path(program))?;
        self.programs.push((name.to_owned(), child));
        Ok(())
    }

    /// An error if a program of the node has ended.
    pub(super) fn check(&mut self) -> Result<(), KubeError> {
        for (name, child) in &mut self.programs {
            if let Some(status) = child.try_wait().map_err(with_path(&self.folder))? {
                let (name, status) = (name.clone(), status.to_string());
                return Err(self.ended(&name, &status));
            }
        }
        Ok(())
    }

    fn ended(&self, program: &str, status: &str) -> KubeError {
        KubeError::Ended {
            program: program.to_owned(),
            status: status.to_owned(),
            log: self.log_tail(program),
        }
    }

    pub(super) fn log_tail(&self, program: &str) -> String {
        tail(&self.folder.join(format!("log/{program}.log")))
            .unwrap_or_else(|error| format!("(no log: {error})"))
    }

    pub(super) fn namespaces(&self) -> Namespaces {
        Namespaces {
            process: self.init,
            folder: self.folder.clone(),
        }
    }

    /// The control group, below the root of every hierarchy, in which all pods are.
    pub(super) fn control_group(&self) -> &str {
        &self.control_group
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.teardown.stdin.take());
        let _ = self.teardown.wait();
        let _ = self.holder.wait();
        for (_, child) in &mut self.programs {
            let _ = child.wait();
        }
    }
}

fn start_teardown(
    holder: &mut Child,
    folder: &Path,
    name: &str,
    lock: &File,
) -> Result<Child, KubeError> {
    let script = folder.join("teardown.sh");
    Command::new("/bin/sh")
        .arg(&script)
        .arg(holder.id().to_string())
        .arg(folder)
        .arg(name)
        .current_dir("/")
        .stdin(Stdio::piped())
        // A lock belongs to the open file and not to a process: held by the shell as its output, it
        // lasts until the traces are gone, even when we are gone first.
        .stdout(lock.try_clone().map_err(with_path(&script))?)
        .stderr(Stdio::null())
        .process_group(i32::try_from(holder.id()).unwrap_or(0))
        .spawn()
        .map_err(with_path(&script))
}

/// Whether nobody else, such as a network of Podman, has our addresses.
fn free_of_others() -> Result<(), KubeError> {
    let routes = Command::new("ip")
        .args(["-4", "route", "show", "root", NETWORK])
        .output();
    let routes = routes.map_err(with_path(Path::new("ip")))?;
    match String::from_utf8_lossy(&routes.stdout).trim() {
        "" => Ok(()),
        route => Err(KubeError::NetworkTaken {
            network: NETWORK,
            route: route.to_owned(),
        }),
    }
}

/// `/proc/<pid>/task/<pid>/children`, as proc(5) describes it.
fn only_child(process: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Runs a command to its end, which must be a good one.
pub(super) fn run_to_end(command: &mut Command) -> Result<(), KubeError> {
    let (status, output) = match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => (
            output.status.to_string(),
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ),
        Err(error) => (error.to_string(), String::new()),
    };
    Err(KubeError::Command {
        command: format!("{command:?}"),
        status,
        output,
    })
}

fn log(folder: &Path, name: &str) -> Result<File, KubeError> {
    let path = folder.join(format!("log/{name}.log"));
    File::create(&path).map_err(with_path(&path))
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
