//! `s3bundler-testbed`: the servers of the tests by hand.
//!
//! ```text
//! s3bundler-testbed install                        everything that tests will start, one line each
//! s3bundler-testbed bench --s3bundler PATH         tables for docs/performance.md
//! s3bundler-testbed bench-operator --operator …    the table of the operator
//! s3bundler-testbed demo-kubernetes --s3bundler …  the main job on real files in a cluster, before one's eyes
//! s3bundler-testbed demo --s3bundler PATH          the same on the command line alone
//! s3bundler-testbed interop --s3bundler …          KEDA, Prometheus and others with the operator in a cluster
//! s3bundler-testbed servers --s3 versitygw         servers until Ctrl-C, and the lines to paste into a shell
//! s3bundler-testbed up                             a Kubernetes with S3 and SQS in the background, and such lines
//! s3bundler-testbed exec -- kubectl get nodes      a command that finds them in its environment
//! s3bundler-testbed down                           nothing of it is left
//! ```

mod background;
mod simulate;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use background::{BackgroundError, NamedProgram};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use s3bundler_testbed::bench::{self, BenchError, OperatorPart, Part, Scale};
use s3bundler_testbed::demo::{self, DemoError};
use s3bundler_testbed::install::{self, InstallError, Recipe};
use s3bundler_testbed::interop::{self, InteropError};
use s3bundler_testbed::kube::KubeError;
use s3bundler_testbed::servers::{Access, ElasticMq, Moto, S3Mock, ServerError, VersityGw};
use s3bundler_testbed::simulator::Simulator;
use simulate::{SimulatorArguments, WeatherError};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

/// Starts the S3 and SQS servers, and the Kubernetes, that the tests of S3 Bundler use.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetches and builds every server into the cache ($S3BUNDLER_CACHE or ~/.cache/s3bundler).
    Install,
    /// Uploads real files to a local S3, archives them with the given program, and reads one back.
    Demo {
        /// The program.
        #[arg(long)]
        s3bundler: PathBuf,
        /// Where to take files from. Default: the sources that cargo keeps, or those of Python's
        /// standard library.
        #[arg(long)]
        files: Option<PathBuf>,
        /// Leave the server up afterwards, until Ctrl-C.
        #[arg(long)]
        keep: bool,
    },
    /// Boots a Kubernetes, installs the operator with Helm, archives real files with an ArchiveRun,
    /// and reads one back.
    DemoKubernetes {
        /// The program, for the workers and to verify.
        #[arg(long)]
        s3bundler: PathBuf,
        /// The operator.
        #[arg(long)]
        operator: PathBuf,
        /// Where to take files from. Default: the sources that cargo keeps, or those of Python's
        /// standard library.
        #[arg(long)]
        files: Option<PathBuf>,
        /// Leave the cluster up afterwards, until Ctrl-C.
        #[arg(long)]
        keep: bool,
    },
    /// Measures speed and memory, and prints tables in Markdown.
    Bench {
        /// The program, built for release.
        #[arg(long)]
        s3bundler: PathBuf,
        /// Objects of 10 KiB in the comparison with a peer.
        #[arg(long, default_value_t = 20_000)]
        objects: usize,
        /// Objects in the memory benches.
        #[arg(long, default_value_t = 65_000)]
        group: usize,
        /// Rows of an inventory that is grouped. Two more have a tenth and a hundred times as many.
        #[arg(long, default_value_t = 10_000_000)]
        rows: u64,
        /// Benches to run, comma-separated. Default: all.
        #[arg(long, value_delimiter = ',')]
        only: Vec<Part>,
    },
    /// Measures what the operator takes: at rest beside a Kubernetes of its own, with thousands of
    /// runs, and with a million receipts. Prints tables in Markdown.
    BenchOperator {
        /// The operator, built for release.
        #[arg(long)]
        operator: PathBuf,
        /// The program, for groupers and workers.
        #[arg(long)]
        s3bundler: PathBuf,
        /// How long to measure each state.
        #[arg(long, default_value_t = 120)]
        seconds: u64,
        /// Benches to run, comma-separated. Only `idle` boots a Kubernetes. Default: all.
        #[arg(long, value_delimiter = ',')]
        only: Vec<OperatorPart>,
    },
    /// Boots a Kubernetes and tries KEDA, the health checks of Argo CD and Flux, Prometheus, and the
    /// queries of the Grafana dashboard with the operator in it.
    Interop {
        /// The program, for groupers and workers and to verify.
        #[arg(long)]
        s3bundler: PathBuf,
        /// The operator.
        #[arg(long)]
        operator: PathBuf,
        /// Parts to try, comma-separated. Default: all.
        #[arg(long, value_delimiter = ',')]
        only: Vec<interop::Part>,
    },
    /// Boots a Kubernetes with S3 and SQS in the background and prints what to export; uses the
    /// cluster of KUBECONFIG, and boots nothing, where that is set.
    Up {
        /// Makes an image of a linked program and gives it to the cluster; may be repeated.
        #[arg(long, value_name = "NAME=PROGRAM")]
        image: Vec<NamedProgram>,
    },
    /// Ends what `up` booted and leaves nothing behind.
    Down,
    /// Runs a command with kubectl and helm in its PATH and the cluster, S3 and SQS of `up` in its
    /// environment; where there is none, the cluster of KUBECONFIG.
    Exec {
        /// The command with its arguments.
        #[arg(required = true, trailing_var_arg = true)]
        command: Vec<OsString>,
    },
    /// Keeps a cluster until it is told to end: what `up` starts in the background.
    #[command(hide = true)]
    Keep,
    /// Starts servers, prints what to export, and runs until Ctrl-C.
    Servers {
        /// The S3 server.
        #[arg(long, value_enum)]
        s3: S3Server,
        /// The SQS server; with moto for S3 too it is the same one.
        #[arg(long, value_enum)]
        sqs: Option<SqsServer>,
        #[command(flatten)]
        simulator: SimulatorArguments,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum S3Server {
    Moto,
    Versitygw,
    S3mock,
    /// In memory, for loads that no real server carries.
    Simulator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SqsServer {
    Moto,
    Elasticmq,
}

#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Bench(#[from] BenchError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error(transparent)]
    Interop(#[from] InteropError),
    #[error(transparent)]
    Background(#[from] BackgroundError),
    #[error(transparent)]
    Weather(#[from] WeatherError),
    #[error(transparent)]
    Kube(#[from] KubeError),
    #[error("interrupted")]
    Interrupted,
    #[error("no files to upload were found; name a folder with --files")]
    NoFiles,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A server of any kind, kept for its end.
#[derive(Debug)]
enum AnyServer {
    Moto(Moto),
    VersityGw(VersityGw),
    ElasticMq(ElasticMq),
    S3Mock(S3Mock),
    Simulator(Box<Simulator>),
}

impl AnyServer {
    fn access(&self) -> &Access {
        match self {
            Self::Moto(server) => server.access(),
            Self::VersityGw(server) => server.access(),
            Self::ElasticMq(server) => server.access(),
            Self::S3Mock(server) => server.access(),
            Self::Simulator(server) => server.https().unwrap_or_else(|| server.access()),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Install => install_all(),
        Command::Bench {
            s3bundler,
            objects,
            group,
            rows,
            only,
        } => bench::bench(
            &s3bundler,
            Scale {
                objects,
                group,
                rows,
            },
            &only,
        )
        .await
        .map_err(Failure::from),
        Command::BenchOperator {
            operator,
            s3bundler,
            seconds,
            only,
        } => {
            let time = Duration::from_secs(seconds);
            bench::bench_operator(&operator, &s3bundler, time, &only)
                .await
                .map_err(Failure::from)
        }
        Command::Demo {
            s3bundler,
            files,
            keep,
        } => show(&s3bundler, files, keep).await,
        Command::DemoKubernetes {
            s3bundler,
            operator,
            files,
            keep,
        } => show_on_kubernetes(&s3bundler, &operator, files, keep).await,
        Command::Interop {
            s3bundler,
            operator,
            only,
        } => try_others(&s3bundler, &operator, &only).await,
        Command::Servers { s3, sqs, simulator } => servers(s3, sqs, simulator).await,
        Command::Up { image } => background::up(&image).await.map_err(Failure::from),
        Command::Down => background::down().await.map_err(Failure::from),
        Command::Keep => background::keep().await.map_err(Failure::from),
        Command::Exec { command } => match background::exec(&command) {
            Ok(code) => return code,
            Err(error) => Err(error.into()),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("s3bundler-testbed: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn install_all() -> Result<(), Failure> {
    for recipe in Recipe::ALL {
        let begun = Instant::now();
        let folder = install::installed(recipe)?;
        println!(
            "{:<10} {:>6.1} s  {}",
            recipe.name(),
            begun.elapsed().as_secs_f32(),
            folder.display()
        );
    }
    Ok(())
}

async fn show(s3bundler: &Path, files: Option<PathBuf>, keep: bool) -> Result<(), Failure> {
    let files = files.or_else(demo::real_files).ok_or(Failure::NoFiles)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = tokio::select! {
        server = demo::locally(s3bundler, &files) => server?,
        _ = interrupt.recv() => return Ok(()),
    };
    println!("{}", demo::where_to_look_locally(&server, s3bundler, keep));
    if keep {
        interrupt.recv().await;
    }
    Ok(())
}

async fn show_on_kubernetes(
    s3bundler: &Path,
    operator: &Path,
    files: Option<PathBuf>,
    keep: bool,
) -> Result<(), Failure> {
    let files = files.or_else(demo::real_files).ok_or(Failure::NoFiles)?;
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let cluster = tokio::select! {
        cluster = demo::on_kubernetes(s3bundler, operator, &files) => cluster?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    println!(
        "{}",
        demo::where_to_look_on_kubernetes(&cluster, s3bundler, keep)
    );
    if keep {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
    }
    println!("==> Stopping the cluster; nothing of it is left");
    cluster.stop().await?;
    Ok(())
}

async fn try_others(
    s3bundler: &Path,
    operator: &Path,
    only: &[interop::Part],
) -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    tokio::select! {
        tried = interop::interop(s3bundler, operator, only) => Ok(tried?),
        _ = interrupt.recv() => Err(Failure::Interrupted),
        _ = terminate.recv() => Err(Failure::Interrupted),
    }
}

async fn servers(
    s3: S3Server,
    sqs: Option<SqsServer>,
    simulator: SimulatorArguments,
) -> Result<(), Failure> {
    if s3 != S3Server::Simulator && simulator != SimulatorArguments::default() {
        let message = "options of the simulator need --s3 simulator";
        let conflict = Arguments::command().error(ErrorKind::ArgumentConflict, message);
        conflict.exit();
    }
    // Listened for before anything starts, so that an early Ctrl-C still ends what was started.
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let started = tokio::select! {
        started = start(s3, sqs, simulator) => started?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    let mut output = io::stdout().lock();
    output.write_all(started.2.as_bytes())?;
    output.write_all(
        exports(
            started.0.access(),
            started.1.as_ref().map(AnyServer::access),
        )
        .as_bytes(),
    )?;
    output.flush()?;
    drop(output);
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
    Ok(())
}

/// The server for S3, that for SQS if it is another one, and comments for the shell.
async fn start(
    s3: S3Server,
    sqs: Option<SqsServer>,
    simulator: SimulatorArguments,
) -> Result<(AnyServer, Option<AnyServer>, String), Failure> {
    let mut comments = String::new();
    let first = match s3 {
        S3Server::Moto => AnyServer::Moto(Moto::start().await?),
        S3Server::Versitygw => AnyServer::VersityGw(VersityGw::start().await?),
        S3Server::S3mock => AnyServer::S3Mock(S3Mock::start().await?),
        S3Server::Simulator => {
            let options = simulator.options()?;
            let hosts = options.hosts.clone();
            let simulator = Simulator::start(options)?;
            comments = simulate::addresses(&simulator, &hosts);
            AnyServer::Simulator(Box::new(simulator))
        }
    };
    let second = match sqs {
        Some(SqsServer::Moto) if s3 != S3Server::Moto => {
            Some(AnyServer::Moto(Moto::start().await?))
        }
        Some(SqsServer::Elasticmq) => Some(AnyServer::ElasticMq(ElasticMq::start().await?)),
        _ => None,
    };
    Ok((first, second, comments))
}

/// Lines for a POSIX shell. The SQS servers take any keys, so those of S3 serve both.
fn exports(s3: &Access, sqs: Option<&Access>) -> String {
    let mut lines = String::new();
    let mut export = |name: &str, value: &str| {
        let _ = writeln!(lines, "export {name}={value}");
    };
    for (name, value) in s3.environment() {
        export(name, &value);
    }
    if let Some(sqs) = sqs {
        export("AWS_ENDPOINT_URL_SQS", &sqs.endpoint);
    }
    export("AWS_EC2_METADATA_DISABLED", "true");
    lines
}

#[cfg(test)]
mod tests;
