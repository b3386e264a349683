//! An S3 in memory, for loads that no real server on this machine can carry: a bucket of a billion
//! objects, 30,000 GETs a second, throttling by prefix, outages by the clock, archives that thaw.
//!
//! ```text
//! HTTP or HTTPS ──► weather: latency, limits, outages ──► service ──► meter ──► answer
//!                                                     │
//!                       objects by rule, not stored ┴ written objects, in memory
//! ```
//!
//! `tests/integration/simulator.rs` sends the same requests to it, to versitygw and to moto;
//! docs/simulator-differences.md lists where the answers differ. It does not check signatures.
//!
//! ```no_run
//! # fn example() -> std::io::Result<()> {
//! use s3bundler_testbed::simulator::{Simulator, SimulatorOptions};
//!
//! let simulator = Simulator::start(SimulatorOptions::default())?;
//! // … run the program against simulator.access() …
//! println!("{:?}", simulator.meter());
//! # Ok(()) }
//! ```

mod bodies;
mod checksum;
mod meter;
mod object;
mod population;
mod refusal;
mod request;
mod server;
mod service;
mod store;
mod tls;
mod weather;
mod xml;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub use meter::Reading;
pub use population::Population;
pub use weather::{Latency, Limits, Outage, OutageKind, Weather};

use crate::servers::Access;
use server::Shared;
use tls::Tls;

/// The default of [`SimulatorOptions::hosts`].
pub const HOST: &str = "s3.localhost";

/// How to start a [`Simulator`].
#[derive(Debug, Clone)]
pub struct SimulatorOptions {
    /// Address for HTTP. Default: a free port of loopback.
    pub listen: SocketAddr,
    /// Address for HTTPS. Default: no HTTPS.
    pub https: Option<SocketAddr>,
    /// Hosts whose subdomains are buckets: `http://<bucket>.<host>:<port>/<key>`. Requests for
    /// other hosts have the bucket in their path. Clients accept the certificate of a subdomain
    /// only if the host has a dot. Default: `s3.localhost`.
    pub hosts: Vec<String>,
    /// Number of threads. Default: 1.
    pub threads: usize,
    /// Initial weather.
    pub weather: Weather,
    /// Duration of a restore. Default: 5 s.
    pub thaw: Duration,
    /// Objects of at least this size in bytes are stored as ETag and checksum only, so they cannot be
    /// read. Default: all objects are stored.
    pub digests_from: u64,
}

impl Default for SimulatorOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            https: None,
            hosts: vec![HOST.to_owned()],
            threads: 1,
            weather: Weather::default(),
            thaw: Duration::from_secs(5),
            digests_from: u64::MAX,
        }
    }
}

/// A running simulator, gone when dropped.
#[derive(Debug)]
pub struct Simulator {
    access: Access,
    /// HTTPS, with its certificate.
    secure: Option<(Access, Tls)>,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Simulator {
    /// Starts a simulator.
    pub fn start(options: SimulatorOptions) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads)
            .thread_name("simulator")
            .enable_all()
            .build()?;
        let (listener, address) = bind(&runtime, options.listen)?;
        let secure = match options.https {
            None => None,
            Some(listen) => Some((
                bind(&runtime, listen)?,
                Tls::generate(listen.ip(), &options.hosts)?,
            )),
        };
        let shared = Arc::new(Shared::with(options));
        let access = |scheme, address| {
            let endpoint = format!("{scheme}://{address}");
            Access::new(endpoint, "simulator", "simulator-secret")
        };
        let secure = match secure {
            None => None,
            Some(((listener, address), tls)) => {
                let (acceptor, shared) = (tls.acceptor()?, Arc::clone(&shared));
                runtime.spawn(server::serve(listener, Some(acceptor), shared));
                let mut access = access("https", address);
                access.certificate_authority = Some(tls.authority());
                Some((access, tls))
            }
        };
        runtime.spawn(server::serve(listener, None, Arc::clone(&shared)));
        Ok(Self {
            access: access("http", address),
            secure,
            shared,
            runtime: Some(runtime),
        })
    }

    /// HTTPS address, credentials, and the certificate authority to trust, if HTTPS is enabled.
    pub fn https(&self) -> Option<&Access> {
        self.secure.as_ref().map(|(access, _)| access)
    }

    /// HTTP address and credentials, which are not checked.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Creates a bucket of objects by rule; returns false if the bucket exists.
    pub fn populate(&self, bucket: &str, population: Population) -> bool {
        let store = &self.shared.store;
        store
            .create(bucket, Some(population), SystemTime::now())
            .is_ok()
    }

    /// Replaces the weather and restarts its clock.
    pub fn set_weather(&self, weather: Weather) {
        self.shared.sky.set(weather);
    }

    /// Sets the duration of a restore.
    pub fn set_thaw(&self, thaw: Duration) {
        self.shared.set_thaw(thaw);
    }

    /// Returns the requests and bytes since the start or the last reset.
    pub fn meter(&self) -> Reading {
        self.shared.meter.read()
    }

    /// Resets the meter.
    pub fn reset_meter(&self) {
        self.shared.meter.reset();
    }
}

/// Listens on an address; returns the address of clients.
fn bind(runtime: &Runtime, address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let _inside = runtime.enter();
    Ok((TcpListener::from_std(listener)?, address))
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Allowed inside another runtime, which an ordinary drop is not.
            runtime.shutdown_background();
        }
    }
}
