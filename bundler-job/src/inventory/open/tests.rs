use super::*;

#[test]
fn a_checksum_may_end_in_a_newline_and_nothing_else_may_differ() {
    let manifest = S3Address::new("inv", "x/manifest.json");
    let md5 = HEXLOWER.encode(&Md5::digest(b"{}"));
    for good in [md5.clone(), format!("{md5}\n"), md5.to_uppercase()] {
        assert!(compare(&manifest, b"{}", &good).is_ok(), "{good}");
    }
    for bad in ["", "x", &md5[..31], "00000000000000000000000000000000"] {
        let error = compare(&manifest, b"{}", bad).expect_err(bad);
        assert!(
            error
                .to_string()
                .contains("s3://inv/x/manifest.json has the MD5 99914b93"),
            "{error}"
        );
    }
}

#[test]
fn every_delivery_of_the_inventory_is_its_own_and_nothing_else() {
    let root = |manifest, data: &[&str]| {
        let data: Vec<_> = data.iter().map(|key| (*key).to_owned()).collect();
        delivery_root(manifest, &data)
    };
    let manifest = "inv/src/daily/2024-05-07T01-00Z/manifest.json";
    assert_eq!(
        root(
            manifest,
            &["inv/src/daily/data/1.csv.gz", "inv/src/daily/data/2.csv.gz"]
        ),
        Some("inv/src/daily/")
    );
    assert_eq!(
        root(
            manifest,
            &["inv/src/daily/data/1.csv.gz", "elsewhere/2.csv.gz"]
        ),
        None
    );
    assert_eq!(root(manifest, &[]), None);
    // Laid out by hand: a root guessed from these would take everything beside it.
    assert_eq!(
        root(
            "everything/inv/manifest.json",
            &["everything/inv/data/1.csv.gz"]
        ),
        None
    );
    assert_eq!(root("inv/manifest.json", &["data/1.csv.gz"]), None);
    assert_eq!(root("manifest.json", &["1.csv.gz"]), None);
}
