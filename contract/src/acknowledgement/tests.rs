use super::*;
use crate::address::S3Address;
use crate::options::{ArchiveOptions, GroupOptions, SelectOptions};

const UID: &str = "0a1b2c3d-4e5f-6789-abcd-ef0123456789";

fn acknowledgement() -> Acknowledgement {
    let claim = RunClaim::new(
        "r".parse().expect("a name"),
        InventoryRef {
            manifest: S3Address::new("inv", "x/manifest.json"),
            etag: "e".to_owned(),
            creation_timestamp: Some(1),
        },
        SelectOptions::default(),
        GroupOptions::default(),
        ArchiveOptions::default(),
        "laptop".to_owned(),
    );
    Acknowledgement::of(&claim, UID.parse().expect("a UID"))
}

#[test]
fn an_acknowledgement_reads_back_for_its_own_run_and_resource_only() {
    let written = acknowledgement();
    let of = |run: &str, uid: &str| {
        Acknowledgement::parse_of(
            &written.to_json(),
            &run.parse().expect("a name"),
            &uid.parse().expect("a UID"),
        )
    };
    assert_eq!(of("r", UID).expect("its own"), written);
    assert!(matches!(of("s", UID), Err(RecordError::OtherRun(_))));
    let another = UID.replace('0', "1");
    assert!(matches!(
        of("r", &another),
        Err(RecordError::OtherResource(_))
    ));
    let later = Acknowledgement {
        format: 2,
        ..written.clone()
    };
    assert!(matches!(
        Acknowledgement::parse_of(&later.to_json(), &written.run, &written.uid),
        Err(RecordError::Format(2))
    ));
}

#[test]
fn a_uid_is_one_part_of_a_key() {
    let longest = "a".repeat(MAX_UID);
    for good in [UID, "1", longest.as_str()] {
        assert!(good.parse::<ResourceUid>().is_ok(), "{good}");
    }
    let too_long = "a".repeat(MAX_UID + 1);
    for bad in ["", "a/b", "a.b", "A", "ä", " ", too_long.as_str()] {
        assert!(bad.parse::<ResourceUid>().is_err(), "{bad}");
    }
    assert!(serde_json::from_str::<ResourceUid>("\"../x\"").is_err());
}
