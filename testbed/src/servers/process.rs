//! A server's process: its own process group, its output in a log file, and its end guaranteed.
//!
//! Dropping a [`ServerProcess`] kills the group it started, by id. A test process that is itself
//! killed drops nothing, so a [`Watchdog`] shell sits in the same group with its standard input
//! connected to us: when we are gone, for whatever reason, it reads the end of its input and kills
//! its own group.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// How much of a log goes into an error message.
const TAIL: u64 = 4096;

/// A running server, killed on drop.
#[derive(Debug)]
pub(super) struct ServerProcess {
    child: Child,
    _watchdog: Watchdog,
    log: PathBuf,
    /// Holds the log, the configuration and, unless the caller brought one, the data.
    folder: Option<TempDir>,
}

impl ServerProcess {
    /// Starts the command in its own group, with both outputs in `server.log` of the folder.
    pub(super) fn start(command: &mut Command, folder: TempDir) -> io::Result<Self> {
        let log = folder.path().join("server.log");
        let output = File::create(&log)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()?;
        match Watchdog::over(child.id(), Some(folder.path())) {
            Ok(watchdog) => Ok(Self {
                child,
                _watchdog: watchdog,
                log,
                folder: Some(folder),
            }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        self.child.try_wait()
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// The end of the log, for error messages.
    pub(super) fn log_tail(&self) -> String {
        tail(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Leaves the log where it is when this is dropped, because an error message names it.
    pub(super) fn keep_log(&mut self) {
        if let Some(folder) = self.folder.take() {
            keep_only_log(&folder.keep());
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // The leader is not reaped before `wait`, so its id still names this group and no other.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.keep_log();
            eprintln!("the server's log is kept: {}", self.log.display());
        }
    }
}

/// A shell in the process group of a child that ends the group when this process is gone, and
/// removes the group's files.
#[derive(Debug)]
pub struct Watchdog(Child);

/// The leader first, so that nothing is written any more while files are removed; then the whole
/// group, itself included. As long as the shell is in the group no other process or group can get
/// the leader's number.
const WATCH: &str = r#"
while read -r _; do :; done
kill -KILL "$1"
[ -z "$2" ] || rm -rf -- "$2"
kill -KILL 0
"#;

impl Watchdog {
    /// Watches over the group whose leader has this process id, and over a folder that is of no use
    /// without it. The leader must be a child that was not waited for yet.
    pub fn over(group_leader: u32, folder: Option<&Path>) -> io::Result<Self> {
        let group = i32::try_from(group_leader).map_err(io::Error::other)?;
        Command::new("/bin/sh")
            .args(["-c", WATCH, "watchdog"])
            .arg(group_leader.to_string())
            .arg(folder.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(group)
            .spawn()
            .map(Self)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Before its input is closed, so that an orderly end does not kill the group.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn keep_only_log(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries
        .flatten()
        .filter(|entry| entry.file_name() != "server.log")
    {
        let path = entry.path();
        let _ = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
    }
}
