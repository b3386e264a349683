use super::*;

/// Bytes of a termination message that the kubelet reads ("Determine the Reason for Pod Failure",
/// Kubernetes documentation).
const KUBELET: usize = 4096;

fn of(reason: Reason) -> Termination {
    Termination {
        reason,
        message: "why".to_owned(),
    }
}

#[test]
fn every_reason_is_a_stable_line() {
    let (difference, owner) = ("another inventory".to_owned(), "laptop".to_owned());
    let (source, destination) = (Bucket::Source, Bucket::Destination);
    for (reason, line) in [
        (
            Reason::InventoryMissing,
            r#"{"reason":"InventoryMissing","message":"why"}"#,
        ),
        (
            Reason::InventoryUnfinished,
            r#"{"reason":"InventoryUnfinished","message":"why"}"#,
        ),
        (
            Reason::NoInventory,
            r#"{"reason":"NoInventory","message":"why"}"#,
        ),
        (
            Reason::InventoryTooOld { hours: 50 },
            r#"{"reason":"InventoryTooOld","hours":50,"message":"why"}"#,
        ),
        (
            Reason::NoManifests,
            r#"{"reason":"NoManifests","message":"why"}"#,
        ),
        (
            Reason::RunNameTaken { difference, owner },
            r#"{"reason":"RunNameTaken","difference":"another inventory","owner":"laptop","message":"why"}"#,
        ),
        (
            Reason::AccessDenied { bucket: source },
            r#"{"reason":"AccessDenied","bucket":"Source","message":"why"}"#,
        ),
        (
            Reason::OtherRegion {
                bucket: destination,
            },
            r#"{"reason":"OtherRegion","bucket":"Destination","message":"why"}"#,
        ),
        (
            Reason::NoDestination,
            r#"{"reason":"NoDestination","message":"why"}"#,
        ),
    ] {
        let end = of(reason);
        assert_eq!(end.to_line(), format!("{line}\n"));
        assert_eq!(Termination::parse(&end.to_line()), Some(end));
    }
}

#[test]
fn the_longest_line_is_read_whole() {
    let long = "\"ä".repeat(10_000);
    let end = Termination {
        reason: Reason::RunNameTaken {
            difference: long.clone(),
            owner: long.clone(),
        },
        message: long,
    };
    let line = end.to_line();
    assert!(line.len() <= KUBELET, "{} bytes", line.len());
    assert!(Termination::parse(&line).is_some(), "{line}");
}

#[test]
fn other_texts_and_later_reasons_are_no_reason() {
    for text in [
        "",
        "s3bundler: the disk is full",
        "{}",
        r#"{"reason":"InventoryMissing"}"#,
        r#"{"reason":"OfALaterRelease","message":"why"}"#,
        r#"{"reason":"AccessDenied","message":"why"}"#,
    ] {
        assert_eq!(Termination::parse(text), None, "{text}");
    }
    let later = r#"{"reason":"NoInventory","message":"why","prefix":"s3://a/"}"#;
    assert_eq!(Termination::parse(later), Some(of(Reason::NoInventory)));
}

fn verification(first: Vec<String>) -> Verification {
    Verification {
        full: true,
        groups: 3,
        objects: 25,
        unproven: 1,
        findings: 7,
        leftovers: 2,
        first,
    }
}

#[test]
fn what_was_verified_is_a_stable_line() {
    let report = verification(vec!["one is gone".to_owned()]);
    let line = r#"{"full":true,"groups":3,"objects":25,"unproven":1,"findings":7,"leftovers":2,"first":["one is gone"]}"#;
    assert_eq!(report.to_line(), format!("{line}\n"));
    assert_eq!(Verification::parse(line), Some(report));
    let end = of(Reason::NoManifests).to_line();
    for other in ["", "{}", &end, &line.replace("objects", "rows")] {
        assert_eq!(Verification::parse(other), None, "{other}");
    }
    assert_eq!(Termination::parse(line), None);
}

#[test]
fn a_report_has_as_many_findings_as_are_read_whole() {
    for (finding, least) in [
        ("\u{1}".repeat(10_000), 1),
        ("ä".repeat(10_000), 6),
        ("s3://a/b is gone".to_owned(), 100),
    ] {
        let line = verification(vec![finding.clone(); 200]).to_line();
        assert!(line.len() <= KUBELET, "{} bytes", line.len());
        let read = Verification::parse(&line).expect("the line was read");
        assert!(read.first.len() >= least, "{} findings", read.first.len());
        assert!(read.first.iter().all(|it| finding.starts_with(it)));
        assert_eq!(read.findings, 7, "that of all");
    }
}
