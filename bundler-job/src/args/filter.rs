//! Which objects of the catalogs: the conditions of `find` and of every command that works on what
//! a search yields.

use std::str::FromStr;

use clap::Args;
use jiff::Timestamp;
use s3bundler_common::failure::Failure;
use s3bundler_contract::ExitCode;

use crate::find::{Filter, OutcomeFilter, Pattern};

/// Which objects. All conditions have to hold; of a condition that is given several times, one.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filter")]
pub struct FilterArgs {
    /// Key of the object. May be repeated.
    #[arg(long, env = "S3BUNDLER_KEY", value_name = "KEY")]
    pub key: Vec<String>,
    /// What the key begins with. May be repeated.
    #[arg(long, env = "S3BUNDLER_PREFIX", value_name = "PREFIX")]
    pub prefix: Vec<String>,
    /// Glob pattern of the whole key. `*` and `?` match slashes, too; `[a-z]` and `{a,b}` are known;
    /// a backslash escapes. A pattern with a literal beginning reads less. Example:
    /// "logs/2026-*/*.json".
    #[arg(long, env = "S3BUNDLER_GLOB", value_name = "PATTERN")]
    pub glob: Option<Pattern>,
    /// Regular expression that matches somewhere in the key, in the syntax of the Rust crate regex.
    /// One that begins with ^ and a literal reads less. Example: "^logs/.*\.json$".
    #[arg(long, env = "S3BUNDLER_REGEX", value_name = "PATTERN")]
    pub regex: Option<regex::Regex>,
    /// Source bucket. May be repeated.
    #[arg(long, env = "S3BUNDLER_SOURCE_BUCKET", value_name = "BUCKET")]
    pub source_bucket: Vec<String>,
    /// Version of the object. May be repeated.
    #[arg(long, env = "S3BUNDLER_VERSION_ID", value_name = "ID")]
    pub version_id: Vec<String>,
    /// Last modified before this instant. Example: 2026-01-01T00:00:00Z.
    #[arg(long, env = "S3BUNDLER_MODIFIED_BEFORE", value_name = "INSTANT")]
    pub modified_before: Option<Timestamp>,
    /// Last modified at this instant or later. Example: 2026-01-01T00:00:00Z.
    #[arg(long, env = "S3BUNDLER_MODIFIED_AFTER", value_name = "INSTANT")]
    pub modified_after: Option<Timestamp>,
    /// A tag of the object and its value. May be repeated: then all of them.
    #[arg(long, env = "S3BUNDLER_OBJECT_TAG", value_name = "NAME=VALUE")]
    pub object_tag: Vec<NameValue>,
    /// User metadata of the object, without x-amz-meta-, and its value. May be repeated: then all of
    /// them.
    #[arg(long, env = "S3BUNDLER_OBJECT_METADATA", value_name = "NAME=VALUE")]
    pub object_metadata: Vec<NameValue>,
    /// What became of the object: archived, copied, failed, or a reason such as NoSuchKey. May be
    /// repeated.
    #[arg(long, env = "S3BUNDLER_OUTCOME", value_name = "OUTCOME")]
    pub outcome: Vec<OutcomeFilter>,
}

impl FilterArgs {
    /// The filter, if its conditions can be had together.
    pub fn filter(&self) -> Result<Filter, Failure> {
        if let (Some(after), Some(before)) = (self.modified_after, self.modified_before)
            && after >= before
        {
            let problem = format!("no instant is {after} or later and before {before}");
            return Err(Failure::new(ExitCode::Usage, problem));
        }
        Ok(Filter {
            keys: self.key.iter().cloned().collect(),
            prefixes: self.prefix.clone(),
            glob: self.glob.clone(),
            regex: self.regex.clone(),
            buckets: self.source_bucket.clone(),
            version_ids: self.version_id.clone(),
            modified_before: self.modified_before,
            modified_after: self.modified_after,
            tags: self.object_tag.iter().map(NameValue::pair).collect(),
            // As S3 keeps them.
            metadata: self
                .object_metadata
                .iter()
                .map(NameValue::pair)
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
            outcomes: self.outcome.clone(),
        })
    }
}

/// `NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameValue {
    pub name: String,
    pub value: String,
}

impl NameValue {
    fn pair(&self) -> (String, String) {
        (self.name.clone(), self.value.clone())
    }
}

impl FromStr for NameValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(format!("{text:?} is not a name and a value: NAME=VALUE")),
        }
    }
}
