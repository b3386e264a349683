//! Notifications that wait for their turn: each once, however often it is submitted.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::Notify;

/// A notification: whose end, and to which sink. What is sent is read when its turn comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) sink: String,
    /// Failed ones, of this operator.
    pub(super) attempts: u32,
}

impl Item {
    pub(super) fn new(run: &ObjectMeta, sink: &str) -> Self {
        Self {
            namespace: run.namespace.clone().unwrap_or_default(),
            name: run.name.clone().unwrap_or_default(),
            uid: run.uid.clone().unwrap_or_default(),
            sink: sink.to_owned(),
            attempts: 0,
        }
    }

    fn key(&self) -> Key {
        (self.uid.clone(), self.sink.clone())
    }
}

/// UID and sink.
type Key = (String, String);

#[derive(Debug, Default)]
struct Waiting {
    /// Those that wait, and the one whose turn it is.
    known: HashSet<Key>,
    order: VecDeque<Item>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    added: Notify,
}

impl Queue {
    /// Adds an item, unless it is known. Returns whether it was not.
    pub(super) fn add(&self, item: Item) -> bool {
        let mut waiting = self.lock();
        let is_new = waiting.known.insert(item.key());
        if is_new {
            waiting.order.push_back(item);
            self.added.notify_one();
        }
        is_new
    }

    /// The item whose turn it is. It stays known until it is settled. For one caller at a time.
    pub(super) async fn next(&self) -> Item {
        loop {
            let next = self.lock().order.pop_front();
            match next {
                Some(item) => return item,
                None => self.added.notified().await,
            }
        }
    }

    /// Puts an item behind all others.
    pub(super) fn put_back(&self, item: Item) {
        self.lock().order.push_back(item);
    }

    /// Forgets an item.
    pub(super) fn settle(&self, item: &Item) {
        self.lock().known.remove(&item.key());
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
