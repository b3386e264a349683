//! The policies of deploy/iam, with their placeholders filled in, and what they permit: to make
//! users of moto with them, and to see that nothing in them is superfluous.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// One action on one resource, both as patterns, of one statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Permission {
    /// The statement's name.
    pub sid: Option<String>,
    /// Such as `s3:GetObject`.
    pub action: String,
    /// An ARN.
    pub resource: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    statement: Vec<Statement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: Option<String>,
    action: OneOrMore,
    resource: Option<OneOrMore>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// A policy of deploy/iam.
#[derive(Debug, Clone)]
pub struct Policy(String);

impl Policy {
    /// The file of this name, with these words in place of its placeholders, in this order: one
    /// placeholder may be a part of another.
    ///
    /// # Panics
    /// If there is no such file, for then there is nothing to test.
    pub fn of_deployment(file: &str, words: &[(&str, &str)]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../deploy/iam")
            .join(file);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(words.iter().fold(text, |text, (placeholder, word)| {
            text.replace(placeholder, word)
        }))
    }

    /// The JSON document.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// All that it permits.
    ///
    /// # Panics
    /// If it is no policy.
    pub fn permissions(&self) -> BTreeSet<Permission> {
        let document: Document = serde_json::from_str(&self.0).expect("a policy");
        let mut permissions = BTreeSet::new();
        for statement in &document.statement {
            let resources = statement
                .resource
                .as_ref()
                .map_or(&[][..], OneOrMore::as_slice);
            for action in statement.action.as_slice() {
                permissions.extend(resources.iter().map(|resource| Permission {
                    sid: statement.sid.clone(),
                    action: action.clone(),
                    resource: resource.clone(),
                }));
            }
        }
        permissions
    }
}
