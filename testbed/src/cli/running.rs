//! A program while it runs, and how it ended. Its outputs are read all the time, so that it never
//! blocks on a full pipe; its memory is looked at all the time, because nobody can ask a process
//! that is gone.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{CliError, Signal, send};
use crate::servers::Watchdog;

const MEMORY_POLL: Duration = Duration::from_millis(20);

type Captured = Arc<Mutex<Vec<u8>>>;

fn capture(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> (Captured, JoinHandle<()>) {
    let captured = Captured::default();
    let target = Arc::clone(&captured);
    let reader = tokio::spawn(async move {
        let Some(mut pipe) = pipe else { return };
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
            target
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(&buffer[..length]);
        }
    });
    (captured, reader)
}

fn text(captured: &Captured) -> String {
    String::from_utf8_lossy(&captured.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

async fn watch_memory(pid: u32, peak: Arc<AtomicU64>) {
    while let Some(bytes) = read_peak_memory(pid) {
        peak.fetch_max(bytes, Ordering::Relaxed);
        sleep(MEMORY_POLL).await;
    }
}

/// The kernel's own high-water mark, so that nothing is missed between two looks but the very end.
fn read_peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// What a program has printed so far, for whoever does not hold it: hooks of the fault proxy.
#[derive(Debug, Clone)]
pub struct Said {
    stdout: Captured,
    stderr: Captured,
}

impl Said {
    /// To its standard output.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// To its standard error.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }
}

/// A program that was started. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pid: u32,
    begun: Instant,
    patience: Duration,
    said: Said,
    readers: Vec<JoinHandle<()>>,
    peak_memory: Arc<AtomicU64>,
    memory_reader: JoinHandle<()>,
    _watchdog: Watchdog,
}

impl Running {
    /// Takes over a child that was just started with both outputs piped.
    pub(super) fn watch(
        mut child: Child,
        pid: u32,
        begun: Instant,
        patience: Duration,
        watchdog: Watchdog,
    ) -> Self {
        let (stdout, stdout_reader) = capture(child.stdout.take());
        let (stderr, stderr_reader) = capture(child.stderr.take());
        let peak_memory = Arc::new(AtomicU64::new(0));
        let memory_reader = tokio::spawn(watch_memory(pid, Arc::clone(&peak_memory)));
        Self {
            child,
            pid,
            begun,
            patience,
            said: Said { stdout, stderr },
            readers: vec![stdout_reader, stderr_reader],
            peak_memory,
            memory_reader,
            _watchdog: watchdog,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<(), CliError> {
        send(self.pid, signal)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has printed to its standard output so far.
    pub fn stdout(&self) -> String {
        self.said.stdout()
    }

    /// What it has printed to its standard error so far.
    pub fn stderr(&self) -> String {
        self.said.stderr()
    }

    /// Both, also later, when somebody else waits for its end.
    pub fn said(&self) -> Said {
        self.said.clone()
    }

    /// Its largest resident memory so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.peak_memory.load(Ordering::Relaxed)
    }

    /// Returns when either output contains the text.
    pub async fn wait_for_output(&self, wanted: &str) -> Result<(), CliError> {
        let begun = Instant::now();
        loop {
            // Asked before looking, so that the last words of a program that ended are seen.
            let over =
                self.readers.iter().all(JoinHandle::is_finished) || begun.elapsed() > self.patience;
            if self.stdout().contains(wanted) || self.stderr().contains(wanted) {
                return Ok(());
            }
            if over {
                return Err(CliError::NotPrinted {
                    wanted: wanted.to_owned(),
                    output: self.output(),
                });
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for its end; one that takes longer than its timeout (counted from the start) is
    /// killed.
    pub async fn wait(mut self) -> Result<Outcome, CliError> {
        let left = self.patience.saturating_sub(self.begun.elapsed());
        let Ok(status) = timeout(left, self.child.wait()).await else {
            let _ = self.child.kill().await;
            return Err(CliError::TimedOut {
                after: self.patience,
                output: self.output(),
            });
        };
        let status = status.map_err(|source| CliError::Process {
            pid: self.pid,
            source,
        })?;
        let wall = self.begun.elapsed();
        for reader in self.readers.drain(..) {
            // Ends with the pipe; a grandchild that keeps it open must not keep us.
            let _ = timeout(Duration::from_secs(5), reader).await;
        }
        self.memory_reader.abort();
        Ok(Outcome {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout(),
            stderr: self.stderr(),
            wall,
            peak_memory: self.peak_memory(),
        })
    }

    fn output(&self) -> String {
        format!("stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr())
    }
}

/// How a program ended and what it said. Displayed, it is the whole story for an assertion's
/// message.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// From start to end.
    pub wall: Duration,
    /// Its largest resident memory in bytes, as last seen; 0 if it ended before the first look.
    pub peak_memory: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "unknown end".to_owned(),
        };
        write!(
            f,
            "{end} after {:?}\nstdout:\n{}\nstderr:\n{}",
            self.wall, self.stdout, self.stderr
        )
    }
}
