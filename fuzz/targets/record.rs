//! Claims and summaries of runs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use s3bundler_contract::{RunClaim, RunSummary};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(claim) = RunClaim::parse(bytes) {
        assert_eq!(
            RunClaim::parse(&claim.to_json()).expect("reads back"),
            claim
        );
    }
    if let Ok(summary) = RunSummary::parse(bytes) {
        assert_eq!(
            RunSummary::parse(&summary.to_json()).expect("reads back"),
            summary
        );
    }
});
