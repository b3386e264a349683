use s3bundler_contract::S3Address;

use super::*;
use crate::s3::ErrorKind;

const READ: Option<Reason> = None;
const DENIED: Option<Reason> = Some(Reason::AccessDenied);
const GONE: Option<Reason> = Some(Reason::NoSuchKey);
const RETRY: Option<Reason> = Some(Reason::Retry);
const GLACIER: Option<Reason> = Some(Reason::Glacier);
const INVALID: Option<Reason> = Some(Reason::Invalid);

#[test]
fn a_denial_all_rows_of_one_reason_or_a_streak_at_the_end_are_doubted() {
    for (rows, expected) in [
        (&[READ, READ][..], None),
        (&[], None),
        (&[GONE, GONE], None),
        (&[GONE, INVALID], None),
        (&[READ, GONE], None),
        // Denied, lost, the one reason.
        (&[DENIED], Some((true, false, DENIED))),
        (&[DENIED, READ], Some((true, true, None))),
        (&[DENIED, DENIED], Some((true, false, DENIED))),
        (&[READ, DENIED, DENIED], Some((true, true, None))),
        (&[DENIED, GONE], Some((true, false, None))),
        (&[READ, DENIED, GONE], Some((true, true, None))),
        (&[RETRY, RETRY], Some((false, false, RETRY))),
        (&[READ, RETRY], Some((false, true, None))),
        (&[DENIED, READ, GONE], Some((true, true, None))),
        (&[GLACIER, GLACIER], Some((false, false, GLACIER))),
        (&[GLACIER, RETRY], Some((false, false, None))),
    ] {
        let mut tally = Tally::default();
        for failed in rows {
            tally.add("b", *failed);
            tally.add("other", READ);
        }
        let found: Vec<_> = tally
            .doubted()
            .into_iter()
            .map(|it| (it.denied, it.lost, it.uniform))
            .collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{rows:?}");
    }
}

#[test]
fn denied_rows_are_known_by_their_number() {
    let mut tally = Tally::default();
    for (bucket, failed) in [
        ("a", READ),
        ("a", DENIED),
        ("b", GONE),
        ("b", DENIED),
        ("a", READ),
    ] {
        tally.add(bucket, failed);
    }
    assert_eq!(tally.denied().iter().copied().collect::<Vec<_>>(), [1, 3]);
    tally.add("a", DENIED);
    tally.can_be_read();
    assert_eq!(tally.denied().len(), 2);
    assert!(
        tally
            .doubted()
            .iter()
            .any(|doubt| doubt.bucket == "a" && doubt.denied),
        "its bucket is asked about"
    );
}

#[test]
fn the_answer_decides() {
    let error = || {
        S3Error::local(
            "GetObject",
            S3Address::new("b", "k"),
            ErrorKind::Denied,
            "no",
        )
    };
    let (denied, down) = (Answer::Denied(error()), Answer::Down(error()));
    let doubt = |denied, uniform| Doubt {
        bucket: "b".to_owned(),
        denied,
        lost: false,
        uniform,
    };
    for (doubt, answer, attempt, expected) in [
        (doubt(true, DENIED), &Answer::Readable, 1, Decision::Believe),
        (doubt(true, None), &Answer::Readable, 1, Decision::Believe),
        (doubt(false, RETRY), &Answer::Readable, 1, Decision::Believe),
        (doubt(false, GLACIER), &Answer::Readable, 1, Decision::Again),
        (
            doubt(false, GLACIER),
            &Answer::Readable,
            2,
            Decision::Believe,
        ),
        (doubt(true, DENIED), &denied, 1, Decision::Denied),
        (doubt(true, None), &denied, 2, Decision::Denied),
        (doubt(false, RETRY), &denied, 1, Decision::Denied),
        (doubt(true, DENIED), &down, 1, Decision::Failed),
        (doubt(false, RETRY), &down, 1, Decision::Failed),
        (doubt(true, DENIED), &Answer::Nothing, 1, Decision::Denied),
        (doubt(false, RETRY), &Answer::Nothing, 1, Decision::Believe),
        (
            doubt(false, GLACIER),
            &Answer::Nothing,
            1,
            Decision::Believe,
        ),
    ] {
        assert_eq!(
            decide(&doubt, answer, attempt),
            expected,
            "{doubt:?} {answer:?} {attempt}"
        );
    }
}
