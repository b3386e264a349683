//! One of several replicas works, the others wait: a Lease held by compare-and-swap. Whoever loses
//! it must end at once, for another one may be working already.
//!
//! A holder is believed alive for as long as its renewals are seen to change, by this process's own
//! clock: clocks of two nodes are never compared (as client-go's leader election does it).

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

/// A holder that has not renewed for so long has lost it.
const DURATION: Duration = Duration::from_secs(15);
/// The holder gives up by itself before others may take it.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long it may take to give it back: others can take it after [`DURATION`] anyway.
const RELEASE: Duration = Duration::from_secs(3);
/// Between renewals, and between looks of those who wait.
const PERIOD: Duration = Duration::from_secs(2);

/// Why the Lease is not held any more.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else has it.
    #[error("the lease {lease} was taken by {holder:?}")]
    Lost { lease: String, holder: String },
    /// It could not be renewed in time.
    #[error("the lease {lease} could not be renewed for {DEADLINE:?}: {cause}")]
    Expired {
        lease: String,
        cause: Box<kube::Error>,
    },
}

/// A candidate for a Lease.
#[derive(Clone)]
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
}

/// What a candidate knows of the holder.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    holder: String,
    renewed: Option<MicroTime>,
    since: Instant,
}

/// What to do about a Lease as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Take,
    Wait,
}

/// Whether a Lease may be taken: nobody's, our own, or that of a holder who has not been heard of.
fn step(identity: &str, found: &Seen, now: Instant) -> Step {
    let silent = now.saturating_duration_since(found.since) >= DURATION;
    if found.holder.is_empty() || found.holder == identity || silent {
        Step::Take
    } else {
        Step::Wait
    }
}

impl Candidate {
    /// A candidate called `identity` for the Lease `name` of a namespace.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
        }
    }

    /// Waits until the Lease is ours; gives since when at least. Errors are logged and tried again:
    /// there is nothing better to do.
    pub async fn acquire(&self) -> Instant {
        let mut seen: Option<Seen> = None;
        loop {
            let sent = Instant::now();
            match self.try_acquire(&mut seen).await {
                Ok(true) => return sent,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(lease = self.name, %error, "lease cannot be had, trying again");
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Renews the Lease, which was acquired at `since`, until it is lost.
    pub async fn hold(&self, since: Instant) -> LeaseError {
        let mut renewed = since;
        loop {
            tokio::time::sleep(PERIOD).await;
            // Others count from when the API server took it, which is after it was sent and may be
            // long before it is answered.
            let sent = Instant::now();
            let left = DEADLINE
                .saturating_sub(renewed.elapsed())
                .max(Duration::from_millis(1));
            let tried = tokio::time::timeout(left, self.renew()).await;
            match tried {
                Ok(Ok(None)) => renewed = sent,
                Ok(Ok(Some(holder))) => {
                    return LeaseError::Lost {
                        lease: self.name.clone(),
                        holder,
                    };
                }
                Ok(Err(cause)) if renewed.elapsed() >= DEADLINE => {
                    return LeaseError::Expired {
                        lease: self.name.clone(),
                        cause: Box::new(cause),
                    };
                }
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, %error, "lease was not renewed, trying again");
                }
                Err(_) => {
                    let cause = Box::new(kube::Error::Service("no answer in time".into()));
                    return LeaseError::Expired {
                        lease: self.name.clone(),
                        cause,
                    };
                }
            }
        }
    }

    /// Gives the Lease back, so that another one need not wait for its end.
    pub async fn release(&self) {
        let released = async {
            let Some(lease) = self.api.get_opt(&self.name).await? else {
                return Ok(());
            };
            if holder(&lease) != self.identity {
                return Ok(());
            }
            self.put(lease, "").await
        };
        match tokio::time::timeout(RELEASE, released).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(lease = self.name, %error, "lease was not released"),
            Err(_) => tracing::warn!(lease = self.name, "lease was not released in time"),
        }
    }

    async fn try_acquire(&self, seen: &mut Option<Seen>) -> Result<bool, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let metadata = ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            };
            let lease = Lease {
                metadata,
                spec: Some(Self::spec(&self.identity, 0)),
            };
            return conflict_is_no(
                self.api
                    .create(&PostParams::default(), &lease)
                    .await
                    .map(|_| ()),
            );
        };
        let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
        let holder = holder(&lease).to_owned();
        let now = Instant::now();
        let found = match seen.take() {
            Some(known) if known.holder == holder && known.renewed == renewed => known,
            _ => Seen {
                holder,
                renewed,
                since: now,
            },
        };
        let step = step(&self.identity, &found, now);
        *seen = Some(found);
        match step {
            Step::Wait => Ok(false),
            Step::Take => conflict_is_no(self.put(lease, &self.identity).await),
        }
    }

    /// `Some`: somebody else has it.
    async fn renew(&self) -> Result<Option<String>, kube::Error> {
        let lease = self.api.get(&self.name).await?;
        let holder = holder(&lease).to_owned();
        if holder != self.identity {
            return Ok(Some(holder));
        }
        self.put(lease, &self.identity).await.map(|()| None)
    }

    /// Replaces the Lease that was read; fails with a conflict where somebody else did so
    /// meanwhile.
    async fn put(&self, mut lease: Lease, holder: &str) -> Result<(), kube::Error> {
        let before = lease.spec.take().unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or(0);
        let ours = before.holder_identity.as_deref() == Some(holder);
        let mut spec = Self::spec(
            holder,
            if ours {
                transitions
            } else {
                transitions.saturating_add(1)
            },
        );
        if ours {
            spec.acquire_time = before.acquire_time;
        }
        lease.spec = Some(spec);
        lease.metadata.managed_fields = None;
        self.api
            .replace(&self.name, &PostParams::default(), &lease)
            .await
            .map(|_| ())
    }

    fn spec(holder: &str, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

fn holder(lease: &Lease) -> &str {
    lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}

/// 409: somebody was faster.
fn conflict_is_no(result: Result<(), kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(()) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
