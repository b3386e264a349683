use super::*;
use proptest::prelude::*;

fn read_back(bytes: &[u8]) -> (String, u64, u64) {
    let mut archive = tar::Archive::new(bytes);
    let entry = archive
        .entries()
        .expect("entries")
        .next()
        .expect("one")
        .expect("whole");
    let path = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
    (
        path,
        entry.size(),
        entry.header().mtime().expect("a number"),
    )
}

#[test]
fn short_names_need_one_block() {
    let mut out = Vec::new();
    write("b/k", 7, 1_700_000_000, &mut out);
    assert_eq!(out.len(), 512);
    assert_eq!(read_back(&out), ("b/k".to_owned(), 7, 1_700_000_000));
}

#[test]
fn eight_gibibytes_and_more_have_a_pax_size() {
    let mut out = Vec::new();
    write("b/k", 9 << 30, 0, &mut out);
    assert!(String::from_utf8_lossy(&out).contains("19 size=9663676416\n"));
}

#[test]
fn record_lengths_count_themselves() {
    for n in [1, 88, 89, 90, 91, 92, 93, 985, 986, 987, 988, 989] {
        let mut out = Vec::new();
        record("path", &"x".repeat(n), &mut out);
        let text = String::from_utf8(out).expect("ascii");
        let length: usize = text
            .split(' ')
            .next()
            .expect("a length")
            .parse()
            .expect("a number");
        assert_eq!(length, text.len());
    }
}

proptest! {
    #[test]
    fn every_name_reads_back(name in "b/[a-zä%. ]{1,300}") {
        let mut out = Vec::new();
        write(&name, 3, 5, &mut out);
        prop_assert_eq!(out.len() % 512, 0);
        prop_assert_eq!(read_back(&out), (name, 3, 5));
    }
}
