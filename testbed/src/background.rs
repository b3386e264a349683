//! The cluster that `up` boots, `exec` uses and `down` ends: kept by a process of this same program
//! in the background.
//!
//! ```text
//! up ──► keep (in the background) ──► Cluster, its folder's path in <cache>/kube-up ──► SIGTERM ──► gone
//!  └──► waits for the path, prints the environment             ▲                          ▲
//!                                                         exec ┘                     down ┘
//! ```
//!
//! The keeper has the lock of `<cache>/kube-up.lock` for as long as it lives, and its number is in
//! that file, so one that still boots is found too: a second `up` waits with the first, and `down`
//! ends it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use s3bundler_testbed::cli::{Signal, send};
use s3bundler_testbed::install::{self, InstallError, Recipe};
use s3bundler_testbed::kube::{Cluster, Image, KubeError, WAITING};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

/// In the cache: the path of the folder of the cluster that `up` booted.
const RECORD: &str = "kube-up";
/// In the cache: held by the process in the background, and its number.
const LOCK: &str = "kube-up.lock";
/// In the cache: what the process in the background says.
const LOG: &str = "kube-up.log";
const POLL: Duration = Duration::from_millis(100);
/// An installation that is under way is not called off; everything else ends in seconds.
const PATIENCE: Duration = Duration::from_mins(2);

/// Why the cluster in the background is not as was asked.
#[derive(Debug, Error)]
pub enum BackgroundError {
    #[error(transparent)]
    Kube(#[from] KubeError),
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("no cluster runs; start one with `up`, or name your own in KUBECONFIG")]
    NotUp,
    #[error("the process that keeps the cluster, {0}, does not end")]
    StillThere(u32),
    #[error("the cluster did not start: {0}")]
    NotStarted(String),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackgroundError + use<> {
    let path = path.to_owned();
    move |source| BackgroundError::File { path, source }
}

/// The cluster that `up` booted, if it still runs.
fn running() -> Result<Option<Cluster>, BackgroundError> {
    let record = install::cache_folder()?.join(RECORD);
    match fs::read_to_string(&record) {
        Ok(folder) => Ok(Cluster::attach(Path::new(&folder)).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(&record)(error)),
    }
}

/// The variable KUBECONFIG, unless none of its files is there: a shell that has evaluated what `up`
/// printed still names the cluster that `down` has ended since.
fn given() -> Option<OsString> {
    std::env::var_os("KUBECONFIG").filter(|given| names_a_file(given))
}

fn names_a_file(kubeconfig: &OsStr) -> bool {
    std::env::split_paths(kubeconfig).any(|path| path.is_file())
}

/// A program, and the name of the image that is to be made of it.
#[derive(Debug, Clone)]
pub struct NamedProgram {
    name: String,
    program: PathBuf,
}

impl FromStr for NamedProgram {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, program) = text
            .split_once('=')
            .ok_or("it should look like localhost/app:dev=path/to/app")?;
        Ok(Self {
            name: name.to_owned(),
            program: program.into(),
        })
    }
}

/// Makes sure that there is a cluster, gives it these images, and prints how to reach it.
pub async fn up(images: &[NamedProgram]) -> Result<(), BackgroundError> {
    let running = running()?;
    if let Some(given) = given()
        && running
            .as_ref()
            .is_none_or(|cluster| Path::new(&given) != cluster.kubeconfig())
    {
        // Somebody's own: their S3 and SQS are theirs, too.
        println!("export KUBECONFIG={}", given.display());
        return Ok(());
    }
    let cluster = match running {
        Some(cluster) => cluster,
        None => boot().await?,
    };
    for NamedProgram { name, program } in images {
        cluster
            .load(&Image::of_program(name.clone(), program)?)
            .await?;
        // For whoever reads it; a shell that evaluates the rest passes over it.
        println!("# image {name}");
    }
    print!("{}", cluster.exports());
    Ok(())
}

async fn boot() -> Result<Cluster, BackgroundError> {
    let cache = install::cache_folder()?;
    fs::create_dir_all(&cache).map_err(at(&cache))?;
    let lock = lock_file(&cache)?;
    let (mut keeper, mut told) = (None, false);
    loop {
        if let Some(cluster) = running()? {
            return Ok(cluster);
        }
        if let Some(keeper) = &mut keeper {
            let keeper: &mut Child = keeper;
            if let Some(status) = keeper.try_wait().map_err(at(&cache))? {
                let said = fs::read_to_string(cache.join(LOG)).unwrap_or_default();
                return Err(BackgroundError::NotStarted(format!(
                    "{status}\n{}",
                    said.trim()
                )));
            }
        } else if lock.try_lock().is_ok() {
            keeper = Some(start_keeper(&cache, &lock)?);
        }
        // Said where nobody looks.
        if !told && fs::read_to_string(cache.join(LOG)).is_ok_and(|said| said.contains(WAITING)) {
            eprintln!("{WAITING}");
            told = true;
        }
        tokio::time::sleep(POLL).await;
    }
}

fn lock_file(cache: &Path) -> Result<File, BackgroundError> {
    let path = cache.join(LOCK);
    // Not emptied: the number in it is that of who holds the lock now.
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(at(&path))
}

fn start_keeper(cache: &Path, mut lock: &File) -> Result<Child, BackgroundError> {
    let path = cache.join(LOG);
    let log = File::create(&path).map_err(at(&path))?;
    let program = std::env::current_exe().map_err(at(Path::new("/proc/self/exe")))?;
    let keeper = Command::new(&program)
        .arg("keep")
        .current_dir("/")
        // A lock belongs to the open file: the keeper has it from now on, as its input.
        .stdin(lock.try_clone().map_err(at(cache))?)
        .stdout(Stdio::null())
        .stderr(log)
        // Not of the terminal's foreground, whose Ctrl-C it must not get.
        .process_group(0)
        .spawn()
        .map_err(at(&program))?;
    lock.set_len(0)
        .and_then(|()| write!(lock, "{}", keeper.id()))
        .map_err(at(&cache.join(LOCK)))?;
    Ok(keeper)
}

/// Boots a cluster, makes it known, and keeps it until a signal.
pub async fn keep() -> Result<(), BackgroundError> {
    let failed = |source| BackgroundError::File {
        path: PathBuf::from("signals"),
        source,
    };
    // Listened for before anything starts, so that an early signal still ends what was started.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    // A terminal that is closed is no reason to end.
    let _hang_up = signal(SignalKind::hangup()).map_err(failed)?;
    let cluster = tokio::select! {
        cluster = Cluster::start() => cluster?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    let record = install::cache_folder()?.join(RECORD);
    let unfinished = record.with_extension("unfinished");
    fs::write(&unfinished, cluster.folder().display().to_string()).map_err(at(&unfinished))?;
    fs::rename(&unfinished, &record).map_err(at(&record))?;
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
    fs::remove_file(&record).map_err(at(&record))?;
    cluster.stop().await?;
    Ok(())
}

/// Ends the cluster that `up` booted or still boots, and returns when nothing of it is left. One
/// that is not there is ended.
pub async fn down() -> Result<(), BackgroundError> {
    if let Some(cluster) = running()? {
        cluster.stop().await?;
    }
    let cache = install::cache_folder()?;
    if !cache.join(LOCK).exists() {
        return Ok(());
    }
    let lock = lock_file(&cache)?;
    let begun = Instant::now();
    let mut told = None;
    while lock.try_lock().is_err() {
        let keeper = fs::read_to_string(cache.join(LOCK))
            .ok()
            .and_then(|text| text.parse::<u32>().ok());
        if let Some(keeper) = keeper
            && told != Some(keeper)
        {
            // It may have ended since; then the lock is free.
            let _ = send(keeper, Signal::Terminate);
            told = Some(keeper);
        }
        if begun.elapsed() > PATIENCE {
            return Err(BackgroundError::StillThere(keeper.unwrap_or_default()));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Runs a command, as itself: its exit code is ours. Without a cluster of `up` it gets that of
/// KUBECONFIG.
pub fn exec(command: &[OsString]) -> Result<ExitCode, BackgroundError> {
    let environment = match running()? {
        Some(cluster) => cluster.environment(),
        None if given().is_some() => somebodys_own()?,
        None => return Err(BackgroundError::NotUp),
    };
    let (program, arguments) = command.split_first().ok_or(BackgroundError::NotUp)?;
    // Only returns if it could not.
    let error = Command::new(program)
        .args(arguments)
        .envs(environment)
        .exec();
    Err(at(Path::new(program))(error))
}

/// What somebody's own cluster lacks: kubectl and helm, as far as they are installed, after those
/// that fit it better.
fn somebodys_own() -> Result<Vec<(&'static str, OsString)>, BackgroundError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    for recipe in [Recipe::Kubernetes, Recipe::Helm] {
        folders.extend(install::found(recipe)?);
    }
    Ok(std::env::join_paths(folders)
        .map(|path| ("PATH", path))
        .into_iter()
        .collect())
}

#[cfg(test)]
mod tests;
