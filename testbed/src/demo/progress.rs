//! How far an ArchiveRun is, in the columns of `kubectl get archiverun`.

use std::fmt;

use serde_json::Value;

/// Where a run stands, as its status says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    status: String,
    groups: String,
    objects: u64,
    failed: u64,
    workers: u64,
    end: Option<End>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Every object is archived or copied.
    Complete,
    /// Anything else, in the words of the condition.
    Otherwise(String),
}

impl Progress {
    pub(super) const TITLES: &'static str = "STATUS            GROUPS   OBJECTS  FAILED  WORKERS";

    /// Of an ArchiveRun in JSON, as the API gives it; before the operator has seen it there is no
    /// status.
    pub(super) fn of(run: &Value) -> Self {
        let status = &run["status"];
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let condition = |name: &str| {
            status["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|condition| condition["type"] == name)
        };
        let text = |name: &str, field: &str| {
            condition(name)
                .and_then(|it| it[field].as_str())
                .unwrap_or_default()
        };
        let reason = text("Ready", "reason");
        let end = match (text("Complete", "status"), text("Failed", "status")) {
            (_, "True") => Some(End::Otherwise(format!(
                "{}: {}",
                text("Failed", "reason"),
                text("Failed", "message")
            ))),
            ("True", _) if reason == "Complete" => Some(End::Complete),
            ("True", _) => Some(End::Otherwise(format!(
                "{reason}: {}",
                text("Ready", "message")
            ))),
            _ => None,
        };
        Self {
            status: reason.to_owned(),
            groups: status["progress"].as_str().unwrap_or_default().to_owned(),
            objects: number(&status["objects"]["archived"]),
            failed: number(&status["objects"]["failed"]),
            workers: number(&status["workers"]["running"]),
            end,
        }
    }

    /// How it ended, if it has.
    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            groups,
            objects,
            failed,
            workers,
            end: _,
        } = self;
        write!(
            formatter,
            "{status:<16}  {groups:<7}  {objects:>7}  {failed:>6}  {workers:>7}"
        )
    }
}

#[cfg(test)]
mod tests;
