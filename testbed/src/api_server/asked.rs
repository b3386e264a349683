//! What a request asks for, by its path and query.

use std::collections::BTreeMap;

use http::{HeaderMap, Method, Uri, header};

/// A request for objects of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The plural, such as `pods`.
    pub(super) resource: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
    query: BTreeMap<String, String>,
    /// Whether only metadata is wanted.
    pub(super) is_partial: bool,
    /// Whether it is a server-side apply, which makes an object that does not exist.
    pub(super) is_apply: bool,
}

impl Asked {
    /// Of the paths `/api/v1/…` and `/apis/<group>/<version>/…`.
    pub(super) fn of(uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let mut parts = uri.path().trim_matches('/').split('/');
        match parts.next()? {
            "api" => drop(parts.next()?),
            "apis" => drop((parts.next()?, parts.next()?)),
            _ => return None,
        }
        let parts: Vec<_> = parts.map(str::to_owned).collect();
        let (namespace, parts) = match parts.split_first() {
            Some((first, [namespace, rest @ ..])) if first == "namespaces" && !rest.is_empty() => {
                (Some(namespace.clone()), rest)
            }
            _ => (None, &parts[..]),
        };
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let sent = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (accept, content) = (sent(header::ACCEPT), sent(header::CONTENT_TYPE));
        Some(Self {
            resource: parts.first()?.clone(),
            namespace,
            name: parts.get(1).cloned(),
            subresource: parts.get(2).cloned(),
            query: query.into_owned().collect(),
            is_partial: accept.is_some_and(|accept| accept.contains("PartialObjectMetadata")),
            is_apply: content.is_some_and(|content| content.starts_with("application/apply-patch")),
        })
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let value = self.query.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    pub(super) fn is_watch(&self) -> bool {
        matches!(self.query("watch"), Some("true" | "1"))
    }

    /// The request as it is counted, such as `PATCH archiveruns/status`.
    pub(super) fn label(&self, method: &Method) -> String {
        let verb = match *method {
            Method::GET if self.is_watch() => "WATCH",
            Method::GET if self.name.is_none() => "LIST",
            _ => method.as_str(),
        };
        let subresource = self.subresource.as_ref();
        let subresource = subresource.map_or_else(String::new, |name| format!("/{name}"));
        format!("{verb} {}{subresource}", self.resource)
    }

    /// Whether an object has the labels of the selector: `a`, `a=b`, and several with commas.
    pub(super) fn selects(&self, object: &serde_json::Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let selector = self.query("labelSelector").unwrap_or_default();
        let mut terms = selector.split(',').filter(|term| !term.is_empty());
        terms.all(|term| match term.split_once('=') {
            Some((name, value)) => labels[name] == value.trim_start_matches('='),
            None => labels[term].is_string(),
        })
    }
}

#[cfg(test)]
mod tests;
