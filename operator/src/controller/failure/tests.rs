use super::*;
use crate::autoscale::plan::Bounds;
use crate::aws::AwsError;

fn kubernetes(code: u16, message: &str) -> ReconcileError {
    let status = kube::core::Status::failure(message, "Reason").with_code(code);
    ReconcileError::Write(Box::new(kube::Error::Api(status.boxed())))
}

fn aws(kind: AwsErrorKind) -> ReconcileError {
    AwsError {
        action: "CreateQueue",
        target: "q".to_owned(),
        kind,
        detail: "why".to_owned(),
    }
    .into()
}

/// Condition and reason of a first failure, and of a third.
fn shown(error: &ReconcileError, write: &Write) -> [Option<(&'static str, &'static str)>; 2] {
    [1, PERSISTENT].map(|times| {
        of_write(error, write, times).map(|failure| match failure {
            Failure::Refused(explanation) => ("Accepted", explanation.reason),
            Failure::Stalled(explanation) => ("Stalled", explanation.reason),
            Failure::Degraded(explanation) => ("Degraded", explanation.reason),
        })
    })
}

#[test]
fn what_does_not_pass_is_told_at_once_and_what_may_pass_when_it_persists() {
    let write = Write::ApplyWorkers;
    for (error, condition, reason) in [
        (
            kubernetes(422, "metadata.labels: Invalid value"),
            "Accepted",
            "Invalid",
        ),
        (
            kubernetes(403, "admission webhook denied the request"),
            "Stalled",
            "AccessDenied",
        ),
        (
            kubernetes(403, "exceeded quota: jobs"),
            "Stalled",
            "QuotaExceeded",
        ),
        (
            kubernetes(404, "namespaces not found"),
            "Degraded",
            WRITE_FAILED,
        ),
        (aws(AwsErrorKind::Denied), "Stalled", "AccessDenied"),
        (aws(AwsErrorKind::Rejected), "Degraded", WRITE_FAILED),
    ] {
        assert_eq!(
            shown(&error, &write),
            [Some((condition, reason)); 2],
            "{error}"
        );
    }
    for error in [
        kubernetes(409, "the object has been modified"),
        kubernetes(503, "unavailable"),
        aws(AwsErrorKind::Transient),
        aws(AwsErrorKind::NameInUse),
    ] {
        assert_eq!(
            shown(&error, &write),
            [None, Some(("Degraded", WRITE_FAILED))],
            "{error}"
        );
    }
}

#[test]
fn a_read_that_is_not_allowed_or_never_answered_in_time_is_told() {
    let read = |code| {
        let status = kube::core::Status::failure("pods is forbidden", "Forbidden").with_code(code);
        let error = kube::Error::Api(status.boxed());
        of_read(&ReconcileError::Read(Box::new(error)), 1)
    };
    assert!(
        read(403).is_some_and(
            |it| it.reason == "AccessDenied" && it.message.contains("pods is forbidden")
        )
    );
    assert_eq!(
        [
            read(500),
            read(404),
            of_read(&aws(AwsErrorKind::Denied), PERSISTENT),
            of_read(&ReconcileError::TimedOut, PERSISTENT - 1),
        ],
        [None, None, None, None]
    );
    let timed_out = of_read(&ReconcileError::TimedOut, PERSISTENT);
    assert_eq!(timed_out.map(|it| it.reason), Some("ReconcileTimedOut"));
}

#[test]
fn a_missing_keda_is_the_runs_to_mend() {
    let keda = Write::ApplyScaledObject(Bounds { least: 0, most: 20 });
    assert_eq!(
        shown(&kubernetes(404, "404 page not found"), &keda)[0],
        Some(("Accepted", "NotAllowed"))
    );
    let older = "failed to create typed patch object: .spec.fallback.behavior: field not declared in \
                 schema";
    let failure = of_write(&kubernetes(500, older), &keda, 1);
    let Some(Failure::Refused(explanation)) = failure else {
        panic!("{failure:?}")
    };
    assert_eq!(explanation.reason, "NotAllowed");
    assert!(
        explanation
            .message
            .starts_with("KEDA 2.17 or later is needed")
    );
}
