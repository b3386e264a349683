//! Names of receipts, and keys of group manifests and attempts: anybody may put an object under these prefixes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use s3bundler_contract::{GroupName, KeyLayout, Layout, Receipt};

fuzz_target!(|name: &str| {
    if let Ok(receipt) = Receipt::parse(name) {
        assert_eq!(Receipt::parse(&receipt.name()).as_ref(), Ok(&receipt));
    }
    let layout = Layout::new("p", KeyLayout::Hashed).expect("a good prefix");
    if let Some((run, group)) = layout.parse_group_manifest(name) {
        assert_eq!(layout.group_manifest(&run, &group), name);
    }
    let group: GroupName = "r.000001".parse().expect("a good name");
    let _ = layout.parse_attempt(name, "src", &group);
});
