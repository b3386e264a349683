//! The namespaces of a node, and programs in them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The namespaces of a node, for servers that are to run in it: they end with it, and so do their
/// files.
#[derive(Debug, Clone)]
pub struct Namespaces {
    /// Process 1 of the node, as this machine numbers it.
    pub process: u32,
    /// The cluster's folder.
    pub folder: PathBuf,
}

impl Namespaces {
    /// A command that runs a program in these namespaces.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &self.process.to_string(),
                "--net",
                "--mount",
                "--pid",
                "--",
            ])
            .arg(program);
        command
    }
}
