//! What all servers have in common: a port, a process and the wait until it answers. A port can be
//! lost between choosing and binding it, so a server that ends at once is started again on another
//! one, and an answer on that port counts only if the server itself listens there. Starting is work
//! for a processor, so a process starts only a few servers at a time.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::listeners;
use super::port::Port;
use super::process::ServerProcess;
use super::{Access, ServerError};
use crate::install::{self, Recipe};

const START_ATTEMPTS: usize = 3;
const POLL: Duration = Duration::from_millis(25);
/// One for each server that may start now. Two for a core: a start also waits for the disk, and a
/// slow one must not keep all others waiting.
static STARTS: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores: usize = std::thread::available_parallelism().map_or(1, Into::into);
    Semaphore::new(2 * cores)
});

/// How to tell that a server is ready.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ready {
    /// It answers this path over plain HTTP, with whatever status.
    Answers(&'static str),
    /// It accepts connections: all that can be asked of TLS without a client.
    Accepts,
}

/// Where and how a server is to run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) recipe: Recipe,
    pub(super) bind: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) ready: Ready,
    /// In which it gets a folder of its own; that of temporary files unless given.
    pub(super) folder: Option<PathBuf>,
    /// From the start of the process: Java needs a while on a busy machine.
    pub(super) patience: Duration,
}

impl Plan {
    pub(super) fn on_loopback(recipe: Recipe, ready: Ready) -> Self {
        Self {
            recipe,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: None,
            ready,
            folder: None,
            patience: Duration::from_mins(5),
        }
    }
}

/// A server that answers.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) process: ServerProcess,
    pub(super) access: Access,
    _port: Port,
}

/// What a command line is made from.
#[derive(Debug)]
pub(super) struct Site<'a> {
    /// Where the server is installed.
    pub(super) program: &'a std::path::Path,
    /// A folder of its own, gone when the server is.
    pub(super) folder: &'a std::path::Path,
    pub(super) bind: IpAddr,
    pub(super) port: u16,
}

impl Server {
    /// Installs, starts and waits. `command` makes the command line; `access` completes the
    /// endpoint `host:port`.
    pub(super) async fn start(
        plan: Plan,
        command: impl Fn(&Site<'_>) -> io::Result<Command>,
        access: impl Fn(String) -> Access,
    ) -> Result<Self, ServerError> {
        let name = plan.recipe.name();
        let failed = |source| ServerError::Start { name, source };
        let recipe = plan.recipe;
        let program = tokio::task::spawn_blocking(move || install::installed(recipe))
            .await
            .map_err(|error| failed(io::Error::other(error)))??;
        let _turn = STARTS
            .acquire()
            .await
            .map_err(|error| failed(io::Error::other(error)))?;
        let mut attempt = 1;
        loop {
            let port = match plan.port {
                Some(number) => Port::given(number),
                None => Port::free(plan.bind).map_err(ServerError::NoPort)?,
            };
            let parent = plan.folder.clone().unwrap_or_else(std::env::temp_dir);
            let folder =
                TempDir::with_prefix_in(format!("s3bundler-{name}-"), parent).map_err(failed)?;
            let site = Site {
                program: &program,
                folder: folder.path(),
                bind: plan.bind,
                port: port.number(),
            };
            let mut command = command(&site).map_err(failed)?;
            let mut process = ServerProcess::start(&mut command, folder).map_err(failed)?;
            match wait(&mut process, &plan, port.number()).await {
                Ok(()) => {
                    let host = if plan.bind.is_unspecified() {
                        IpAddr::V4(Ipv4Addr::LOCALHOST)
                    } else {
                        plan.bind
                    };
                    let access = access(std::net::SocketAddr::new(host, port.number()).to_string());
                    return Ok(Self {
                        process,
                        access,
                        _port: port,
                    });
                }
                Err(ServerError::EndedEarly { .. })
                    if plan.port.is_none() && attempt < START_ATTEMPTS =>
                {
                    attempt += 1;
                }
                Err(error) => {
                    process.keep_log();
                    return Err(error);
                }
            }
        }
    }
}

async fn wait(process: &mut ServerProcess, plan: &Plan, port: u16) -> Result<(), ServerError> {
    let name = plan.recipe.name();
    let host = if plan.bind.is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        plan.bind
    };
    let begun = Instant::now();
    loop {
        if let Some(status) = process
            .ended()
            .map_err(|source| ServerError::Start { name, source })?
        {
            let (log, tail) = (process.log().to_owned(), process.log_tail());
            return Err(ServerError::EndedEarly {
                name,
                status: status.to_string(),
                log,
                tail,
            });
        }
        let answers = timeout(Duration::from_secs(5), answers((host, port), plan.ready)).await;
        // Whoever insists on a port may do so in another network.
        if answers.is_ok_and(|answer| answer)
            && (plan.port.is_some() || listeners::listens(process.pid(), port))
        {
            return Ok(());
        }
        if begun.elapsed() > plan.patience {
            let (log, tail) = (process.log().to_owned(), process.log_tail());
            return Err(ServerError::NotReady {
                name,
                waited: plan.patience,
                log,
                tail,
            });
        }
        sleep(POLL).await;
    }
}

async fn answers(address: (IpAddr, u16), ready: Ready) -> bool {
    let Ok(mut connection) = TcpStream::connect(address).await else {
        return false;
    };
    let Ready::Answers(path) = ready else {
        return true;
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\n\r\n",
        address.0, address.1
    );
    let mut start = [0; 5];
    connection.write_all(request.as_bytes()).await.is_ok()
        && connection.read_exact(&mut start).await.is_ok()
        && &start == b"HTTP/"
}
