//! Programs in Linux namespaces of their own: other mounts, another network, gone with the last
//! process in them.

use std::os::unix::fs::MetadataExt;

use s3bundler_testbed::cli::{Outcome, Program};

/// Printed by a script that got as far as its own commands: what fails after it is the program's
/// failure.
const READY: &str = "the namespace is ready";

/// `unshare` with these flags, a shell script that prepares the namespace, and the program that
/// runs in it instead of the shell. Words after `script` are `$1` and so on; the program and its
/// arguments follow.
pub fn program(flags: &[&str], script: &str) -> Program {
    // Whoever is not root may still be root of a user namespace, where the system allows it.
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let user = if root {
        &[][..]
    } else {
        &["--map-root-user"][..]
    };
    let script = format!("set -e; {script}; echo '{READY}' >&2; exec \"$@\"");
    Program::new("unshare")
        .args(flags)
        .args(user)
        .args(["--", "/bin/sh", "-c", &script, "sh"])
}

/// Fails the test where there was no namespace. There is no other way to test this, so nothing is
/// skipped.
#[track_caller]
pub fn expect_ready(outcome: &Outcome) {
    assert!(
        outcome.stderr.contains(READY),
        "this test needs the right to make namespaces (root with CAP_SYS_ADMIN, or user \
         namespaces): {}",
        outcome.stderr.trim()
    );
}
