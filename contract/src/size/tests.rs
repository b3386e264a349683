use super::ByteSize;

#[test]
fn sizes_are_read_as_people_and_the_seed_write_them() {
    for (text, bytes) in [
        ("0", 0),
        ("17", 17),
        ("1k", 1024),
        ("1KB", 1024),
        ("64MiB", 64 << 20),
        ("2GB", 2 << 30),
        ("4Gi", 4 << 30),
        ("5 TiB", 5 << 40),
    ] {
        assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
    }
    for text in [
        "",
        "-1",
        "1.5G",
        "MiB",
        "1x",
        "99999999999999999999",
        "99999999999T",
    ] {
        assert!(text.parse::<ByteSize>().is_err(), "{text}");
    }
}

#[test]
fn a_size_is_shown_exactly() {
    for text in ["0", "17", "1025", "1KiB", "64MiB", "4GiB", "3TiB"] {
        assert_eq!(
            text.parse::<ByteSize>()
                .map(|size| size.to_string())
                .as_deref(),
            Ok(text)
        );
    }
}
