use kube::core::Status;

use super::*;

fn error(code: u16) -> watcher::Error {
    let status = Status {
        code,
        ..Status::default()
    };
    watcher::Error::WatchStartFailed(kube::Error::Api(status.boxed()))
}

#[test]
fn a_watch_is_lost_after_failures_in_a_row_and_forgiven_once_it_is_quiet() {
    let now = Instant::now();
    let mut health = Health::default();
    for failure in 1..=FAILURES {
        assert!(!health.is_lost(now), "{failure}");
        health.record_failure(&error(403), now);
    }
    assert!(health.is_lost(now) && health.is_denied);
    assert!(!health.is_lost(now + FORGIVEN));
    health.record_failure(&error(500), now + FORGIVEN);
    assert!(!health.is_lost(now + FORGIVEN) && !health.is_denied);
}

#[test]
fn watches_that_have_not_listed_or_are_lost_are_named() {
    let (watches, now) = (Watches::default(), Instant::now());
    assert_eq!(watches.objections(now), "");
    let (pods, runs) = (Sender::default(), Sender::default());
    watches.add("Pod", Some("team-a"), &pods);
    watches.add("ArchiveRun", None, &runs);
    assert_eq!(
        watches.objections(now),
        "watch of Pod in namespace team-a: not listed yet\nwatch of ArchiveRun: not listed yet\n"
    );
    listed(&pods);
    listed(&runs);
    assert_eq!(watches.objections(now), "");
    for _ in 0..FAILURES {
        runs.send_modify(|health| health.record_failure(&error(404), now));
    }
    let objections = watches.objections(now);
    assert!(
        objections.starts_with("watch of ArchiveRun: ")
            && objections.contains("CustomResourceDefinition"),
        "{objections}"
    );
    recovered(&runs);
    assert_eq!(watches.objections(now), "");
}
