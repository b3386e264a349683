//! How long tests wait for something that has to come.

use std::time::Duration;

/// Longer than any machine that tests run on stands still. A wait of this length says nothing of
/// the program under test: it only ends a test that hangs.
pub const PATIENCE: Duration = Duration::from_mins(10);
const POLL: Duration = Duration::from_millis(5);

/// Waits until a condition holds. Panics after [`PATIENCE`].
pub async fn until(is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(
        waited.is_ok(),
        "what the test waits for did not come within {PATIENCE:?}"
    );
}
