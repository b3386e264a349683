use super::*;

#[test]
fn a_finished_folder_is_used() {
    let cache = tempfile::tempdir().unwrap();
    let folder = cache
        .path()
        .join(format!("versitygw-{}", key(Recipe::VersityGw)));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("versitygw"), "").unwrap();
    assert_eq!(
        installed_in(cache.path(), Recipe::VersityGw).unwrap(),
        folder
    );
}

#[test]
fn an_environment_whose_python_is_gone_is_not_whole() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bin")).unwrap();
    std::os::unix::fs::symlink("/nowhere/python3", folder.path().join("bin/python")).unwrap();
    assert!(!Recipe::Moto.is_whole(folder.path()));
}

#[test]
fn another_pin_is_another_folder() {
    let keys: std::collections::BTreeSet<_> =
        Recipe::ALL.iter().map(|recipe| key(*recipe)).collect();
    assert_eq!(keys.len(), Recipe::ALL.len());
}
