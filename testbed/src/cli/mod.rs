//! Running the program under test as a user would: a clean environment, the server's address and
//! keys in `AWS_*` variables, everything it prints captured, and an end in every case.
//!
//! ```no_run
//! # async fn example(server: &s3bundler_testbed::servers::VersityGw) -> Result<(), s3bundler_testbed::cli::CliError> {
//! use s3bundler_testbed::cli::{Program, Signal};
//!
//! let done = Program::new("/path/to/s3bundler").access(server.access()).args(["plan", "--inventory", "s3://…"]).run().await?;
//! assert_eq!(done.code, Some(0), "{done}");
//!
//! let worker = Program::new("/path/to/s3bundler").access(server.access()).args(["bundle", "--queue", "…"]).spawn()?;
//! worker.wait_for_output("receiving").await?;
//! worker.signal(Signal::Terminate)?;
//! assert_eq!(worker.wait().await?.code, Some(0));
//! # Ok(()) }
//! ```

mod program;
mod running;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use thiserror::Error;

pub use program::Program;
pub use running::{Outcome, Running, Said};

/// Why a run has no outcome.
#[derive(Debug, Error)]
pub enum CliError {
    /// It could not be started.
    #[error("starting {program}: {source}", program = program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It could not be waited for or signalled.
    #[error("process {pid}: {source}")]
    Process {
        /// Its id.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// It did not end in time and was killed.
    #[error("killed after {after:?}\n{output}")]
    TimedOut {
        /// The time it had.
        after: Duration,
        /// All that it printed.
        output: String,
    },
    /// What the test waited for was never printed.
    #[error("{wanted:?} was not printed\n{output}")]
    NotPrinted {
        /// The text looked for.
        wanted: String,
        /// All that was printed.
        output: String,
    },
}

/// The signals that tests send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// What Kubernetes sends first.
    Terminate,
    /// What nothing survives.
    Kill,
    /// Freezes the process: a node that went away.
    Stop,
    /// Ends a freeze.
    Continue,
}

/// Sends a signal to one process by its id.
pub fn send(pid: u32, signal: Signal) -> Result<(), CliError> {
    let number = match signal {
        Signal::Interrupt => rustix::process::Signal::INT,
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
        Signal::Stop => rustix::process::Signal::STOP,
        Signal::Continue => rustix::process::Signal::CONT,
    };
    let failed = |source| CliError::Process { pid, source };
    let id = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    kill_process(id, number).map_err(|error| failed(error.into()))
}

/// Kills a process and returns when it can do nothing more: the kernel has closed its sockets and
/// files. For hooks of the fault proxy, which must know that a request was the last.
pub fn kill_and_wait(pid: u32) -> Result<(), CliError> {
    send(pid, Signal::Kill)?;
    wait_while(pid, |state| !has_ended(state));
    Ok(())
}

/// Freezes a process and returns when it does nothing more. A process that has ended meanwhile is
/// not an error.
pub fn stop_and_wait(pid: u32) -> Result<(), CliError> {
    send(pid, Signal::Stop)?;
    wait_while(pid, |state| !has_ended(state) && state != 'T');
    Ok(())
}

/// Whether a process still does something: one that has ended and was not waited for does not.
pub fn is_alive(pid: u32) -> bool {
    task_states(pid).into_iter().any(|state| !has_ended(state))
}

fn has_ended(state: char) -> bool {
    matches!(state, 'Z' | 'X')
}

fn wait_while(pid: u32, is_so: impl Fn(char) -> bool) {
    while task_states(pid).into_iter().any(&is_so) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The states of all threads of a process: that of the process itself is only that of its first
/// thread, which may end or stop before the others do. Empty if there is no such process.
fn task_states(pid: u32) -> Vec<char> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let stats = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    // `pid (name) S …`: the state follows the last parenthesis, which a name may have, too.
    stats
        .filter_map(|stat| stat.rsplit_once(") ")?.1.chars().next())
        .collect()
}
