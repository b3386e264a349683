use super::*;

#[test]
fn kubernetes_says_the_version_that_go_mod_requires() {
    let version = kubernetes_version();
    assert!(version.starts_with("v1."), "{version}");
    assert!(kubernetes_flags().contains(&format!("gitVersion={version} ")));
    assert!(KUBE_GO_MOD.contains(&format!(
        "k8s.io/api => k8s.io/api v0{}",
        version.trim_start_matches("v1")
    )));
}

#[test]
fn keda_is_of_one_version() {
    let version = keda_version();
    assert!(version.starts_with("v2."), "{version}");
    assert_eq!(version, required(CRDS_GO_MOD, KEDA));
}
