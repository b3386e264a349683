use super::*;

const CODE: &str = "AccessDenied";

/// An answer with or without an error code.
fn answer(shown: &Shown, key: &str, denied: Option<&str>) {
    shown.answered(&shown.directory(key), denied.map(str::to_owned));
}

fn meaning(shown: &Shown, key: &str) -> Option<Meaning> {
    shown.meaning(&shown.directory(key))
}

/// Enough directories of the folder `a` with one answer.
fn agreeing(denied: Option<&str>) -> Shown {
    let shown = Shown::default();
    for n in 0..ENOUGH {
        assert_eq!(meaning(&shown, &format!("a/{n}/k")), None, "{n}");
        answer(&shown, &format!("a/{n}/k"), denied);
    }
    shown
}

#[test]
fn each_directory_is_asked_about() {
    let shown = Shown::default();
    answer(&shown, "open/k", None);
    answer(&shown, "closed/k", Some(CODE));
    answer(&shown, "k", None);
    for (key, expected) in [
        ("open/l", Some(Meaning::Untagged)),
        ("closed/l", Some(Meaning::Denied(CODE.to_owned()))),
        ("l", Some(Meaning::Untagged)),
        ("open/below/k", None),
        ("closed", Some(Meaning::Untagged)),
        ("/k", None),
    ] {
        assert_eq!(meaning(&shown, key), expected, "{key}");
    }
}

#[test]
fn once_enough_directories_agree_only_a_new_top_folder_is_asked_about() {
    for (code, expected) in [
        (None, Meaning::Untagged),
        (Some(CODE), Meaning::Denied(CODE.to_owned())),
    ] {
        let shown = agreeing(code);
        assert_eq!(meaning(&shown, "a/new/k"), Some(expected));
        assert_eq!(meaning(&shown, "b/k"), None);
        answer(
            &shown,
            "b/k",
            if code.is_none() { Some(CODE) } else { None },
        );
        assert_eq!(meaning(&shown, "a/another/k"), None, "the answers differ");
    }
}

#[test]
fn each_object_is_asked_about_where_some_are_denied_and_some_are_counted() {
    let shown = Shown::default();
    for counted_first in [true, false] {
        let directory = shown.directory(&format!("{counted_first}/k"));
        if counted_first {
            shown.counted(&directory);
        }
        shown.answered(&directory, Some(CODE.to_owned()));
        shown.counted(&directory);
        assert_eq!(
            shown.meaning(&directory),
            Some(Meaning::Nothing),
            "{counted_first}"
        );
    }
    let readable = shown.directory("readable/k");
    shown.counted(&readable);
    assert_eq!(
        shown.meaning(&readable),
        None,
        "says nothing about objects without a number"
    );
    shown.answered(&readable, None);
    assert_eq!(shown.meaning(&readable), Some(Meaning::Untagged));
}

#[test]
fn a_bucket_with_as_many_folders_as_objects_is_asked_about_few_of_them() {
    let shown = Shown::default();
    let (mut asked, objects) = (0, 100_000);
    for n in 0..objects {
        let directory = shown.directory(&format!("{n}/k"));
        if shown.meaning(&directory).is_none() {
            shown.answered(&directory, None);
            asked += 1;
        }
    }
    assert!(
        asked > ENOUGH && asked <= ENOUGH + objects / OBJECTS + 1,
        "{asked}"
    );
}

#[test]
fn a_number_where_all_was_denied_ends_the_agreement() {
    let shown = agreeing(Some(CODE));
    shown.counted(&shown.directory("a/new/k"));
    assert_eq!(meaning(&shown, "a/newer/k"), None);
}

#[test]
fn a_store_that_never_shows_a_number_is_asked_about_each_object() {
    let shown = agreeing(None);
    shown.never();
    for key in ["a/1/k", "b/k"] {
        assert_eq!(meaning(&shown, key), Some(Meaning::Nothing), "{key}");
    }
}

#[test]
fn a_bounded_number_of_directories_is_remembered() {
    let shown = Shown::default();
    answer(&shown, "open/k", None);
    answer(&shown, "closed/k", Some(CODE));
    for n in 0..MOST {
        shown.directory(&format!("{n}/k"));
    }
    assert!(shown.lock().by_name.len() <= MOST && shown.lock().top.len() <= MOST);
    assert_eq!(meaning(&shown, "open/k"), None, "forgotten");
}
