//! Catalogs, and the index, dead letters and receipt that are derived from them: anybody may put a
//! file there.
#![no_main]

use std::io::Write as _;

use libfuzzer_sys::fuzz_target;
use s3bundler::catalog::{Catalog, derive};

fuzz_target!(
    // The Parquet reader may panic inside the catalog's reader, which makes an error of it: only
    // what comes out ends the process, and libFuzzer's own hook would do so before.
    init: std::panic::set_hook(Box::new(|_| ())),
    |bytes: &[u8]| {
        let mut file = tempfile::tempfile().expect("scratch");
        file.write_all(bytes).expect("scratch");
        let Ok(catalog) = Catalog::open(file) else { return };
        let Ok(entries) = catalog.entries() else { return };
        let rows = entries.take_while(Result::is_ok).count() as u64;
        if let Ok(derived) = derive(&catalog, &std::env::temp_dir(), |_| ()) {
            assert_eq!(derived.totals.rows(), rows);
        }
    }
);
