use std::time::Duration;

use super::*;
use crate::inventory::ManifestProblem as InventoryProblem;
use crate::s3::ErrorKind;

fn s3(kind: ErrorKind) -> S3Error {
    S3Error::local("GetObject", S3Address::new("b", "k"), kind, "why")
}

#[test]
fn what_may_come_is_told_as_a_reason_and_what_may_not_is_none() {
    let address = || S3Address::new("inv", "x/manifest.json");
    let denied = |bucket| Some(Reason::AccessDenied { bucket });
    let elsewhere = |bucket| Some(Reason::OtherRegion { bucket });
    let (source, destination) = (Bucket::Source, Bucket::Destination);
    for (error, expected) in [
        (
            InventoryError::NoManifest(address()).into(),
            Some(Reason::InventoryMissing),
        ),
        (
            InventoryError::Manifest {
                manifest: address(),
                problem: InventoryProblem::CreationTimestamp("yesterday".to_owned()),
            }
            .into(),
            Some(Reason::InventoryMissing),
        ),
        (
            InventoryError::Manifest {
                manifest: address(),
                problem: InventoryProblem::Format("ORC".to_owned()),
            }
            .into(),
            None,
        ),
        (
            InventoryError::Unfinished {
                manifest: address(),
            }
            .into(),
            Some(Reason::InventoryUnfinished),
        ),
        (
            InventoryError::NoneFinished(address()).into(),
            Some(Reason::NoInventory),
        ),
        (
            InventoryError::TooOld {
                manifest: address(),
                age: Duration::from_mins(50 * 60 + 59),
                max: Duration::from_hours(48),
            }
            .into(),
            Some(Reason::InventoryTooOld { hours: 50 }),
        ),
        (
            GroupError::NoManifests(address()),
            Some(Reason::NoManifests),
        ),
        (
            GroupError::NoBucket(address()),
            Some(Reason::InventoryMissing),
        ),
        (
            InventoryError::Read(s3(ErrorKind::Denied)).into(),
            denied(source),
        ),
        (GroupError::Read(s3(ErrorKind::Credentials)), denied(source)),
        (
            GroupError::Read(s3(ErrorKind::WrongRegion)),
            elsewhere(source),
        ),
        (
            GroupError::Destination(s3(ErrorKind::Denied)),
            denied(destination),
        ),
        (
            GroupError::Destination(s3(ErrorKind::WrongRegion)),
            elsewhere(destination),
        ),
        (
            GroupError::Destination(s3(ErrorKind::NoBucket)),
            Some(Reason::NoDestination),
        ),
        (GroupError::Destination(s3(ErrorKind::Transient)), None),
        (GroupError::Stopped, None),
    ] {
        assert_eq!(error.reason(), expected, "{error}");
        let unfinished = GroupError::Unfinished {
            run: "r".parse().expect("a name"),
            cause: Box::new(error),
        };
        assert_eq!(unfinished.reason(), expected, "{unfinished}");
    }
}

#[test]
fn a_taken_name_is_told_with_its_owner() {
    let error = GroupError::NameTaken {
        run: "r".parse().expect("a name"),
        claim: S3Address::new("b", "runs/r.json"),
        difference: "another inventory",
        owner: "laptop".to_owned(),
    };
    let end = error.termination().expect("a reason");
    assert_eq!(
        end.reason,
        Reason::RunNameTaken {
            difference: "another inventory".to_owned(),
            owner: "laptop".to_owned(),
        }
    );
    assert_eq!(end.message, error.to_string());
}
