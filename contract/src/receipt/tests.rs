use super::*;
use proptest::prelude::*;

#[test]
fn a_receipt_says_everything_in_its_name() {
    let mut receipt = Receipt::empty("run.000001".parse().expect("a name"));
    receipt.figures.archived = 64_990;
    receipt.figures.copied = 2;
    receipt.figures.archived_bytes = 665_497_600;
    receipt.figures.copied_bytes = 7;
    receipt.figures.failed = [(Reason::NoSuchKey, 7), (Reason::Retry, 1)].into();
    assert_eq!(
        receipt.name(),
        "run.000001~a64990~c2~f8~b665497600~bc7~Retry1~NoSuchKey7"
    );
    assert_eq!(Receipt::parse(&receipt.name()), Ok(receipt));
}

#[test]
fn broken_names_are_refused_with_the_cause() {
    for name in [
        "",
        "run.000001",
        "run.000001~a1~c1~f0",
        "run.000001~a1~c1~f1~b1",
        "run.000001~a~c1~f0~b1",
        "run.000001~a-1~c1~f0~b1",
        "r/x~a1~c1~f0~b1",
        "run.000001~a99999999999999999999~c1~f0~b1",
    ] {
        assert!(Receipt::parse(name).is_err(), "{name}");
    }
}

#[test]
fn the_receipt_of_a_redo_group_is_told_apart_by_its_name() {
    let run = "run".parse().expect("a name");
    let figures = Figures {
        archived: 3,
        archived_bytes: 9,
        ..Figures::default()
    };
    let receipt = Receipt::new(
        &run,
        "run.redo1.000000".parse().expect("a name"),
        figures.clone(),
    );
    assert_eq!(receipt.name(), "run.redo1.000000~redo~a3~c0~f0~b9");
    assert_eq!(Receipt::parse(&receipt.name()), Ok(receipt.clone()));
    assert!(receipt.is_consistent(&run));
    let own = Receipt::new(&run, "run.000000".parse().expect("a name"), figures);
    assert_eq!(own.name(), "run.000000~a3~c0~f0~b9");
    for (name, consistent) in [
        ("run.000000~a3~c0~f0~b9", true),
        ("run.000000~redo~a3~c0~f0~b9", false),
        ("run.redo1.000000~a3~c0~f0~b9", false),
        ("run.retry1.000000~a3~c0~f0~b9", true),
    ] {
        assert_eq!(
            Receipt::parse(name).expect(name).is_consistent(&run),
            consistent,
            "{name}"
        );
    }
}

#[test]
fn fields_of_later_releases_are_skipped() {
    assert!(Receipt::parse("g.1~a1~c0~f0~b10~zz5").is_ok());
}

proptest! {
    #[test]
    fn any_text_parses_or_fails_without_panic(name in ".{0,80}") {
        let _ = Receipt::parse(&name);
    }

    #[test]
    fn every_receipt_reads_back(a in any::<u64>(), c in any::<u64>(), b in any::<u64>(), n in 1..1000_u64) {
        let mut receipt = Receipt::empty("run.000001".parse().expect("a name"));
        (receipt.figures.archived, receipt.figures.copied, receipt.figures.archived_bytes) = (a, c, b);
        receipt.figures.failed = [(Reason::Glacier, n)].into();
        prop_assert_eq!(Receipt::parse(&receipt.name()), Ok(receipt));
    }
}
