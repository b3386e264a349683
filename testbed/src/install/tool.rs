//! The programs that install others (python3, go, java, mvn) and those that a Kubernetes node is
//! made of. One that is missing or too old is installed with apt-get when this is a Debian and we
//! are root, as on a fresh build machine; where that does not help its absence or age is one clear
//! line.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::InstallError;

/// A program and the Debian package that has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tool {
    program: &'static str,
    package: &'static str,
    /// Arguments with which the program succeeds if it is really usable.
    probe: &'static [&'static str],
    /// Absent where any version will do.
    oldest: Option<Oldest>,
}

/// The oldest version that will do, of a program whose probe prints its own.
#[derive(Debug, Clone, Copy)]
struct Oldest {
    major: u32,
    minor: u32,
    /// What stands before the version.
    prefix: &'static str,
    /// Where a newer one comes from.
    from: &'static str,
}

impl Oldest {
    /// The version that is too old, if it is. One that does not look like a version is taken for a
    /// new one.
    fn refuses(self, printed: &str) -> Option<String> {
        let mut versions = printed
            .split_whitespace()
            .filter_map(|word| word.strip_prefix(self.prefix));
        let (version, parts) = versions.find_map(|it| Some((it, major_and_minor(it)?)))?;
        (parts < (self.major, self.minor)).then(|| version.to_owned())
    }
}

/// Of `1.19.8`, `1.26rc1` or `1.27-devel`.
fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let (major, rest) = version.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

impl Tool {
    /// Debian has a python3 without ensurepip, so the probe asks for that.
    pub(super) const PYTHON: Self =
        Self::new("python3", "python3-venv", &["-c", "import venv, ensurepip"]);
    /// From 1.21 on it fetches the version that a go.mod asks for by itself ("Go Toolchains"); an
    /// older one cannot even read ours. Debian 12 has 1.19.
    pub(super) const GO: Self = Self {
        oldest: Some(Oldest {
            major: 1,
            minor: 21,
            prefix: "go",
            from: "https://go.dev/dl",
        }),
        ..Self::new("go", "golang-go", &["version"])
    };
    pub(super) const JAVA: Self = Self::new("java", "default-jre-headless", &["-version"]);
    pub(super) const BSDTAR: Self = Self::new("bsdtar", "libarchive-tools", &["--version"]);
    pub(super) const MAVEN: Self = Self::new("mvn", "maven", &["-version"]);

    pub(super) const PROMTOOL: Self = Self::new("promtool", "prometheus", &["--version"]);
    pub(super) const CONTAINERD: Self = Self::new("containerd", "containerd", &["--version"]);
    pub(super) const RUNC: Self = Self::new("runc", "runc", &["--version"]);
    pub(super) const IP: Self = Self::new("ip", "iproute2", &["-Version"]);
    pub(super) const IPTABLES: Self = Self::new("iptables", "iptables", &["--version"]);
    pub(super) const NSENTER: Self = Self::new("nsenter", "util-linux", &["--version"]);
    /// Started by its folder and never through the PATH.
    pub(super) const CNI: Self =
        Self::new("host-local", "containernetworking-plugins", &["--version"]);

    const fn new(
        program: &'static str,
        package: &'static str,
        probe: &'static [&'static str],
    ) -> Self {
        Self {
            program,
            package,
            probe,
            oldest: None,
        }
    }

    /// As [`Tool::ready`], but content with a file of that name: Java takes a fifth of a second to
    /// say its version.
    pub(super) fn present(self) -> Result<(), InstallError> {
        match self.on_path() {
            Some(_) => Ok(()),
            None => self.ready(),
        }
    }

    /// The file that is started under this name.
    pub(super) fn on_path(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|folder| folder.join(self.program))
            .find(|file| file.is_file())
    }

    /// Downloads the Debian package into a folder, without installing it. Only the lists of packages
    /// need root, if they are not there.
    pub(super) fn download(self, folder: &Path) -> Result<PathBuf, InstallError> {
        let _lock = apt_lock();
        let apt = |arguments: &[&str]| {
            let mut command = Command::new("apt-get");
            silent(command.arg("-qq").args(arguments).current_dir(folder))
        };
        let download = ["download", self.package];
        let _ = apt(&download) || (can_install() && apt(&["update"]) && apt(&download));
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files
            .map(|file| file.path())
            .find(|path| path.extension().is_some_and(|it| it == "deb"))
            .ok_or_else(|| self.missing())
    }

    /// Makes sure that the program runs, installing its package if that is possible here.
    pub(super) fn ready(self) -> Result<(), InstallError> {
        match self.probe() {
            Err(_) if can_install() && self.install() => self.probe(),
            looked => looked,
        }
    }

    /// The first of these folders that has the program, which is installed if none does and that is
    /// possible here.
    pub(super) fn folder_of(self, folders: &[&'static str]) -> Result<&'static Path, InstallError> {
        let found = || {
            folders
                .iter()
                .map(|folder| Path::new(*folder))
                .find(|folder| folder.join(self.program).is_file())
        };
        if let Some(folder) = found() {
            return Ok(folder);
        }
        if can_install() {
            self.install();
        }
        found().ok_or_else(|| self.missing())
    }

    fn missing(self) -> InstallError {
        InstallError::ToolMissing {
            program: self.program,
            package: self.package,
        }
    }

    /// Whether the program is usable as it is.
    fn probe(self) -> Result<(), InstallError> {
        let probed = Command::new(self.program)
            .args(self.probe)
            .stdin(Stdio::null())
            .output();
        let probed = probed
            .ok()
            .filter(|probed| probed.status.success())
            .ok_or_else(|| self.missing())?;
        self.is_new_enough(&String::from_utf8_lossy(&probed.stdout))
    }

    fn is_new_enough(self, printed: &str) -> Result<(), InstallError> {
        let Some(oldest) = self.oldest else {
            return Ok(());
        };
        let Some(found) = oldest.refuses(printed) else {
            return Ok(());
        };
        let Oldest {
            major, minor, from, ..
        } = oldest;
        Err(InstallError::ToolTooOld {
            program: self.program,
            oldest: format!("{major}.{minor}"),
            found,
            from,
        })
    }

    fn install(self) -> bool {
        let Some(_lock) = apt_lock() else {
            return false;
        };
        let apt = || {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
            command
        };
        silent(apt().arg("update"))
            && silent(apt().args(["install", "-y", "--no-install-recommends", self.package]))
    }
}

/// Held while apt-get runs: its own locks make the second of two fail instead of wait.
fn apt_lock() -> Option<File> {
    let lock = File::create(std::env::temp_dir().join("s3bundler-testbed-apt.lock")).ok()?;
    lock.lock().ok()?;
    Some(lock)
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

#[cfg(test)]
mod tests;
