use aws_smithy_types::body::SdkBody;

use super::*;

#[test]
fn an_answer_without_a_refusal_has_the_outcome_of_its_status() {
    for (status, outcome) in [
        (200, "ok"),
        (206, "ok"),
        (304, "rejected"),
        (400, "rejected"),
        (401, "denied"),
        (403, "denied"),
        (404, "not_found"),
        (409, "conflict"),
        (410, "not_found"),
        (412, "conflict"),
        (422, "rejected"),
        (429, "throttled"),
        (500, "failed"),
        (503, "throttled"),
        (504, "failed"),
    ] {
        assert_eq!(Outcome::of_status(status).label(), outcome, "{status}");
    }
    assert_eq!(Outcome::of_answer(None), Outcome::NoAnswer);
}

#[test]
fn a_refusal_in_a_document_is_throttling_whatever_its_status() {
    let body = "<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>";
    let answer = HttpResponse::new(400.try_into().expect("a status"), SdkBody::from(body));
    assert_eq!(Outcome::of_answer(Some(&answer)), Outcome::Throttled);
}

#[test]
fn labels_tell_outcomes_apart() {
    let labels: std::collections::BTreeSet<_> = Outcome::ALL.map(Outcome::label).into();
    assert_eq!(labels.len(), Outcome::ALL.len());
}
