use super::*;

#[test]
fn what_is_written_is_read_again() {
    let mut xml = Xml::root("Tagging");
    xml.element("TagSet", |set| {
        for (key, value) in [("a", "1 < 2 & \"3\""), ("ä", "")] {
            set.element("Tag", |tag| {
                tag.text("Key", key).text("Value", value);
            });
        }
    });
    let tags = elements(xml.end("Tagging").as_bytes(), "Tag").expect("good");
    let read: Vec<_> = tags
        .iter()
        .map(|tag| (child(tag, "Key"), child(tag, "Value")))
        .collect();
    assert_eq!(
        read,
        [(Some("a"), Some("1 < 2 & \"3\"")), (Some("ä"), Some(""))]
    );
}

#[test]
fn half_a_document_is_malformed() {
    for half in ["<Tagging><TagSet>", "<Tagging></TagSet>", "<"] {
        assert_eq!(
            elements(half.as_bytes(), "Tag"),
            Err(Refusal::MALFORMED_XML)
        );
    }
}
