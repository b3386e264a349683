use super::RowDigest;

fn digest(rows: &[(&str, &str, Option<&str>)]) -> RowDigest {
    let mut digest = RowDigest::default();
    for (bucket, key, version) in rows {
        digest.add(bucket, key, *version);
    }
    digest
}

#[test]
fn order_does_not_matter_and_multiplicity_does() {
    let (a, b, c) = (("b", "a", None), ("b", "b", None), ("b", "c", Some("v")));
    assert_eq!(digest(&[a, b, c]), digest(&[c, a, b]));
    assert_ne!(
        digest(&[a, b, c]),
        digest(&[a, b, b]),
        "one lost and another doubled"
    );
    assert_ne!(digest(&[("ab", "c", None)]), digest(&[("a", "bc", None)]));
}

#[test]
fn a_digest_reads_back() {
    let digest = digest(&[("b", "k", None)]);
    assert_eq!(digest.to_string().parse(), Ok(digest));
    assert!("12".parse::<RowDigest>().is_err());
}
