use super::*;

#[test]
fn a_way_leads_from_one_folder_to_another() {
    let way = relative(
        Path::new("/tmp/cluster/keda"),
        Path::new("/cache/keda/config"),
    );
    assert_eq!(way, Path::new("../../../cache/keda/config"));
}

#[test]
fn keda_has_the_addresses_and_keys_of_the_testbed() {
    let key = "secret".to_owned();
    let overlay = overlay(Path::new("base"), &[("AWS_SECRET_ACCESS_KEY", &key)]).to_string();
    for part in [
        "10.88.0.1",
        "hostNetwork",
        "AWS_SECRET_ACCESS_KEY",
        "\"base\"",
    ] {
        assert!(overlay.contains(part), "{part}: {overlay}");
    }
}
