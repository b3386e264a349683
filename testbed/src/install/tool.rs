//! The programs that install others (python3, go, java, mvn) and those that a Kubernetes node is made of. One that is missing is installed with apt-get when this is a
//! Debian and we are root, as on a fresh build machine; anywhere else its absence is one clear line.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use super::InstallError;

/// A program and the Debian package that has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tool {
    program: &'static str,
    package: &'static str,
    /// Arguments with which the program succeeds if it is really usable.
    probe: &'static [&'static str],
}

impl Tool {
    /// Debian has a python3 without ensurepip, so the probe asks for that.
    pub(super) const PYTHON: Self =
        Self { program: "python3", package: "python3-venv", probe: &["-c", "import venv, ensurepip"] };
    pub(super) const GO: Self = Self { program: "go", package: "golang-go", probe: &["version"] };
    pub(super) const JAVA: Self = Self { program: "java", package: "default-jre-headless", probe: &["-version"] };
    pub(super) const BSDTAR: Self = Self { program: "bsdtar", package: "libarchive-tools", probe: &["--version"] };
    pub(super) const MAVEN: Self = Self { program: "mvn", package: "maven", probe: &["-version"] };

    pub(super) const CONTAINERD: Self = Self { program: "containerd", package: "containerd", probe: &["--version"] };
    pub(super) const RUNC: Self = Self { program: "runc", package: "runc", probe: &["--version"] };
    pub(super) const IP: Self = Self { program: "ip", package: "iproute2", probe: &["-Version"] };
    pub(super) const IPTABLES: Self = Self { program: "iptables", package: "iptables", probe: &["--version"] };
    pub(super) const NSENTER: Self = Self { program: "nsenter", package: "util-linux", probe: &["--version"] };
    /// Started by its folder and never through the PATH.
    pub(super) const CNI: Self =
        Self { program: "host-local", package: "containernetworking-plugins", probe: &["--version"] };

    /// As [`Tool::ready`], but content with a file of that name: Java takes a fifth of a second to say its version.
    pub(super) fn present(self) -> Result<(), InstallError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if std::env::split_paths(&path).any(|folder| folder.join(self.program).is_file()) {
            return Ok(());
        }
        self.ready()
    }

    /// Makes sure that the program runs, installing its package if that is possible here.
    pub(super) fn ready(self) -> Result<(), InstallError> {
        if self.works() || (can_install() && self.install() && self.works()) {
            return Ok(());
        }
        Err(self.missing())
    }

    /// The first of these folders that has the program, which is installed if none does and that is possible here.
    pub(super) fn folder_of(self, folders: &[&'static str]) -> Result<&'static Path, InstallError> {
        let found =
            || folders.iter().map(|folder| Path::new(*folder)).find(|folder| folder.join(self.program).is_file());
        if let Some(folder) = found() {
            return Ok(folder);
        }
        if can_install() {
            self.install();
        }
        found().ok_or_else(|| self.missing())
    }

    fn missing(self) -> InstallError {
        InstallError::ToolMissing { program: self.program, package: self.package }
    }

    fn works(self) -> bool {
        silent(Command::new(self.program).args(self.probe))
    }

    fn install(self) -> bool {
        // apt-get's own locks make the second of two fail instead of wait.
        let Ok(lock) = File::create(std::env::temp_dir().join("s3bundler-testbed-apt.lock")) else { return false };
        if lock.lock().is_err() {
            return false;
        }
        let apt = || {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
            command
        };
        silent(apt().arg("update")) && silent(apt().args(["install", "-y", "--no-install-recommends", self.package]))
    }
}

fn can_install() -> bool {
    Path::new("/etc/debian_version").exists() && rustix::process::geteuid().is_root()
}

fn silent(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
