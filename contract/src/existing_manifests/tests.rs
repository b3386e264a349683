use super::*;
use crate::options::KeyLayout;

fn reference(manifests: &[(&str, &str)]) -> Option<InventoryRef> {
    let mut given = ExistingManifests::under(S3Address::new("b", "seed/"));
    for (key, etag) in manifests {
        given.add(key, etag);
    }
    given.reference()
}

#[test]
fn any_other_list_of_manifests_is_another_source() {
    let all = [("seed/a.0.index", "e"), ("seed/a.1.index", "f")];
    let named = reference(&all).expect("there are two");
    assert_eq!(
        (&named.manifest, named.creation_timestamp),
        (&S3Address::new("b", "seed/"), None)
    );
    assert_eq!(
        reference(&[all[0], ("seed/a.0.index.dlq", "g"), all[1]]),
        Some(named.clone()),
        "no manifest"
    );
    for other in [
        &all[..1],
        &[all[0], ("seed/a.1.index", "g")],
        &[all[0], ("seed/b.index", "f")],
    ] {
        assert_ne!(reference(other), Some(named.clone()), "{other:?}");
    }
    assert_eq!(reference(&[("seed/readme", "e")]), None);
}

#[test]
fn a_run_does_not_read_what_it_writes() {
    let layout = Layout::new("arch", KeyLayout::Hashed).expect("a prefix");
    let run: RunName = "logs".parse().expect("a name");
    for (prefix, own) in [
        ("s3://dst", true),
        ("s3://dst/arch/groups/", true),
        ("s3://dst/arch/groups/logs/logs.0", true),
        ("s3://dst/arch/groups/seed/", false),
        ("s3://dst/seed/", false),
        ("s3://other/arch/groups/", false),
    ] {
        let prefix = prefix.parse().expect("an address");
        assert_eq!(
            ExistingManifests::are_own(&prefix, "dst", &layout, &run),
            own,
            "{prefix}"
        );
    }
}
