//! What came of a request, as both programs label it in their metrics: few words, so that the number
//! of time series stays small.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

use crate::answer::is_refusal;

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The server did as asked.
    Ok,
    /// The server does not allow it (401, 403).
    Denied,
    /// It does not exist (404, 410).
    NotFound,
    /// A condition was not met, or another writer was faster (409, 412).
    Conflict,
    /// There were too many requests (429, 503, and the codes that say so).
    Throttled,
    /// The server refuses the request for another reason.
    Rejected,
    /// The server failed.
    Failed,
    /// No answer came: no connection, a broken one, or time ran out.
    NoAnswer,
}

impl Outcome {
    /// Every outcome, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Denied,
        Self::NotFound,
        Self::Conflict,
        Self::Throttled,
        Self::Rejected,
        Self::Failed,
        Self::NoAnswer,
    ];

    /// The outcome of an HTTP status.
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Ok,
            401 | 403 => Self::Denied,
            404 | 410 => Self::NotFound,
            409 | 412 => Self::Conflict,
            429 | 503 => Self::Throttled,
            ..=499 => Self::Rejected,
            _ => Self::Failed,
        }
    }

    /// The outcome of an answer of AWS, whose body may tell a refusal. `None`: there is no answer.
    pub fn of_answer(answer: Option<&HttpResponse>) -> Self {
        match answer {
            None => Self::NoAnswer,
            Some(answer) if is_refusal(answer) => Self::Throttled,
            Some(answer) => Self::of_status(answer.status().as_u16()),
        }
    }

    /// The value of the label `outcome`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::NoAnswer => "no_answer",
        }
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        self.label().encode(encoder)
    }
}

#[cfg(test)]
mod tests;
