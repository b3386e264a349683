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
