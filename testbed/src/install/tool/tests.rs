use super::*;

#[test]
fn what_is_missing_is_one_line_that_says_what_to_install() {
    let told = Tool::CONTAINERD.missing().to_string();
    assert_eq!(
        told,
        "containerd is missing: install it (containerd on Debian)"
    );
    let nowhere = Tool::new("no-such-program", "no-such-package", &["--version"]);
    assert_eq!(
        nowhere.probe().unwrap_err().to_string(),
        nowhere.missing().to_string()
    );
}

#[test]
fn a_go_that_cannot_fetch_a_newer_one_is_refused() {
    for printed in [
        "go version go1.21.0 linux/amd64",
        "go version go1.26.8 linux/arm64",
        "go version go1.27rc1 x/y",
    ] {
        assert!(Tool::GO.is_new_enough(printed).is_ok(), "{printed}");
    }
    for printed in [
        "go version devel go1.27-fb2a7f8ce0 linux/amd64",
        "gccgo of some kind",
        "",
    ] {
        assert!(Tool::GO.is_new_enough(printed).is_ok(), "{printed}");
    }
    for (printed, found) in [
        ("go version go1.19.8 linux/amd64", "1.19.8"),
        ("go version go1.20 x/y", "1.20"),
    ] {
        let told = Tool::GO.is_new_enough(printed).unwrap_err().to_string();
        assert_eq!(
            told,
            format!("go 1.21 or newer is needed, found {found}: install it (https://go.dev/dl)")
        );
    }
}
