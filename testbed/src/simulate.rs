//! Options of `servers --s3 simulator`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use s3bundler_testbed::simulator::{Simulator, SimulatorOptions, Weather};
use thiserror::Error;

/// Options that only the simulator has.
#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Simulator (with --s3 simulator)")]
pub struct SimulatorArguments {
    /// Address for HTTP. Default: a free port of loopback. Example: 0.0.0.0:9000.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Also serves HTTPS, at this address or a free port of loopback.
    ///
    /// The simulator creates a certificate authority at each start. The printed AWS_ENDPOINT_URL is
    /// then the HTTPS address, and AWS_CA_BUNDLE names the authority's PEM file, which is deleted at
    /// the end. Example: --https=0.0.0.0:9443.
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "127.0.0.1:0"
    )]
    https: Option<SocketAddr>,
    /// Host whose subdomains are buckets; may be repeated. Default: s3.localhost.
    ///
    /// The simulator finds the bucket of a request to <bucket>.<host> in the Host header, and the
    /// bucket of any other request in the path. The certificate is valid for the host and its
    /// subdomains. Clients must resolve these names to the simulator, for example in /etc/hosts.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Number of threads. Default: 1.
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    /// JSON file with latency, limits and outages, as in PUT /_simulator/weather. Default: none.
    #[arg(long, value_name = "FILE")]
    weather: Option<PathBuf>,
    /// Duration of a restore, in seconds. Default: 5.
    #[arg(long, value_name = "SECONDS")]
    thaw: Option<u64>,
    /// Size in bytes from which objects are stored as ETag and checksum only.
    ///
    /// Such objects cannot be read, and need no memory. Default: all objects are stored.
    #[arg(long, value_name = "BYTES")]
    digests_from: Option<u64>,
}

/// Why the file of the weather cannot be used.
#[derive(Debug, Error)]
pub enum WeatherError {
    /// It cannot be read.
    #[error("cannot read the weather from {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is not a weather.
    #[error("{path} is not a weather: {source}; docs/testbed.md has an example", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
}

impl SimulatorArguments {
    /// Returns the options of the simulator.
    pub fn options(self) -> Result<SimulatorOptions, WeatherError> {
        let default = SimulatorOptions::default();
        Ok(SimulatorOptions {
            listen: self.listen.unwrap_or(default.listen),
            https: self.https,
            hosts: if self.host.is_empty() {
                default.hosts
            } else {
                self.host
            },
            threads: self.threads.map_or(default.threads, NonZeroUsize::get),
            weather: self.weather.map_or(Ok(default.weather), read)?,
            thaw: self.thaw.map_or(default.thaw, Duration::from_secs),
            digests_from: self.digests_from.unwrap_or(default.digests_from),
        })
    }
}

fn read(path: PathBuf) -> Result<Weather, WeatherError> {
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(WeatherError::Read { path, source }),
    };
    serde_json::from_slice(&text).map_err(|source| WeatherError::Parse { path, source })
}

/// Lines that show the addresses of a simulator, as comments of a shell.
pub fn addresses(simulator: &Simulator, hosts: &[String]) -> String {
    let mut lines = String::new();
    let secure = simulator.https().map(|access| &access.endpoint);
    for endpoint in [Some(&simulator.access().endpoint), secure] {
        let Some((scheme, address)) = endpoint.and_then(|it| it.split_once("://")) else {
            continue;
        };
        let _ = writeln!(lines, "# {scheme}://{address}/<bucket>/<key>");
        let port = address.rsplit(':').next().unwrap_or_default();
        for host in hosts {
            let _ = writeln!(lines, "# {scheme}://<bucket>.{host}:{port}/<key>");
        }
    }
    lines
}
