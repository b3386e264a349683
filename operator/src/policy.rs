//! What runs of a namespace may do, where the operator's owner says so: a list of rules, of which a
//! run needs one that allows it. Tenancy does not hang on this alone: the operator's own AWS role
//! and those of the workers' service accounts are the wall, this is the sign on it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::Path;

use kube::core::{Expression, Selector, SelectorExt as _};
use serde::{Deserialize, Deserializer};

use crate::autoscale::fair_shares::NamespaceTerms;

/// The rules of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyFile {
    /// A run is allowed by any one of them.
    pub rules: Vec<PolicyRule>,
}

/// What runs of some namespaces may do. Patterns may end in `*`; a list that is left out allows
/// everything, and an empty one, which could be meant to allow nothing, is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PolicyRule {
    /// By labels of namespaces, of which `kubernetes.io/metadata.name` is the name; all where it is
    /// left out.
    #[serde(deserialize_with = "selector")]
    pub namespace_selector: Selector,
    /// Buckets to read inventories and manifests from.
    #[serde(deserialize_with = "non_empty_list")]
    pub source_buckets: Vec<String>,
    /// `bucket/prefix` of destinations.
    #[serde(deserialize_with = "non_empty_list")]
    pub destinations: Vec<String>,
    /// ARNs of existing queues.
    #[serde(deserialize_with = "arns")]
    pub queues: Vec<String>,
    #[serde(deserialize_with = "non_empty_list")]
    pub service_accounts: Vec<String>,
    /// Workers of a run, at most.
    pub max_replicas: Option<u32>,
    /// Workers of all runs of a namespace together, at most.
    pub max_workers: Option<u32>,
    /// How large the share of a namespace is where workers are scarce; 1 where it is left out.
    pub weight: Option<NonZeroU32>,
    /// Kinds of scratch: EmptyDir, Ephemeral, HostPath. Left out: all but HostPath, which has to be
    /// named.
    #[serde(deserialize_with = "non_empty_list")]
    pub scratch_types: Vec<String>,
    /// Directories of nodes that scratch of type HostPath may use, each with everything under it.
    /// No patterns.
    #[serde(deserialize_with = "host_paths")]
    pub host_paths: Vec<String>,
}

/// What a run asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub namespace: &'a str,
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// The bucket of its inventory or manifests.
    pub source_bucket: &'a str,
    /// `bucket/prefix` of its destination.
    pub destination: &'a str,
    /// The ARNs of its queue and of its dead-letter queue, where it brings them.
    pub queues: [Option<&'a str>; 2],
    pub service_account: &'a str,
    pub max_replicas: u32,
    pub scratch_type: &'a str,
    /// The directory of the node, with scratch of type HostPath.
    pub host_path: Option<&'a str>,
}

const HOST_PATH: &str = "HostPath";

impl PolicyFile {
    pub fn read(path: &str) -> Result<Self, String> {
        let text =
            std::fs::read_to_string(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
    }

    /// The rules for namespaces with these labels.
    fn rules_for(
        &self,
        namespace_labels: &BTreeMap<String, String>,
    ) -> impl Iterator<Item = &PolicyRule> {
        self.rules
            .iter()
            .filter(|rule| rule.namespace_selector.matches(namespace_labels))
    }

    /// What the workers of a namespace with these labels share: by the first rule for it that says
    /// so.
    pub(crate) fn terms(&self, namespace_labels: &BTreeMap<String, String>) -> NamespaceTerms {
        let rules = || self.rules_for(namespace_labels);
        let default = NamespaceTerms::default();
        NamespaceTerms {
            weight: rules()
                .find_map(|rule| rule.weight)
                .map_or(default.weight, NonZeroU32::get),
            max_workers: rules().find_map(|rule| rule.max_workers),
        }
    }
}

/// Whether a run may do what it asks for; why not, for people, where it may not.
pub fn check(policy: Option<&PolicyFile>, asked: &Asked<'_>) -> Result<(), String> {
    let Some(policy) = policy else {
        let open = PolicyRule::default();
        return open.objection(asked).map_or(Ok(()), |objection| {
            Err(format!("{objection}, which no policy allows"))
        });
    };
    let mut objections = Vec::new();
    for rule in policy.rules_for(asked.namespace_labels) {
        match rule.objection(asked) {
            None => return Ok(()),
            Some(objection) => objections.push(objection),
        }
    }
    if objections.is_empty() {
        return Err(format!(
            "no policy of the operator is for namespace {}",
            asked.namespace
        ));
    }
    objections.dedup();
    Err(format!(
        "{}, which the operator's policy for namespace {} does not allow",
        objections.join("; "),
        asked.namespace
    ))
}

impl PolicyRule {
    fn objection(&self, asked: &Asked<'_>) -> Option<String> {
        let lists = [
            (
                "source bucket",
                &self.source_buckets,
                Some(asked.source_bucket),
            ),
            ("destination", &self.destinations, Some(asked.destination)),
            ("queue", &self.queues, asked.queues[0]),
            ("queue", &self.queues, asked.queues[1]),
            (
                "service account",
                &self.service_accounts,
                Some(asked.service_account),
            ),
        ];
        for (what, patterns, name) in lists {
            if let Some(name) = name
                && !matches_any(patterns, name)
            {
                return Some(format!("{what} {name}"));
            }
        }
        let scratch = if self.scratch_types.is_empty() {
            asked.scratch_type != HOST_PATH
        } else {
            self.scratch_types
                .iter()
                .any(|kind| kind == asked.scratch_type)
        };
        if !scratch {
            return Some(format!("scratch of type {}", asked.scratch_type));
        }
        if let Some(path) = asked.host_path
            && !self.host_paths.is_empty()
            && !self.host_paths.iter().any(|root| is_within(root, path))
        {
            return Some(format!("scratch at {path}"));
        }
        let most = self
            .max_replicas
            .filter(|most| asked.max_replicas > *most)?;
        Some(format!(
            "{} workers where {most} are the most",
            asked.max_replicas
        ))
    }
}

/// A selector as Kubernetes spells it ("LabelSelector" of meta/v1). Unlike there an unknown word is
/// refused: without it the rule would be for more namespaces than its author meant.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct LabelSelector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Requirement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

fn selector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Selector, D::Error> {
    let LabelSelector {
        match_labels,
        match_expressions,
    } = LabelSelector::deserialize(deserializer)?;
    let mut selector: Selector = match_labels.into_iter().collect();
    for Requirement {
        key,
        operator,
        values,
    } in match_expressions
    {
        selector.extend(match (operator, values.is_empty()) {
            (Operator::In, false) => Expression::In(key, values),
            (Operator::NotIn, false) => Expression::NotIn(key, values),
            (Operator::Exists, true) => Expression::Exists(key),
            (Operator::DoesNotExist, true) => Expression::DoesNotExist(key),
            (Operator::In | Operator::NotIn, true) => {
                return Err(serde::de::Error::custom(format!(
                    "{key}: {operator:?} needs values"
                )));
            }
            (Operator::Exists | Operator::DoesNotExist, false) => {
                return Err(serde::de::Error::custom(format!(
                    "{key}: {operator:?} takes no values"
                )));
            }
        });
    }
    Ok(selector)
}

fn non_empty_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Vec::<String>::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(serde::de::Error::custom(
            "an empty list allows nothing and everything: leave it out for everything",
        ));
    }
    Ok(list)
}

/// Queues have names of other kinds too, which would match none here.
fn arns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let queues = non_empty_list(deserializer)?;
    match queues.iter().find(|queue| !queue.starts_with("arn:")) {
        Some(other) => Err(serde::de::Error::custom(format!(
            "queue {other} is not arn:aws:sqs:REGION:ACCOUNT:NAME"
        ))),
        None => Ok(queues),
    }
}

fn host_paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let paths = non_empty_list(deserializer)?;
    let is_directory = |path: &&String| components(path).is_some() && !path.contains('*');
    match paths.iter().find(|path| !is_directory(path)) {
        Some(other) => Err(serde::de::Error::custom(format!(
            "host path {other} is not the absolute path of a directory: it has no *, no . and no \
             .. and allows what is under it, too"
        ))),
        None => Ok(paths),
    }
}

/// Whether a path is a directory or under it. A path that steps back is under none.
fn is_within(directory: &str, path: &str) -> bool {
    match (components(directory), components(path)) {
        (Some(directory), Some(path)) => path.starts_with(&directory),
        _ => false,
    }
}

/// The names in an absolute path; none if it is not absolute, or has `.` or `..` in it.
fn components(path: &str) -> Option<Vec<&str>> {
    let names: Vec<_> = path
        .strip_prefix('/')?
        .split('/')
        .filter(|name| !name.is_empty())
        .collect();
    (!names.iter().any(|name| matches!(*name, "." | ".."))).then_some(names)
}

fn matches_any(patterns: &[String], name: &str) -> bool {
    let matches = |pattern: &String| match pattern.strip_suffix('*') {
        // `bucket/team-a/*` is for the prefix team-a as well as for those under it.
        Some(start) => name.starts_with(start) || start.strip_suffix('/') == Some(name),
        None => name == pattern,
    };
    patterns.is_empty() || patterns.iter().any(matches)
}

#[cfg(test)]
mod tests;
