//! An S3 in memory, for loads that no real server on this machine can carry: a bucket of a billion
//! objects, 30,000 GETs a second, throttling by prefix, outages by the clock, archives that thaw.
//!
//! ```text
//! request ──► weather: latency, limits, outages ──► service ──► meter ──► answer
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
mod weather;
mod xml;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub use meter::Reading;
pub use population::Population;
pub use weather::{Latency, Limits, Outage, OutageKind, Weather};

use crate::servers::Access;
use server::Shared;

/// How to start a [`Simulator`].
#[derive(Debug, Clone)]
pub struct SimulatorOptions {
    /// Address to listen on. Default: a free port of loopback.
    pub listen: SocketAddr,
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
        let listener = std::net::TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let shared = Arc::new(Shared::with(
            options.weather,
            options.thaw,
            options.digests_from,
        ));
        runtime.spawn(server::serve(listener, Arc::clone(&shared)));
        Ok(Self {
            access: Access::new(endpoint, "simulator", "simulator-secret"),
            shared,
            runtime: Some(runtime),
        })
    }

    /// Its address and credentials, which it does not check.
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

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Allowed inside another runtime, which an ordinary drop is not.
            runtime.shutdown_background();
        }
    }
}
