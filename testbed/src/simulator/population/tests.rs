use super::*;

fn population(objects: u64) -> Population {
    Population {
        prefix: "logs/".to_owned(),
        suffix: ".json".to_owned(),
        objects,
        is_flat: false,
        sizes: 0..100,
        seed: 1,
        with_metadata: 3,
        with_tags: 7,
        storage_class: standard(),
    }
}

#[test]
fn a_key_names_its_number_and_no_other_key_does() {
    for objects in [1, 9, 10, 11, 1_000, 1_001, 1_000_000_000] {
        let all = population(objects);
        for number in [0, objects / 2, objects - 1] {
            assert_eq!(all.number(&all.key(number)), Some(number));
        }
        assert_eq!(all.number(&population(objects).key(objects)), None);
    }
    let all = population(1_000);
    for other in [
        "",
        "logs/",
        "logs/000/1.json",
        "logs/001/001.json",
        "logs/000/001.json.gz",
        "x/000/001.json",
    ] {
        assert_eq!(all.number(other), None, "{other}");
    }
}

#[test]
fn keys_without_folders_have_their_number_after_the_prefix() {
    let all = Population {
        is_flat: true,
        ..population(1_000)
    };
    assert_eq!(all.key(42), "logs/042.json");
    assert_eq!(all.number("logs/042.json"), Some(42));
    assert_eq!(all.number("logs/000/042.json"), None);
}

#[test]
fn keys_sort_as_their_numbers() {
    let all = population(2_500);
    let keys: Vec<_> = (0..all.objects).map(|number| all.key(number)).collect();
    assert!(keys.is_sorted());
    for (number, key) in (0..).zip(&keys) {
        assert_eq!(all.first_from(key), number);
        assert_eq!(all.first_from(&format!("{key}~")), number + 1);
    }
    assert_eq!(all.first_from(""), 0);
    assert_eq!(all.first_from("z"), all.objects);
}

#[test]
fn traits_are_the_same_again_and_spread_evenly() {
    let all = population(10_000);
    let keys = || (0..all.objects).map(|number| all.traits(&all.key(number)));
    assert_eq!(keys().collect::<Vec<_>>(), keys().collect::<Vec<_>>());
    let with_metadata = keys().filter(|it| !it.metadata(&all).is_empty()).count();
    assert!((3_000..3_700).contains(&with_metadata), "{with_metadata}");
    let with_tags = keys().filter(|it| !it.tags(&all).is_empty()).count();
    assert!((1_250..1_610).contains(&with_tags), "{with_tags}");
}
