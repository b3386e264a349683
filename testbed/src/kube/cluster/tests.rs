use super::*;

#[test]
fn a_process_has_one_start_and_no_process_has_none() {
    let own = since(std::process::id()).unwrap();
    assert_eq!(since(std::process::id()), Some(own));
    assert!(own > 0);
    assert_eq!(since(u32::MAX), None);
}

#[tokio::test]
async fn a_second_cluster_says_once_that_it_waits_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let first = locked(&path, || panic!("nobody has it")).await.unwrap();
    let mut first = Some(first);
    locked(&path, || drop(first.take())).await.unwrap();
    assert!(first.is_none(), "it waited");
}

#[test]
fn a_definition_without_conditions_is_waited_for_and_one_that_is_not_there_is_not() {
    let failed = |output: &str| KubeError::Command {
        command: "kubectl".to_owned(),
        status: "exit code 1".to_owned(),
        output: output.to_owned(),
    };
    let new = "error: .status.conditions accessor error: <nil> is of the type <nil>, expected \
        []interface{}\n";
    assert!(has_no_conditions_yet(&failed(new)));
    let missing = "Error from server (NotFound): customresourcedefinitions.apiextensions.k8s.io \
        \"a.b\" not found\n";
    assert!(!has_no_conditions_yet(&failed(missing)));
}

#[test]
fn a_folder_without_a_cluster_is_told_as_one() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        Cluster::attach(folder.path()),
        Err(KubeError::NotRunning(_))
    ));
}
