use super::*;

#[test]
fn reads_of_sources_and_copies_from_them_are_paid_for() {
    let (sources, destination) = (
        RequesterPays::for_sources(),
        RequesterPays::for_destination("dst".to_owned()),
    );
    for (client, copy_source, expected) in [
        (&sources, None, true),
        (&sources, Some("src/key"), true),
        (&destination, None, false),
        (&destination, Some("src/dst/key"), true),
        (&destination, Some("dst/key"), false),
        (&destination, Some("dst"), false),
    ] {
        let mut headers = Headers::new();
        if let Some(source) = copy_source {
            headers.insert("x-amz-copy-source", source);
        }
        assert_eq!(
            client.pays(&headers),
            expected,
            "{client:?} {copy_source:?}"
        );
    }
}
