//! A reverse proxy in front of a server, for the faults that a server cannot be asked for: lost
//! answers, throttling, bodies that stop, a client killed between two chosen requests.
//!
//! ```text
//! client ──► on_request ──► rule ──► Fault ──► forward ──► server
//!                                      │                     │
//!        ◄── answer (whole, cut, corrupt, none) ◄── after_response
//! ```
//!
//! Requests pass unchanged: same method, target, headers (the Host that the client signed included)
//! and streamed body. The proxy runs on threads of its own, so a hook may block, and a test's
//! runtime may be of any kind. A rule or a hook that panics closes the connection, and the test
//! fails when it reads the log or drops the proxy. Only path-style addresses are understood.
//!
//! ```no_run
//! # fn example(server: &s3bundler_testbed::servers::VersityGw) -> Result<(), Box<dyn std::error::Error>> {
//! use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
//!
//! let proxy = Proxy::start(server.access())?;
//! proxy.fault_nth(Operation::CompleteMultipartUpload, 1, Fault::DropAfter);
//! // … run the program against proxy.access() …
//! assert_eq!(proxy.count(Operation::CompleteMultipartUpload), 2);
//! # Ok(()) }
//! ```

mod body;
mod fault;
mod forward;
mod log;
mod operation;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::StatusCode;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub use fault::Fault;
pub use log::{Record, Seen};
pub use operation::Operation;

use crate::servers::Access;
use forward::Exchange;

/// Why a proxy does not run.
#[derive(Debug, Error)]
pub enum ProxyError {
    /// The server's endpoint is not `http://host:port`.
    #[error("{0} is not the address of a plain http server")]
    Upstream(String),
    /// It could not listen.
    #[error("listening: {0}")]
    Listen(#[from] io::Error),
}

/// A running proxy, gone when dropped.
#[derive(Debug)]
pub struct Proxy {
    access: Access,
    exchange: Arc<Exchange>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Starts one on a free loopback port in front of a server.
    pub fn start(server: &Access) -> Result<Self, ProxyError> {
        Self::start_at(server, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Starts one on this address; port 0 is a free one.
    pub fn start_at(server: &Access, listen: SocketAddr) -> Result<Self, ProxyError> {
        let host = server
            .endpoint
            .strip_prefix("http://")
            .map(|host| host.trim_end_matches('/').to_owned())
            .ok_or_else(|| ProxyError::Upstream(server.endpoint.clone()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let access = server.at(format!("http://{}", listener.local_addr()?));
        let exchange = Arc::new(Exchange::with(host));
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        runtime.spawn(forward::serve(listener, Arc::clone(&exchange)));
        Ok(Self {
            access,
            exchange,
            runtime: Some(runtime),
        })
    }

    /// Its address, `http://host:port`.
    pub fn endpoint(&self) -> String {
        self.access.endpoint.clone()
    }

    /// Its address with the server's keys.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// From now on this decides what happens to each request. It may have effects of its own, such
    /// as killing the client.
    pub fn rule(&self, rule: impl Fn(&Seen) -> Fault + Send + Sync + 'static) {
        self.exchange.set_rule(Arc::new(rule));
    }

    /// One fault: the nth request (from 1) of an operation, counted from the proxy's start or the
    /// last [`Proxy::clear_log`]. Replaces any other rule.
    pub fn fault_nth(&self, operation: Operation, nth: u64, fault: Fault) {
        self.rule(move |seen| {
            if seen.operation == operation && seen.nth == nth {
                fault.clone()
            } else {
                Fault::Forward
            }
        });
    }

    /// One fault for every request of an operation. Replaces any other rule.
    pub fn fault_every(&self, operation: Operation, fault: Fault) {
        self.rule(move |seen| {
            if seen.operation == operation {
                fault.clone()
            } else {
                Fault::Forward
            }
        });
    }

    /// No more faults.
    pub fn forward_all(&self) {
        self.rule(|_| Fault::Forward);
    }

    /// Called with every request before the rule, thus before it is forwarded.
    pub fn on_request(&self, hook: impl Fn(&Seen) + Send + Sync + 'static) {
        self.exchange.set_on_request(Arc::new(hook));
    }

    /// Called when the server has done what was asked and answered (the answer is read to its end,
    /// unless it is an object's body), before the client sees anything of it.
    pub fn after_response(&self, hook: impl Fn(&Seen, StatusCode) + Send + Sync + 'static) {
        self.exchange.set_after_response(Arc::new(hook));
    }

    /// Number of requests so far, answered or not.
    pub fn requests(&self) -> u64 {
        self.exchange.log().requests()
    }

    /// Number of requests of an operation so far.
    pub fn count(&self, operation: Operation) -> u64 {
        self.exchange.log().count(operation)
    }

    /// The largest number of requests of an operation that were under way together: from arrival to
    /// the end of the answer's body.
    pub fn peak_in_flight(&self, operation: Operation) -> u64 {
        self.exchange.log().peak_in_flight(operation)
    }

    /// What happened to the requests that are over, in the order of their arrival. Panics if a rule
    /// or a hook did.
    pub fn log(&self) -> Vec<Record> {
        self.assert_no_panic();
        self.exchange.log().records()
    }

    /// Forgets the log and starts counting anew.
    pub fn clear_log(&self) {
        self.exchange.log().clear();
    }

    /// Returns the requests of [`Self::log`] and clears it.
    pub fn take_seen(&self) -> Vec<Seen> {
        let records = self.log();
        self.clear_log();
        let requests = records.into_iter().map(|record| record.request);
        requests.map(Arc::unwrap_or_clone).collect()
    }

    fn assert_no_panic(&self) {
        if let Some(message) = self.exchange.panicked() {
            panic!("a rule or a hook of the proxy panicked: {message}");
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Allowed inside another runtime, which an ordinary drop is not.
            runtime.shutdown_background();
        }
        // A second panic would end the process, and the first says more.
        if !std::thread::panicking() {
            self.assert_no_panic();
        }
    }
}
