//! One file a command: from its arguments to its summary, and from its errors to an exit code.

pub mod bundle;
mod failures;
pub mod group;
pub mod run;
pub mod submit;
pub mod verify;
