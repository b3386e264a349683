//! The objects, and who watches them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::asked::Asked;

/// Changes that are kept for watches that begin after them.
const KEPT: usize = 5_000;

/// Resource, namespace and name.
type Key = (String, String, String);

/// All objects.
#[derive(Debug, Default)]
pub(super) struct Store {
    version: u64,
    objects: BTreeMap<Key, Value>,
    changes: VecDeque<Change>,
    watches: Vec<(Asked, UnboundedSender<Bytes>)>,
}

/// What happened to an object.
#[derive(Debug)]
struct Change {
    version: u64,
    resource: String,
    /// Namespace and labels of the object, where it has them.
    selected_by: Value,
    /// The line of a watch.
    line: Bytes,
}

impl Change {
    /// The line of a watch, if the watch is for it.
    fn line(&self, asked: &Asked) -> Option<Bytes> {
        let of_namespace = asked.namespace.as_deref();
        let is_asked = asked.resource == self.resource
            && of_namespace.is_none_or(|it| self.selected_by["metadata"]["namespace"] == it)
            && asked.selects(&self.selected_by);
        is_asked.then(|| self.line.clone())
    }
}

/// A line of a watch.
fn line(kind: &str, object: &Value) -> Bytes {
    // The type comes first, as the real one sends it.
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n").into()
}

impl Store {
    pub(super) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<&Value> {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.objects.get(&key)
    }

    pub(super) fn all(&self, resource: &str) -> impl Iterator<Item = &Value> {
        let from = (resource.to_owned(), String::new(), String::new());
        let objects = self.objects.range(from..);
        let resource = resource.to_owned();
        objects
            .take_while(move |((of, _, _), _)| *of == resource)
            .map(|(_, object)| object)
    }

    /// Creates or replaces an object. Returns it with the metadata that the server sets.
    pub(super) fn put(&mut self, resource: &str, mut object: Value) -> Value {
        self.version += 1;
        let version = self.version;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        let key = (
            resource.to_owned(),
            text(&metadata["namespace"]),
            text(&metadata["name"]),
        );
        let before = self.objects.get(&key);
        let generation = before.map_or(1, |before| {
            let known = before["metadata"]["generation"].as_u64().unwrap_or(1);
            known + u64::from(before["spec"] != object["spec"])
        });
        let kind = if before.is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(version.to_string());
        metadata["generation"] = json!(generation);
        if !metadata["uid"].is_string() {
            metadata["uid"] = json!(format!("00000000-0000-4000-8000-{version:012}"));
            metadata["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        if resource == "deployments" {
            object["status"]["observedGeneration"] = json!(generation);
        }
        self.objects.insert(key, object.clone());
        self.changed(resource, kind, &object);
        object
    }

    /// Deletes an object; one with finalizers is only marked.
    pub(super) fn delete(&mut self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let mut object = self.get(resource, namespace, name)?.clone();
        let finalizers = object["metadata"]["finalizers"].as_array();
        if finalizers.is_some_and(|finalizers| !finalizers.is_empty()) {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            return Some(self.put(resource, object));
        }
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.objects.remove(&key);
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.changed(resource, "DELETED", &object);
        Some(object)
    }

    fn changed(&mut self, resource: &str, kind: &str, object: &Value) {
        let metadata = &object["metadata"];
        let change = Change {
            version: self.version,
            resource: resource.to_owned(),
            selected_by: json!({"metadata": {
                "namespace": metadata["namespace"], "labels": metadata["labels"],
            }}),
            line: line(kind, object),
        };
        self.watches
            .retain(|(asked, watch)| match change.line(asked) {
                Some(line) => watch.send(line).is_ok(),
                None => !watch.is_closed(),
            });
        self.changes.push_back(change);
        if self.changes.len() > KEPT {
            self.changes.pop_front();
        }
    }

    /// A page of a list.
    pub(super) fn list(&self, asked: &Asked) -> Value {
        let of_namespace = asked.namespace.as_deref();
        let limit = asked.query("limit").and_then(|limit| limit.parse().ok());
        let from: usize = asked
            .query("continue")
            .and_then(|token| token.parse().ok())
            .unwrap_or(0);
        let mut selected = self
            .all(&asked.resource)
            .filter(|object| of_namespace.is_none_or(|it| object["metadata"]["namespace"] == it))
            .filter(|object| asked.selects(object))
            .skip(from);
        let items: Vec<_> = selected
            .by_ref()
            .take(limit.unwrap_or(usize::MAX))
            .collect();
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        if selected.next().is_some() {
            metadata["continue"] = json!((from + items.len()).to_string());
        }
        json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items})
    }

    /// Watches from a version on. Fails if changes since then are not known any more.
    pub(super) fn watch(&mut self, asked: Asked) -> Result<UnboundedReceiver<Bytes>, Bytes> {
        let from = asked
            .query("resourceVersion")
            .and_then(|version| version.parse().ok())
            .unwrap_or(self.version);
        let oldest = self.changes.front().map_or(0, |change| change.version);
        if from + 1 < oldest {
            let status = json!({"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410,
                "message": "too old resource version"});
            return Err(line("ERROR", &status));
        }
        let (send, receive) = unbounded_channel();
        for change in self.changes.iter().filter(|it| it.version > from) {
            if let Some(line) = change.line(&asked) {
                let _ = send.send(line);
            }
        }
        self.watches.push((asked, send));
        Ok(receive)
    }
}

#[cfg(test)]
mod tests;
