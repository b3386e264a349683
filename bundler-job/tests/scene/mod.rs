//! What the tests of whole runs share: the world a program runs in, and what it left in the
//! destination.

pub mod archived;
pub mod namespace;
