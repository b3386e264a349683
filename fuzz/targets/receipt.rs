//! Names of receipts, and keys of group manifests and attempts: anybody may put an object under
//! these prefixes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use s3bundler_contract::{KeyLayout, Layout, Receipt, RunName};

fuzz_target!(|name: &str| {
    if let Ok(receipt) = Receipt::parse(name) {
        assert_eq!(Receipt::parse(&receipt.name()).as_ref(), Ok(&receipt));
    }
    let layout = Layout::new("p", KeyLayout::Hashed).expect("a good prefix");
    if let Some((run, group)) = layout.parse_group_manifest(name) {
        assert_eq!(layout.group_manifest(&run, &group), name);
    }
    let run: RunName = "r".parse().expect("a good name");
    if let Some((group, attempt)) = layout.parse_archive(name, &run) {
        assert!(name.contains(group.name.as_str()) && name.contains(attempt.as_str()));
    }
    let _ = layout.parse_dead_letters(name, &run);
});
