//! Rules in CEL that the API server keeps. Here are those that need the whole object or compare it
//! with its former self: at a type they would also freeze every other resource that has a field of
//! it.

use serde::Serialize;

/// One entry of `x-kubernetes-validations`.
#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    /// The CEL expression that has to be true.
    #[serde(rename = "rule")]
    pub(super) expression: String,
    /// What a person is told when it is not.
    pub(super) message: String,
    /// The field to blame, where it is not the one that the rule stands at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field_path: Option<String>,
}

impl Rule {
    /// A rule about the field that it stands at.
    pub(super) fn new(expression: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            expression: expression.into(),
            message: message.into(),
            field_path: None,
        }
    }

    fn at(self, field_path: &str) -> Self {
        Self {
            field_path: Some(field_path.to_owned()),
            ..self
        }
    }
}

/// Fields that are always there, by default if not by hand, and never change.
const IMMUTABLE: [&str; 8] = [
    "source",
    "destination",
    "group",
    "archive",
    "queue",
    "grouper",
    "workers.scratch",
    "workers.scaling.mode",
];
/// Fields that may be missing, and neither change nor come nor go.
const IMMUTABLE_OPTIONAL: [&str; 2] = ["serviceAccountName", "credentialsSecretRef"];

/// The rules at the root of an ArchiveRun.
pub(super) fn of_the_run() -> Vec<Rule> {
    let name = Rule::new(
        "size(self.metadata.name) <= 48 && \
         self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "the name of an ArchiveRun is a DNS label of up to 48 characters, without dots: it names \
         the run in S3 and SQS",
    );
    let readable = Rule::new(
        "self.spec.verify != 'Full' || !(self.spec.destination.storageClass in ['GLACIER', \
         'DEEP_ARCHIVE'])",
        "verify Full reads archives, which storageClass GLACIER and DEEP_ARCHIVE do not allow: use \
         Checksums",
    )
    .at(".spec.verify");
    let immutable = IMMUTABLE.into_iter().map(|field| {
        Rule::new(
            format!("self.spec.{field} == oldSelf.spec.{field}"),
            unchangeable(field),
        )
        .at(&format!(".spec.{field}"))
    });
    // Comparing the field alone does not fire when it is added or removed: then one side has none,
    // and the rule is skipped.
    let optional = IMMUTABLE_OPTIONAL.into_iter().map(|field| {
        Rule::new(
            format!(
                "has(self.spec.{field}) == has(oldSelf.spec.{field}) && (!has(self.spec.{field}) \
                 || self.spec.{field} == oldSelf.spec.{field})"
            ),
            unchangeable(field),
        )
        .at(&format!(".spec.{field}"))
    });
    [name, readable]
        .into_iter()
        .chain(immutable)
        .chain(optional)
        .collect()
}

fn unchangeable(field: &str) -> String {
    format!("{field} cannot be changed: make a new ArchiveRun")
}
