//! The way to a cluster for a shell and what is started from one.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use super::Cluster;

impl Cluster {
    /// Lines for a POSIX shell, which then finds kubectl, helm, the cluster, and its S3 and SQS.
    pub fn exports(&self) -> String {
        let mut lines = String::new();
        for (name, value) in self.environment() {
            let value = value.to_string_lossy().replace('\'', r"'\''");
            let _ = writeln!(lines, "export {name}='{value}'");
        }
        lines
    }

    /// The same as variables, for a command.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut variables: Vec<(&'static str, OsString)> = self
            .access()
            .environment()
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        variables.push(("AWS_EC2_METADATA_DISABLED", "true".into()));
        variables.push(("KUBECONFIG", self.kubeconfig().into()));
        // The cluster is on this machine, whatever proxy leads out of it.
        let around = std::env::var("NO_PROXY")
            .or_else(|_| std::env::var("no_proxy"))
            .unwrap_or_default();
        let ours = "10.88.0.1,10.88.0.0/16,10.96.0.1";
        let around = match around.as_str() {
            "" => ours.to_owned(),
            set if set.contains(ours) => set.to_owned(),
            set => format!("{set},{ours}"),
        };
        variables.extend([
            ("NO_PROXY", around.clone().into()),
            ("no_proxy", around.into()),
        ]);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let ours = self.programs().map(Path::to_owned);
        let others = std::env::split_paths(&path).filter(|folder| !ours.contains(folder));
        if let Ok(path) = std::env::join_paths(ours.iter().cloned().chain(others)) {
            variables.push(("PATH", path));
        }
        variables
    }
}
