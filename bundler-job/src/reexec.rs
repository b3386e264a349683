//! A process that starts over: what awslabs/s3bundler did after every two groups, so that whatever
//! a library leaks is bounded.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Replaces this process by a new one of the same program with the same arguments and environment
/// ("execve(2)"). It keeps its process id, so nobody who watches it sees an end. Returns the error
/// if it could not.
///
/// The program is found where it was started from: one that was replaced on disk meanwhile is not
/// found. Signals that came before are forgotten, so the caller looks for them last.
pub(crate) fn start_over() -> io::Error {
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    match std::env::current_exe() {
        Ok(program) => {
            let mut command = Command::new(program);
            if let Some(name) = name {
                command.arg0(name);
            }
            command.args(arguments).exec()
        }
        Err(error) => error,
    }
}
