use super::*;

#[test]
fn an_image_is_named_before_the_program_that_it_is_made_of() {
    let image: NamedProgram = "localhost/app:dev=/a=b/app"
        .parse()
        .expect("a name and a path");
    assert_eq!(
        (image.name.as_str(), image.program),
        ("localhost/app:dev", PathBuf::from("/a=b/app"))
    );
    assert!("localhost/app:dev".parse::<NamedProgram>().is_err());
}

#[test]
fn a_kubeconfig_that_is_gone_is_nobodys() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let there = file.path().as_os_str();
    let mut list = OsString::from("/gone/admin.kubeconfig:");
    list.push(there);
    for (kubeconfig, names) in [
        (there, true),
        (&list, true),
        (OsStr::new("/gone/admin.kubeconfig"), false),
        (OsStr::new(""), false),
    ] {
        assert_eq!(names_a_file(kubeconfig), names, "{}", kubeconfig.display());
    }
}
