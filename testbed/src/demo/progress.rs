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
mod tests {
    use super::*;
    use serde_json::json;

    fn run(conditions: &Value) -> Value {
        json!({"status": {
            "conditions": conditions, "progress": "3/12", "objects": {"archived": 750, "failed": 1}, "workers": {"running": 2},
        }})
    }

    #[test]
    fn a_run_that_nobody_has_seen_yet_stands_nowhere() {
        assert_eq!(Progress::of(&json!({"metadata": {}})), Progress::default());
    }

    #[test]
    fn numbers_are_below_their_titles() {
        let progress = Progress::of(&run(
            &json!([{"type": "Ready", "status": "False", "reason": "Bundling"}]),
        ));
        assert_eq!(progress.end(), None);
        assert_eq!(
            progress.to_string(),
            "Bundling          3/12         750       1        2"
        );
        assert_eq!(progress.to_string().len(), Progress::TITLES.len());
    }

    #[test]
    fn only_a_run_without_failures_is_complete() {
        let complete = json!([{"type": "Complete", "status": "True"}, {"type": "Ready", "reason": "Complete"}]);
        assert_eq!(Progress::of(&run(&complete)).end(), Some(&End::Complete));
        for conditions in [
            json!([{"type": "Complete", "status": "True"}, {"type": "Ready", "reason": "CompleteWithFailures"}]),
            json!([{"type": "Failed", "status": "True", "reason": "GrouperFailed", "message": "exit code 2"}]),
        ] {
            assert!(
                matches!(
                    Progress::of(&run(&conditions)).end(),
                    Some(End::Otherwise(_))
                ),
                "{conditions}"
            );
        }
    }
}
