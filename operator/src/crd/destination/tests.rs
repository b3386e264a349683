use super::*;

#[test]
fn a_prefix_that_the_schema_counts_in_characters_is_counted_in_bytes_too() {
    let destination = |prefix: &str| Destination {
        prefix: prefix.to_owned(),
        ..Destination::default()
    };
    assert_eq!(
        destination("logs").layout().as_ref().map(Layout::root),
        Ok("logs/")
    );
    assert_eq!(destination("").layout().as_ref().map(Layout::root), Ok(""));
    assert!(matches!(
        destination(&"ä".repeat(512)).layout(),
        Err(SpecError::Layout { .. })
    ));
}
