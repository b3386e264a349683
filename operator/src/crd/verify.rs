//! What is proved before a run is complete.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is proved, each with all that is before it.
#[derive(
    JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord,
)]
pub enum Verify {
    #[default]
    None,
    Checksums,
    Full,
}

impl Verify {
    /// As a spec has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Checksums => "Checksums",
            Self::Full => "Full",
        }
    }

    /// What [`Self::as_str`] has made.
    pub fn of(text: &str) -> Option<Self> {
        [Self::None, Self::Checksums, Self::Full]
            .into_iter()
            .find(|it| it.as_str() == text)
    }
}
