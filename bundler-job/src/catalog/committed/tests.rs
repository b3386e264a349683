use super::*;

#[test]
fn an_answer_without_a_length_neither_proves_an_archive_nor_denies_it() {
    for (head, expected) in [
        (Some(Length::Known(5)), Presence::There),
        (Some(Length::Known(4)), Presence::Missing),
        (Some(Length::Known(0)), Presence::Missing),
        (None, Presence::Missing),
        (Some(Length::Unknown), Presence::Unknown),
    ] {
        assert_eq!(presence(5, head), expected, "{head:?}");
    }
    assert_eq!(presence(0, Some(Length::Unknown)), Presence::Unknown);
}
