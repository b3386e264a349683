use serde_json::json;

use super::super::{grouper, workers};
use super::*;
use crate::controller::fixtures::{archive_run, defaults};
use crate::controller::validate::validate;

#[test]
fn what_a_spec_says_is_never_a_variable_of_its_pods() {
    let run = validate(
        &archive_run(json!({
            "source": {"includePrefixes": ["a$$b/"]},
            "destination": {"prefix": "$(AWS_SECRET_ACCESS_KEY)", "tags": {"cost": "$(POD_NAME)$"}},
        })),
        &defaults(),
    )
    .expect("a run");
    let pods = [
        grouper(
            &run,
            &defaults(),
            0,
            Some("s3://inv/$(X)/manifest.json"),
            Some("q"),
        )
        .spec
        .map(|job| job.template),
        workers(&run, &defaults(), "q")
            .spec
            .map(|deployment| deployment.template),
    ];
    let args = pods.map(|pod| {
        let pod = pod.and_then(|template| template.spec).expect("a pod");
        pod.containers
            .into_iter()
            .next()
            .and_then(|container| container.args)
            .expect("arguments")
    });
    for arg in args.iter().flatten() {
        assert!(!arg.replace("$$", "").contains('$'), "{arg}");
    }
    let has = |args: &[String], arg: &str| args.iter().any(|it| it == arg);
    for args in &args {
        assert!(
            has(args, "--destination=s3://archive/$$(AWS_SECRET_ACCESS_KEY)"),
            "{args:?}"
        );
        assert!(has(args, "--tag=cost=$$(POD_NAME)$$"), "{args:?}");
    }
    assert!(
        has(&args[0], "--include=a$$$$b/")
            && has(&args[0], "--inventory=s3://inv/$$(X)/manifest.json")
    );
}

#[test]
fn no_variable_is_there_twice() {
    let settings = [
        "TMPDIR",
        "AWS_ACCESS_KEY_ID",
        "AWS_CA_BUNDLE",
        "AWS_ENDPOINT_URL",
    ];
    let defaults = Defaults {
        env: settings
            .map(|name| (name.to_owned(), "of the settings".to_owned()))
            .to_vec(),
        ca_bundle: Some(CaBundle {
            config_map: "company".to_owned(),
            key: "bundle.pem".to_owned(),
        }),
        ..defaults()
    };
    let run = validate(
        &archive_run(json!({"credentialsSecretRef": {"name": "minio"}})),
        &defaults,
    )
    .expect("a run");
    let pod = workers(&run, &defaults, "q")
        .spec
        .and_then(|deployment| deployment.template.spec)
        .expect("a pod");
    let env = pod
        .containers
        .into_iter()
        .next()
        .and_then(|container| container.env)
        .expect("variables");
    let names: BTreeSet<_> = env.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names.len(), env.len(), "{env:?}");
    let of_settings = env
        .iter()
        .filter(|variable| variable.value.as_deref() == Some("of the settings"));
    assert_eq!(
        of_settings
            .map(|variable| variable.name.as_str())
            .collect::<Vec<_>>(),
        ["AWS_ENDPOINT_URL"]
    );
}

#[test]
fn every_pod_trusts_the_certificates_of_the_operators_settings() {
    let bundle = CaBundle {
        config_map: "company".to_owned(),
        key: "bundle.pem".to_owned(),
    };
    let defaults = Defaults {
        ca_bundle: Some(bundle),
        ..defaults()
    };
    let run = validate(&archive_run(json!({})), &defaults).expect("a run");
    let pods = [
        grouper(
            &run,
            &defaults,
            0,
            Some("s3://inv/manifest.json"),
            Some("q"),
        )
        .spec
        .map(|job| job.template),
        workers(&run, &defaults, "q")
            .spec
            .map(|deployment| deployment.template),
    ];
    for pod in pods {
        let pod = pod.and_then(|template| template.spec).expect("a pod");
        let volume = json!({"name": "certificates",
                "configMap": {"name": "company", "items": [{"key": "bundle.pem", "path": "ca.crt"}]}});
        assert!(
            json!(pod.volumes)
                .as_array()
                .expect("volumes")
                .contains(&volume),
            "{pod:?}"
        );
        let container = json!(pod.containers[0]);
        let mount = json!({"name": "certificates", "mountPath": "/etc/s3bundler/certificates", "readOnly": true});
        assert!(
            container["volumeMounts"]
                .as_array()
                .expect("mounts")
                .contains(&mount),
            "{container}"
        );
        let variable =
            json!({"name": "AWS_CA_BUNDLE", "value": "/etc/s3bundler/certificates/ca.crt"});
        assert!(
            container["env"]
                .as_array()
                .expect("variables")
                .contains(&variable),
            "{container}"
        );
    }
}
