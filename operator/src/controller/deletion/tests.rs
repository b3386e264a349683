use k8s_openapi::jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::controller::fixtures::{now, run};

#[test]
fn pods_are_waited_for_until_their_grace_is_long_over() {
    let run = run(json!({"workers": {"drainSeconds": 300}}));
    let after = |seconds| are_waited_for(&run, now(), now() + SignedDuration::from_secs(seconds));
    // Those of the drain, 30 to abort uploads, and a minute.
    assert_eq!(
        [after(-5), after(0), after(389), after(390), after(100_000)],
        [true, true, true, false, false]
    );
}
