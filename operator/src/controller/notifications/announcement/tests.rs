use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::controller::fixtures::now;

fn ended() -> ArchiveRunStatus {
    ArchiveRunStatus {
        completion_time: Some(Time(now())),
        ..ArchiveRunStatus::default()
    }
}

fn sinks() -> [String; 2] {
    ["ops", "audit"].map(str::to_owned)
}

/// A run that ends with two sinks.
fn announced() -> ArchiveRunStatus {
    let mut status = ended();
    announce(&mut status, &ArchiveRunStatus::default(), &sinks());
    status
}

fn delivered(sink: &str) -> NotificationStatus {
    NotificationStatus {
        sink: sink.to_owned(),
        state: NotificationState::Delivered,
        time: Some(Time(now())),
        message: None,
    }
}

#[test]
fn only_a_run_that_ends_now_is_announced() {
    assert_eq!(
        pending(&announced()).collect::<Vec<_>>(),
        ["ops", "audit"],
        "it ends"
    );
    let under_way = ArchiveRunStatus::default();
    for (prior, next, why) in [
        (&under_way, &under_way, "it goes on"),
        (&ended(), &ended(), "it had ended before there was a sink"),
    ] {
        let mut status = next.clone();
        announce(&mut status, prior, &sinks());
        assert_eq!(&status, next, "{why}");
    }
    let mut again = announced();
    again.notifications = with(again.notifications, &delivered("ops"));
    let prior = again.clone();
    announce(&mut again, &prior, &sinks());
    assert_eq!(again, prior, "what was delivered stays so");
}

#[test]
fn the_result_of_one_sink_leaves_those_of_others() {
    let status = announced();
    let notifications = with(status.notifications.clone(), &delivered("audit"));
    assert_eq!(notifications[0], status.notifications[0]);
    assert_eq!(notifications[1], delivered("audit"));
    // A user may have removed it.
    assert_eq!(with(Vec::new(), &delivered("audit")), []);
}

#[test]
fn a_deletion_waits_until_all_are_settled_or_a_day_is_over() {
    let mut status = announced();
    let (soon, late) = (now() + Duration::from_mins(1), now() + LONGEST);
    assert_eq!(time_to_wait(&status, soon), POLL_PERIOD);
    let second = Duration::from_secs(1);
    assert_eq!(time_to_wait(&status, late - second), second);
    assert_eq!(time_to_wait(&status, late), Duration::ZERO);
    assert!(is_late(&status, late) && !is_late(&status, late - second));
    for sink in sinks() {
        assert_ne!(time_to_wait(&status, soon), Duration::ZERO);
        status.notifications = with(status.notifications, &delivered(&sink));
    }
    assert_eq!(time_to_wait(&status, soon), Duration::ZERO);
}
