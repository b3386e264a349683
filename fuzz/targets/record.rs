//! Claims, acknowledgements and summaries of runs, and the last words of groupers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use s3bundler_contract::{Acknowledgement, RunClaim, RunSummary, Termination};

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
    if let Ok(found) = Acknowledgement::parse(bytes) {
        assert_eq!(
            Acknowledgement::parse_of(&found.to_json(), &found.run, &found.uid)
                .expect("reads back"),
            found
        );
    }
    let end = std::str::from_utf8(bytes).ok().and_then(Termination::parse);
    if let Some(end) = end {
        // It may be shorter.
        let read = Termination::parse(&end.to_line()).expect("reads back");
        assert_eq!(Termination::parse(&read.to_line()), Some(read));
    }
});
