//! What runs of a namespace may do, where the operator's owner says so: a list of rules, of which a run needs one that
//! allows it. Tenancy does not hang on this alone: the operator's own AWS role and those of the workers' service accounts
//! are the wall, this is the sign on it.

use std::path::Path;

use serde::Deserialize;

/// The rules of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyFile {
    /// A run is allowed by any one of them.
    pub rules: Vec<PolicyRule>,
}

/// What runs of some namespaces may do. Patterns may end in `*`; an empty list allows everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PolicyRule {
    /// Names of namespaces.
    pub namespaces: Vec<String>,
    /// Buckets to read inventories and manifests from.
    pub source_buckets: Vec<String>,
    /// `bucket/prefix` of destinations.
    pub destinations: Vec<String>,
    /// URLs of existing queues.
    pub queues: Vec<String>,
    /// Service accounts of pods.
    pub service_accounts: Vec<String>,
    /// Workers of a run, at most.
    pub max_replicas: Option<u32>,
    /// Kinds of scratch: EmptyDir, Ephemeral, HostPath. Empty: all but HostPath, which has to be named.
    pub scratch_types: Vec<String>,
}

/// What a run asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The run's namespace.
    pub namespace: &'a str,
    /// The bucket of its inventory or manifests.
    pub source_bucket: &'a str,
    /// `bucket/prefix` of its destination.
    pub destination: &'a str,
    /// The URL of its queue, where it brings one.
    pub queue: Option<&'a str>,
    /// Its service account.
    pub service_account: &'a str,
    /// Its most workers.
    pub max_replicas: u32,
    /// Its kind of scratch.
    pub scratch_type: &'a str,
}

const HOST_PATH: &str = "HostPath";

impl PolicyFile {
    /// Reads a file.
    pub fn read(path: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
    }
}

/// Whether a run may do what it asks for; why not, for people, where it may not.
pub fn check(policy: Option<&PolicyFile>, asked: &Asked<'_>) -> Result<(), String> {
    let Some(policy) = policy else {
        let open = PolicyRule::default();
        return open.objection(asked).map_or(Ok(()), |objection| Err(format!("{objection}, which no policy allows")));
    };
    let mut objections = Vec::new();
    for rule in policy.rules.iter().filter(|rule| matches_any(&rule.namespaces, asked.namespace)) {
        match rule.objection(asked) {
            None => return Ok(()),
            Some(objection) => objections.push(objection),
        }
    }
    if objections.is_empty() {
        return Err(format!("no policy of the operator is for namespace {}", asked.namespace));
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
            ("source bucket", &self.source_buckets, Some(asked.source_bucket)),
            ("destination", &self.destinations, Some(asked.destination)),
            ("queue", &self.queues, asked.queue),
            ("service account", &self.service_accounts, Some(asked.service_account)),
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
            self.scratch_types.iter().any(|kind| kind == asked.scratch_type)
        };
        if !scratch {
            return Some(format!("scratch of type {}", asked.scratch_type));
        }
        let most = self.max_replicas.filter(|most| asked.max_replicas > *most)?;
        Some(format!("{} workers where {most} are the most", asked.max_replicas))
    }
}

fn matches_any(patterns: &[String], name: &str) -> bool {
    let matches = |pattern: &String| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    patterns.is_empty() || patterns.iter().any(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked<'static> {
        Asked {
            namespace: "team-a",
            source_bucket: "inv",
            destination: "team-a-archive/logs",
            queue: None,
            service_account: "s3bundler-worker",
            max_replicas: 20,
            scratch_type: "EmptyDir",
        }
    }

    fn policy(rules: &str) -> PolicyFile {
        serde_json::from_str(rules).expect("a policy")
    }

    #[test]
    fn without_a_policy_everything_goes_but_the_nodes_own_disks() {
        assert_eq!(check(None, &asked()), Ok(()));
        let refused = check(None, &Asked { scratch_type: "HostPath", ..asked() }).expect_err("refused");
        assert_eq!(refused, "scratch of type HostPath, which no policy allows");
    }

    #[test]
    fn a_run_needs_one_rule_that_allows_all_it_asks_for() {
        let policy = policy(
            r#"{"rules": [
                {"namespaces": ["team-*"], "destinations": ["team-a-archive/*"], "maxReplicas": 20},
                {"namespaces": ["ops"], "scratchTypes": ["HostPath", "EmptyDir"],
                 "queues": ["https://sqs.eu-west-1.amazonaws.com/1/x"]}]}"#,
        );
        let ops = Asked { namespace: "ops", ..asked() };
        for (asked, refused) in [
            (asked(), None),
            (Asked { destination: "team-b-archive/logs", ..asked() }, Some("destination team-b-archive/logs")),
            (Asked { max_replicas: 21, ..asked() }, Some("21 workers where 20 are the most")),
            (Asked { scratch_type: "HostPath", ..asked() }, Some("scratch of type HostPath")),
            (Asked { namespace: "other", ..asked() }, Some("no policy of the operator is for namespace other")),
            (Asked { scratch_type: "HostPath", ..ops }, None),
            (Asked { queue: Some("https://elsewhere/q"), ..ops }, Some("queue https://elsewhere/q")),
        ] {
            match (check(Some(&policy), &asked), refused) {
                (Ok(()), None) => {}
                (Err(found), Some(expected)) => assert!(found.starts_with(expected), "{found}"),
                other => panic!("{asked:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn unknown_words_are_refused() {
        assert!(serde_json::from_str::<PolicyFile>(r#"{"rules": [{"namespace": ["a"]}]}"#).is_err());
    }
}
