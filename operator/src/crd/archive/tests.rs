use super::*;

#[test]
fn the_defaults_are_those_of_the_contract() {
    let destination: Destination = serde_json::from_value(serde_json::json!({"bucket": "dst"}))
        .expect("a destination needs a bucket alone");
    assert_eq!(
        Archive::default().options(&destination),
        Ok(ArchiveOptions::default())
    );
}
