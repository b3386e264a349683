//! One file a command: from its arguments to its summary, and from its errors to an exit code.

pub mod group;
