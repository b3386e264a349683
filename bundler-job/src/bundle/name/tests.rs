use super::*;
use proptest::prelude::*;

fn name(key: &str) -> String {
    MemberNames::default().name("b", key, None)
}

fn decode(name: &str) -> Vec<u8> {
    let bytes = name.strip_prefix("b/").expect("the bucket").as_bytes();
    let mut out = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        match &bytes[i..] {
            [b'%', b'/', ..] => i += 2,
            [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                let hex = std::str::from_utf8(&bytes[i + 1..i + 3]).expect("ascii");
                out.push(u8::from_str_radix(hex, 16).expect("hex"));
                i += 3;
            }
            _ => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    out
}

fn is_safe(name: &str) -> bool {
    !name.starts_with('/')
        && !name.ends_with('/')
        && !name.bytes().any(|b| b.is_ascii_control())
        && name
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && part.len() <= MAX_PART)
}

#[test]
fn safe_keys_keep_their_names() {
    for key in [
        "a",
        "a/b c/d.txt",
        "ä/ö",
        "100%",
        "50% off/x",
        ".hidden",
        "a..b",
        "-rf",
        "a\\b",
        "%zz",
    ] {
        let expected = if key == "100%" {
            "b/100%25".to_owned()
        } else {
            format!("b/{key}")
        };
        assert_eq!(name(key), expected);
    }
}

#[test]
fn unsafe_keys_are_encoded() {
    for (key, expected) in [
        ("/", "b/%2F"),
        ("/a", "b/%2Fa"),
        ("//a", "b/%2F/a"),
        ("a/", "b/a%2F"),
        ("a//b", "b/a%2F/b"),
        ("a//", "b/a%2F%2F"),
        ("a/./b", "b/a/%2E/b"),
        ("../x", "b/%2E%2E/x"),
        ("..", "b/%2E%2E"),
        ("a\nb", "b/a%0Ab"),
        ("a\0", "b/a%00"),
        ("a%2Fb", "b/a%252Fb"),
    ] {
        let name = name(key);
        assert!(is_safe(&name), "{key:?} -> {name:?}");
        assert_eq!(decode(&name), key.as_bytes(), "{key:?} -> {name:?}");
        assert_eq!(name, expected, "{key:?}");
    }
}

#[test]
fn a_key_that_is_file_and_directory_is_both_under_two_names() {
    let mut names = MemberNames::default();
    assert_eq!(names.name("b", "a", None), "b/a");
    assert_eq!(names.name("b", "a/b", None), "b/a%2Fb");
    assert_eq!(names.name("b", "c/d", None), "b/c/d");
    assert_eq!(names.name("b", "c", None), "b/c%00null");
}

#[test]
fn keys_that_only_unicode_composes_differently_are_two_files() {
    let mut names = MemberNames::default();
    assert_eq!(names.name("b", "\u{e4}", None), "b/\u{e4}");
    assert_eq!(names.name("b", "a\u{308}", None), "b/a\u{308}%00null");
    // Directories may be one; their files are not.
    assert_eq!(names.name("b", "\u{f6}/1", None), "b/\u{f6}/1");
    assert_eq!(names.name("b", "o\u{308}/2", None), "b/o\u{308}/2");
    assert_eq!(names.name("b", "o\u{308}/1", None), "b/o\u{308}%2F1");
}

#[test]
fn versions_of_one_key_have_names_of_their_own() {
    let mut names = MemberNames::default();
    let all: HashSet<_> = ["1", "2", "2"]
        .map(|version| names.name("b", "k", Some(version)))
        .into();
    assert_eq!(all.len(), 3);
}

proptest! {
    #[test]
    fn names_are_safe_and_decode_to_the_key(key in "[a/.%0-9\\PC\n\u{0}ä]{1,40}|[a%]{250,700}|ä{100,400}") {
        let name = name(&key);
        prop_assert!(is_safe(&name), "{:?}", name);
        prop_assert_eq!(decode(&name), key.as_bytes());
    }

    #[test]
    fn no_name_is_given_twice_nor_is_a_directory_a_file(keys in proptest::collection::vec("[ab/.]{1,5}", 1..30)) {
        let mut names = MemberNames::default();
        let names: Vec<_> = keys.iter().map(|key| names.name("b", key, None)).collect();
        let set: HashSet<_> = names.iter().collect();
        prop_assert_eq!(set.len(), names.len());
        for name in &names {
            for other in &names {
                let inside = other.starts_with(&format!("{name}/"));
                prop_assert!(!inside, "{} is inside {}", other, name);
            }
        }
    }
}
