use super::*;

#[test]
fn the_defaults_are_those_of_the_contract() {
    assert_eq!(Group::default().options(), Ok(GroupOptions::default()));
}
