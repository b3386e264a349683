//! Which reconciles may go on. A reconcile may wait for a server that does not answer, and so may
//! those of all runs of a namespace: what is left for the others are the slots that they do not
//! hold.
//!
//! ```text
//! free ──► held, up to half by a namespace
//!      └─► held by a namespace that has half already, while a quarter stays free
//! none ──► waiting ──► of the namespaces that hold least, the one that has waited longest is next
//! ```
//!
//! docs/decisions/reconcile-slots.md says why.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Reconciles at a time.
const SLOTS: usize = 16;
/// What a namespace may hold without regard to others.
const HALF: usize = SLOTS / 2;
/// What stays free for namespaces that hold less than half.
const RESERVE: usize = SLOTS / 4;

/// The slots of all reconciles. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots(Arc<Mutex<Held>>);

/// A slot, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    namespace: String,
}

#[derive(Debug, Default)]
struct Held {
    /// Slots by namespace; none of those that have none.
    by_namespace: HashMap<String, usize>,
    /// By namespace, the first in front.
    waiting: HashMap<String, VecDeque<Waiting>>,
    /// How many have waited so far.
    waited: u64,
}

/// A reconcile that waits.
#[derive(Debug)]
struct Waiting {
    /// Its place among all.
    number: u64,
    grant: oneshot::Sender<Slot>,
}

impl Slots {
    /// Waits for a slot of a namespace.
    pub(crate) async fn acquire(&self, namespace: &str) -> Slot {
        loop {
            let waiting = {
                let mut held = self.lock();
                if held.is_free_for(namespace) {
                    return self.take(&mut held, namespace.to_owned());
                }
                held.wait(namespace)
            };
            // Never closed without a slot.
            if let Ok(slot) = waiting.await {
                return slot;
            }
        }
    }

    fn take(&self, held: &mut Held, namespace: String) -> Slot {
        *held.by_namespace.entry(namespace.clone()).or_default() += 1;
        Slot {
            slots: self.clone(),
            namespace,
        }
    }

    /// Gives free slots to those that wait.
    fn grant(&self) {
        loop {
            let (grant, slot) = {
                let mut held = self.lock();
                let Some((namespace, grant)) = held.next() else {
                    return;
                };
                (grant, self.take(&mut held, namespace))
            };
            // A reconcile that does not wait any more gives the slot back by dropping it.
            drop(grant.send(slot));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn by(&self, namespace: &str) -> usize {
        self.by_namespace.get(namespace).copied().unwrap_or(0)
    }

    fn is_free_for(&self, namespace: &str) -> bool {
        let free = SLOTS - self.by_namespace.values().sum::<usize>();
        free > RESERVE || (free > 0 && self.by(namespace) < HALF)
    }

    fn wait(&mut self, namespace: &str) -> oneshot::Receiver<Slot> {
        let (grant, granted) = oneshot::channel();
        self.waited += 1;
        let number = self.waited;
        let queue = self.waiting.entry(namespace.to_owned()).or_default();
        queue.push_back(Waiting { number, grant });
        granted
    }

    /// Takes out the reconcile that is next, if there is a slot for it: of the namespaces that hold
    /// the fewest, the first one of that which has waited longest. By its name, one namespace would
    /// always come before another.
    fn next(&mut self) -> Option<(String, oneshot::Sender<Slot>)> {
        let waiting = self.waiting.iter();
        let free = waiting.filter(|(namespace, _)| self.is_free_for(namespace));
        let place = |(namespace, queue): &(&String, &VecDeque<Waiting>)| {
            (self.by(namespace), queue.front().map(|first| first.number))
        };
        let namespace = free.min_by_key(place)?.0.clone();
        let queue = self.waiting.get_mut(&namespace)?;
        let first = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&namespace);
        }
        Some((namespace, first?.grant))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.slots.lock();
        if let Some(count) = held.by_namespace.get_mut(&self.namespace) {
            *count -= 1;
            if *count == 0 {
                held.by_namespace.remove(&self.namespace);
            }
        }
        drop(held);
        self.slots.grant();
    }
}

#[cfg(test)]
mod tests;
