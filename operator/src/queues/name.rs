//! Names of the queues of runs, by which IAM policies tell them apart.
//!
//! ```text
//! s3bundler_<cluster>_<namespace>_<run>_<uid>    and with -dlq, the queue of its dead letters
//! s3bundler-<namespace>-<run>-<uid>              the same in earlier releases
//! ```
//!
//! Cluster, namespace and run are DNS labels, in which there is no underscore: the role of one
//! namespace cannot match the queues of another (docs/decisions/queue-names.md).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use s3bundler_common::queue_url::QueueUrl;
use s3bundler_contract::layout::RunName;
use sha2::{Digest as _, Sha256};

/// Longest name of a queue ("CreateQueue", SQS API reference).
const MAX_NAME: usize = 80;
/// Every name begins with it: the operator's role may touch no other queue.
const PREFIX: &str = "s3bundler_";
const EARLIER_PREFIX: &str = "s3bundler-";
/// What follows the name of a run's queue in that of its dead-letter queue.
pub(super) const DEAD_LETTERS: &str = "-dlq";
/// Between the four parts of a name.
const SEPARATORS: usize = 3;
/// Digits of the resource's UID in a name: SQS refuses a deleted name for 60 s, and the same run
/// may come again.
const UID_DIGITS: usize = 8;
const EARLIER_UID_DIGITS: usize = 12;
/// Longest name of a cluster.
const MAX_CLUSTER: usize = 20;
/// Longest namespace that is in a name as it is: one character is left for the run, whatever the
/// cluster is called.
const MAX_NAMESPACE: usize =
    MAX_NAME - PREFIX.len() - MAX_CLUSTER - SEPARATORS - 1 - UID_DIGITS - DEAD_LETTERS.len();
/// Between the beginning of a longer namespace and its hash: no namespace has a capital letter.
const HASHED: &str = "-X";
/// Hexadecimal digits of the hash: so many that nobody finds a namespace with the same ones.
const HASH_DIGITS: usize = 16;

/// What names a cluster in queues, their tags and claims: a DNS label of up to 20 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterName(String);

impl ClusterName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClusterName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let is_plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
        let bytes = name.as_bytes();
        let is_label = (1..=MAX_CLUSTER).contains(&bytes.len())
            && bytes.iter().all(|it| is_plain(*it) || *it == b'-')
            && [bytes.first(), bytes.last()]
                .into_iter()
                .flatten()
                .all(|it| is_plain(*it));
        if is_label {
            Ok(Self(name.to_owned()))
        } else {
            Err(format!(
                "not a DNS label of up to {MAX_CLUSTER} characters: lower-case letters, digits, \
                 and dashes within"
            ))
        }
    }
}

/// The queue that is made for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunQueue {
    /// Its name. A run keeps the one that it began with.
    pub name: String,
    /// Names under which it may have been made before the status knew of it.
    pub(crate) others: Vec<String>,
}

impl RunQueue {
    /// The queue of a run, whose status may know its URL.
    pub(crate) fn new(
        cluster: &ClusterName,
        namespace: &str,
        run: &RunName,
        uid: &str,
        known: Option<&str>,
    ) -> Self {
        let known = known
            .and_then(QueueUrl::parse)
            .map(|url| url.name().to_owned())
            .filter(|name| is_of_run(name, namespace, run, uid));
        let now = queue_name(cluster.as_str(), namespace, run, uid);
        let earlier = earlier_queue_name(namespace, run, uid);
        let name = known.unwrap_or_else(|| now.clone());
        let others = [now, earlier].into_iter();
        Self {
            others: others.filter(|other| *other != name).collect(),
            name,
        }
    }

    /// Whether a URL is that of the queue or of its dead letters.
    pub(crate) fn has(&self, url: &str) -> bool {
        QueueUrl::parse(url).is_some_and(|url| without_suffix(url.name()) == self.name)
    }
}

/// The name of the queue of a run. The run's own name is cut where all do not fit.
pub fn queue_name(cluster: &str, namespace: &str, run: &RunName, uid: &str) -> String {
    let namespace = of_namespace(namespace);
    let start = format!("{PREFIX}{cluster}_{namespace}_");
    let room = MAX_NAME.saturating_sub(start.len() + 1 + UID_DIGITS + DEAD_LETTERS.len());
    // A run is a DNS label, thus ASCII.
    let run: String = run.as_str().chars().take(room).collect();
    format!("{start}{run}_{}", digits(uid, UID_DIGITS))
}

/// The name that earlier releases gave it.
pub fn earlier_queue_name(namespace: &str, run: &RunName, uid: &str) -> String {
    let room = MAX_NAME - EARLIER_PREFIX.len() - 1 - EARLIER_UID_DIGITS - DEAD_LETTERS.len();
    let name: String = format!("{namespace}-{run}").chars().take(room).collect();
    format!("{EARLIER_PREFIX}{name}-{}", digits(uid, EARLIER_UID_DIGITS))
}

/// Whether a queue has the name of one that is made for a run: the operator's role owns all of them.
pub fn is_managed(url: &str) -> bool {
    let prefixes = [PREFIX, EARLIER_PREFIX];
    QueueUrl::parse(url)
        .is_some_and(|url| prefixes.iter().any(|prefix| url.name().starts_with(prefix)))
}

/// Whether a queue of this name is the run's, whatever the cluster was called when it was made.
fn is_of_run(name: &str, namespace: &str, run: &RunName, uid: &str) -> bool {
    let cluster = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('_'));
    match cluster {
        Some((cluster, _)) => name == queue_name(cluster, namespace, run, uid),
        None => name == earlier_queue_name(namespace, run, uid),
    }
}

/// A namespace as it is in names.
fn of_namespace(namespace: &str) -> Cow<'_, str> {
    if namespace.len() <= MAX_NAMESPACE {
        return Cow::Borrowed(namespace);
    }
    let start = MAX_NAMESPACE - HASHED.len() - HASH_DIGITS;
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(namespace));
    Cow::Owned(format!(
        "{}{HASHED}{}",
        &namespace[..start],
        &hash[..HASH_DIGITS]
    ))
}

fn digits(uid: &str, count: usize) -> String {
    uid.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(count)
        .collect()
}

fn without_suffix(name: &str) -> &str {
    name.strip_suffix(DEAD_LETTERS).unwrap_or(name)
}

#[cfg(test)]
mod tests;
