//! An S3 in memory, for loads that no real server on this machine can carry: a bucket of a billion
//! objects, 30,000 GETs a second, throttling by prefix, outages by the clock, archives that thaw.
//!
//! ```text
//! request ──► weather: latency, limits, outages ──► service ──► meter ──► answer
//!                                                     │
//!                      objects by rule, nothing stored ┴ what was written, in memory
//! ```
//!
//! It is trusted only as far as it is compared with real servers: `tests/integration/simulator.rs`
//! sends the same requests to it, to versitygw and to moto, and docs/testbed.md lists where they
//! differ. It checks no signatures.
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
    /// Where to listen; a free port of loopback unless given.
    pub listen: SocketAddr,
    /// Threads that serve.
    pub threads: usize,
    /// The weather at first.
    pub weather: Weather,
    /// How long a restore takes.
    pub thaw: Duration,
    /// Objects of this many bytes and more are kept as digests: they can be proved, not read.
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
    /// Starts one.
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

    /// Its address, with keys that nobody checks.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// A bucket of objects by rule; whether it is new.
    pub fn populate(&self, bucket: &str, population: Population) -> bool {
        let store = &self.shared.store;
        store
            .create(bucket, Some(population), SystemTime::now())
            .is_ok()
    }

    /// Other weather from now on; its clock begins anew.
    pub fn set_weather(&self, weather: Weather) {
        self.shared.sky.set(weather);
    }

    /// How long a restore takes from now on.
    pub fn set_thaw(&self, thaw: Duration) {
        self.shared.set_thaw(thaw);
    }

    /// What a bill would count until now.
    pub fn meter(&self) -> Reading {
        self.shared.meter.read()
    }

    /// Counts from zero.
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
