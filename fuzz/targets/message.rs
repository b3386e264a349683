//! Bodies of queue messages: anybody may send one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use s3bundler_contract::message;

fuzz_target!(|body: &str| {
    if let Ok(manifests) = message::parse(body) {
        for manifest in manifests {
            let back = message::parse(&manifest.to_json()).expect("our own message reads back");
            assert_eq!(back, [manifest]);
        }
    }
});
