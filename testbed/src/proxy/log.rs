//! What the proxy saw: counts, the requests that are over, and how many were under way together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, Method, Uri};

use super::Operation;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which one it is of all requests, from 1.
    pub number: u64,
    /// Which one it is of its operation, from 1.
    pub nth: u64,
    /// The operation.
    pub operation: Operation,
    /// The HTTP method.
    pub method: Method,
    /// The path, percent-encoded as it came.
    pub path: String,
    /// The query without the question mark, as it came.
    pub query: String,
    /// Its headers.
    pub headers: HeaderMap,
}

impl Seen {
    /// The bucket, or nothing for requests that have none.
    pub fn bucket(&self) -> &str {
        self.path
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default()
    }

    /// The key, decoded, or nothing for requests that have none.
    pub fn key(&self) -> String {
        let encoded = self
            .path
            .trim_start_matches('/')
            .split_once('/')
            .map_or("", |(_, key)| key);
        decode(encoded)
    }
}

/// A request that is over.
#[derive(Debug, Clone)]
pub struct Record {
    /// The request.
    pub request: Arc<Seen>,
    /// The status that the client got; none if the connection was closed instead.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    of_operation: BTreeMap<Operation, u64>,
    in_flight: BTreeMap<Operation, u64>,
    peak_in_flight: BTreeMap<Operation, u64>,
    records: BTreeMap<u64, Record>,
    /// Grows with every clear, so that requests from before are not recorded after.
    era: u64,
}

/// The proxy's memory.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Counts>);

impl Log {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an arriving request.
    pub(super) fn arrive(
        self: &Arc<Self>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> (Arc<Seen>, InFlight) {
        let query = uri.query().unwrap_or_default();
        let operation = Operation::of(method, uri.path(), query, headers);
        let mut counts = self.counts();
        counts.requests += 1;
        let nth = add(&mut counts.of_operation, operation);
        let under_way = add(&mut counts.in_flight, operation);
        let peak = counts.peak_in_flight.entry(operation).or_default();
        *peak = under_way.max(*peak);
        let seen = Arc::new(Seen {
            number: counts.requests,
            nth,
            operation,
            method: method.clone(),
            path: uri.path().to_owned(),
            query: query.to_owned(),
            headers: headers.clone(),
        });
        (
            Arc::clone(&seen),
            InFlight {
                log: Arc::clone(self),
                seen,
                status: None,
                era: counts.era,
            },
        )
    }

    pub(super) fn requests(&self) -> u64 {
        self.counts().requests
    }

    pub(super) fn count(&self, operation: Operation) -> u64 {
        self.counts()
            .of_operation
            .get(&operation)
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn peak_in_flight(&self, operation: Operation) -> u64 {
        self.counts()
            .peak_in_flight
            .get(&operation)
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn records(&self) -> Vec<Record> {
        self.counts().records.values().cloned().collect()
    }

    pub(super) fn clear(&self) {
        let mut counts = self.counts();
        *counts = Counts {
            in_flight: std::mem::take(&mut counts.in_flight),
            era: counts.era + 1,
            ..Counts::default()
        };
    }
}

fn add(counts: &mut BTreeMap<Operation, u64>, operation: Operation) -> u64 {
    let count = counts.entry(operation).or_default();
    *count += 1;
    *count
}

/// A request under way; dropping it ends and records it.
#[derive(Debug)]
pub(super) struct InFlight {
    log: Arc<Log>,
    seen: Arc<Seen>,
    /// Set when an answer is given.
    pub(super) status: Option<u16>,
    era: u64,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut counts = self.log.counts();
        if let Some(count) = counts.in_flight.get_mut(&self.seen.operation) {
            *count = count.saturating_sub(1);
        }
        if counts.era == self.era {
            let record = Record {
                request: Arc::clone(&self.seen),
                status: self.status,
            };
            counts.records.insert(self.seen.number, record);
        }
    }
}

fn decode(encoded: &str) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| {
                tail.get(..2)
                    .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok())
            })
            .flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
