//! Why a condition is as it is.

/// Reason and message of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The reason: a word.
    pub reason: &'static str,
    /// The message: a sentence for people.
    pub message: String,
}

impl Explanation {
    /// A reason with its message.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
