//! Files of the repository that are generated from the code.

use std::path::Path;

/// Compares a file of the repository with its expected text, or writes it if `S3BUNDLER_GENERATE` is
/// set, as `make generate` does.
///
/// # Panics
///
/// If the file differs, or cannot be written.
#[track_caller]
pub fn assert_generated(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("S3BUNDLER_GENERATE").is_some() {
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, text));
        assert!(written.is_ok(), "{}: {written:?}", path.display());
    }
    let found = std::fs::read_to_string(&path);
    assert!(
        found.is_ok_and(|found| found == text),
        "{} differs from what the code generates: run `make generate`",
        path.display()
    );
}
