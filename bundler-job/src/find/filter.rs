//! Which objects a search yields: a pure decision about a row.

use std::collections::BTreeSet;
use std::str::FromStr;

use jiff::Timestamp;
use regex::Regex;
use s3bundler_contract::Reason;

use crate::catalog::{Entry, Outcome};

/// Which objects. All conditions hold for an object that is found; an empty one holds for every
/// object.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The key is one of these.
    pub keys: BTreeSet<String>,
    /// The key begins with one of these.
    pub prefixes: Vec<String>,
    /// The whole key matches.
    pub glob: Option<Pattern>,
    /// Some part of the key matches.
    pub regex: Option<Regex>,
    /// The source bucket is one of these.
    pub buckets: Vec<String>,
    /// The version is one of these.
    pub version_ids: Vec<String>,
    /// Last modified before this instant.
    pub modified_before: Option<Timestamp>,
    /// Last modified at this instant or later.
    pub modified_after: Option<Timestamp>,
    /// Each of these is a tag of the object.
    pub tags: Vec<(String, String)>,
    /// Each of these is in its user metadata, names in lower case.
    pub metadata: Vec<(String, String)>,
    /// What became of it is one of these.
    pub outcomes: Vec<OutcomeFilter>,
}

impl Filter {
    /// Whether it holds for every object.
    pub fn is_empty(&self) -> bool {
        let Self {
            keys,
            prefixes,
            glob,
            regex,
            buckets,
            version_ids,
            modified_before,
            modified_after,
            tags,
            metadata,
            outcomes,
        } = self;
        keys.is_empty()
            && prefixes.is_empty()
            && glob.is_none()
            && regex.is_none()
            && buckets.is_empty()
            && version_ids.is_empty()
            && modified_before.is_none()
            && modified_after.is_none()
            && tags.is_empty()
            && metadata.is_empty()
            && outcomes.is_empty()
    }

    /// Whether an object is found.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.matches_key(&entry.row.key) && self.matches_rest(entry)
    }

    /// Whether the conditions on the key hold.
    pub fn matches_key(&self, key: &str) -> bool {
        let begins = |prefix: &String| key.starts_with(prefix.as_str());
        (self.keys.is_empty() || self.keys.contains(key))
            && (self.prefixes.is_empty() || self.prefixes.iter().any(begins))
            && self.glob.as_ref().is_none_or(|glob| glob.matches(key))
            && self.regex.as_ref().is_none_or(|regex| regex.is_match(key))
    }

    /// Whether all other conditions hold.
    pub(super) fn matches_rest(&self, entry: &Entry) -> bool {
        let row = &entry.row;
        let version = row.version_id.as_ref();
        (self.buckets.is_empty() || self.buckets.contains(&row.bucket))
            && (self.version_ids.is_empty()
                || version.is_some_and(|version| self.version_ids.contains(version)))
            && self.matches_instant(row.last_modified.as_deref())
            && self
                .tags
                .iter()
                .all(|(name, value)| entry.tags.get(name) == Some(value))
            && self
                .metadata
                .iter()
                .all(|(name, value)| entry.metadata.get(name) == Some(value))
            && (self.outcomes.is_empty()
                || self.outcomes.iter().any(|it| it.matches(&entry.outcome)))
    }

    fn matches_instant(&self, last_modified: Option<&str>) -> bool {
        if self.modified_before.is_none() && self.modified_after.is_none() {
            return true;
        }
        let modified = last_modified.and_then(|text| text.parse::<Timestamp>().ok());
        modified.is_some_and(|modified| {
            self.modified_before.is_none_or(|before| modified < before)
                && self.modified_after.is_none_or(|after| modified >= after)
        })
    }
}

/// A glob pattern of whole keys. To it a slash is a character like any.
#[derive(Debug, Clone)]
pub struct Pattern {
    glob: globset::Glob,
    matcher: globset::GlobMatcher,
}

impl Pattern {
    /// Whether a key matches.
    pub fn matches(&self, key: &str) -> bool {
        self.matcher.is_match(key)
    }

    /// What every key that matches begins with.
    pub(super) fn literal(&self) -> &str {
        let pattern = self.glob.glob();
        let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | '!');
        &pattern[..pattern.find(special).unwrap_or(pattern.len())]
    }
}

impl FromStr for Pattern {
    type Err = globset::Error;

    fn from_str(text: &str) -> Result<Self, globset::Error> {
        let glob = globset::GlobBuilder::new(text)
            .literal_separator(false)
            .backslash_escape(true)
            .build()?;
        Ok(Self {
            matcher: glob.compile_matcher(),
            glob,
        })
    }
}

/// What became of an object, as far as a search asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeFilter {
    /// In an archive.
    Archived,
    /// Copied by the server.
    Copied,
    /// Failed, for whatever reason.
    Failed,
    /// Failed for this reason.
    Reason(Reason),
}

impl OutcomeFilter {
    /// Whether an object's outcome is one that is asked for.
    pub fn matches(self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Archived, Outcome::Archived(_))
            | (Self::Copied, Outcome::Copied { .. })
            | (Self::Failed, Outcome::Failed(_)) => true,
            (Self::Reason(wanted), Outcome::Failed(reason)) => wanted == *reason,
            _ => false,
        }
    }
}

impl FromStr for OutcomeFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "archived" => Ok(Self::Archived),
            "copied" => Ok(Self::Copied),
            "failed" => Ok(Self::Failed),
            reason => reason
                .parse()
                .map(Self::Reason)
                .map_err(|error| format!("{error}, archived, copied or failed")),
        }
    }
}

#[cfg(test)]
mod tests;
