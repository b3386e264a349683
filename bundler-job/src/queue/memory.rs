//! The queue's twin in memory, for `s3bundler run` and for manifests given by hand: what SQS does
//! with visibility, receive counts, receipt handles and redrive, without SQS.
//!
//! It has no bound: a message is an address of some 200 bytes, so the 46,000 groups of 3 billion
//! objects are about 10 MB, and a grouper that had to wait for the bundler would hold its inventory
//! open for hours.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use s3bundler_contract::message::{self, ManifestRef};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::{Delivery, Queue, QueueError, QueueErrorKind};

/// Polls cost nothing here, and a shutdown waits for the end of one.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A queue in this process.
#[derive(Debug)]
pub struct MemoryQueue {
    state: Mutex<State>,
    changed: Notify,
    max_receives: u32,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Message>,
    in_flight: Vec<InFlight>,
    given_up: Vec<Message>,
    closed: bool,
    next_id: u64,
    next_handle: u64,
}

#[derive(Debug)]
struct Message {
    id: u64,
    body: String,
    receive_count: u32,
    /// The newest receipt handle, counted from 1; 0 before the first receive.
    handle: u64,
}

#[derive(Debug)]
struct InFlight {
    message: Message,
    visible_at: Instant,
}

impl MemoryQueue {
    /// An empty, open queue that gives up a message once it was received `max_receives` times and
    /// came back.
    pub fn new(max_receives: u32) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            max_receives,
        }
    }

    /// Says that nothing more will be sent: [`Queue::is_finished`] once all that was sent is
    /// deleted or given up.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_waiters();
    }

    /// The manifests of the messages that were given up, in the order in which they were.
    pub fn given_up(&self) -> Vec<ManifestRef> {
        let state = self.state();
        state
            .given_up
            .iter()
            .flat_map(|message| message::parse(&message.body).unwrap_or_default())
            .collect()
    }

    /// Sends a body as it is.
    fn push(&self, body: String) {
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        state.ready.push_back(Message {
            id,
            body,
            receive_count: 0,
            handle: 0,
        });
    }

    #[cfg(test)]
    pub(super) fn send_body(&self, body: &str) {
        self.push(body.to_owned());
        self.changed.notify_waiters();
    }

    #[cfg(test)]
    pub(super) fn given_up_bodies(&self) -> Vec<String> {
        self.state()
            .given_up
            .iter()
            .map(|message| message.body.clone())
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(delivery: &Delivery) -> QueueError {
        QueueError {
            action: "extend",
            queue: "in memory".to_owned(),
            kind: QueueErrorKind::Gone,
            detail: format!(
                "receipt handle {} of message {} is not in flight",
                delivery.receipt_handle, delivery.id
            ),
        }
    }
}

impl State {
    /// Messages whose time is up are visible again, in the order in which their times were.
    fn expire(&mut self, now: Instant, max_receives: u32) {
        self.in_flight.sort_by_key(|it| it.visible_at);
        let expired = self.in_flight.partition_point(|it| it.visible_at <= now);
        for InFlight { message, .. } in self.in_flight.drain(..expired).collect::<Vec<_>>() {
            self.give_back(message, max_receives);
        }
    }

    fn give_back(&mut self, message: Message, max_receives: u32) {
        if message.receive_count >= max_receives {
            self.given_up.push(message);
        } else {
            self.ready.push_back(message);
        }
    }

    fn take(&mut self, max: usize, now: Instant, visibility: Duration) -> Vec<Delivery> {
        let taken = max.min(self.ready.len());
        let mut deliveries = Vec::with_capacity(taken);
        for mut message in self.ready.drain(..taken) {
            self.next_handle += 1;
            message.handle = self.next_handle;
            message.receive_count += 1;
            deliveries.push(Delivery {
                id: message.id.to_string(),
                receipt_handle: message.handle.to_string(),
                body: message.body.clone(),
                receive_count: message.receive_count,
                received: now,
            });
            self.in_flight.push(InFlight {
                message,
                visible_at: now + visibility,
            });
        }
        deliveries
    }

    /// Where the message with this newest receipt handle is in flight.
    fn position(&self, delivery: &Delivery) -> Option<usize> {
        let handle: u64 = delivery.receipt_handle.parse().ok()?;
        self.in_flight
            .iter()
            .position(|it| it.message.handle == handle)
    }

    fn is_finished(&self) -> bool {
        self.closed && self.ready.is_empty() && self.in_flight.is_empty()
    }
}

impl Queue for MemoryQueue {
    async fn send(&self, manifests: &[ManifestRef]) -> Result<(), QueueError> {
        for manifest in manifests {
            self.push(manifest.to_json());
        }
        self.changed.notify_waiters();
        Ok(())
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before looking, so that nothing that happens after the look is missed.
            changed.as_mut().enable();
            let wake = {
                let mut state = self.state();
                let now = Instant::now();
                state.expire(now, self.max_receives);
                let deliveries = state.take(max, now, visibility);
                if !deliveries.is_empty() || state.is_finished() || now >= deadline {
                    return Ok(deliveries);
                }
                state
                    .in_flight
                    .iter()
                    .map(|it| it.visible_at)
                    .fold(deadline, Instant::min)
            };
            tokio::select! {
                () = changed => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    async fn extend(&self, delivery: &Delivery, visibility: Duration) -> Result<(), QueueError> {
        let mut state = self.state();
        let now = Instant::now();
        state.expire(now, self.max_receives);
        let position = state
            .position(delivery)
            .ok_or_else(|| Self::gone(delivery))?;
        state.in_flight[position].visible_at = now + visibility;
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn release(&self, delivery: &Delivery, after: Duration) -> Result<(), QueueError> {
        let last = delivery.receive_count >= self.max_receives;
        // A message that nobody will see again does not keep the queue from being finished.
        self.extend(delivery, if last { Duration::ZERO } else { after })
            .await?;
        self.state().expire(Instant::now(), self.max_receives);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn delete(&self, delivery: &Delivery) -> Result<(), QueueError> {
        let mut state = self.state();
        if let Some(position) = state.position(delivery) {
            state.in_flight.swap_remove(position);
        } else if let Ok(handle) = delivery.receipt_handle.parse::<u64>() {
            // Visible again, but received by nobody since: its handle is still the newest.
            state.ready.retain(|it| it.handle != handle);
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Given up at once: nobody else is there who could use it.
    async fn set_aside(&self, delivery: &Delivery) -> Result<(), QueueError> {
        let mut state = self.state();
        if let Some(position) = state.position(delivery) {
            let message = state.in_flight.swap_remove(position).message;
            state.given_up.push(message);
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.state().is_finished()
    }
}

#[cfg(test)]
mod tests;
