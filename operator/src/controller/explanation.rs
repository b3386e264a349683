//! Why a condition is as it is.

/// Reason and message of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Explanation {
    /// A reason with its message.
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}
