//! Files that are made from the types. `make generate` writes them; here they fail when they
//! differ.

use s3bundler_operator::crd;
use s3bundler_testbed::generated::assert_generated;
use s3bundler_testbed::servers::Policy;
use serde_json::{Value, json};

/// `kubectl apply` keeps the whole object in an annotation, and annotations end at 262,144 bytes.
const MAX_BYTES: usize = 200_000;

/// The definition as YAML. The bounds of a schema are floating point numbers in its type, and whole
/// ones in YAML.
fn yaml() -> String {
    fn whole(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(whole),
            Value::Object(fields) => fields.values_mut().for_each(whole),
            Value::Number(number) => {
                if let Some(float) = number
                    .as_f64()
                    .filter(|float| number.is_f64() && float.fract() == 0.0)
                {
                    *value = format!("{float:.0}").parse::<i64>().unwrap().into();
                }
            }
            _ => {}
        }
    }
    let mut crd = serde_json::to_value(crd::crd()).unwrap();
    whole(&mut crd);
    let yaml = serde_saphyr::to_string(&crd).unwrap();
    assert_eq!(
        serde_saphyr::from_str::<Value>(&yaml).unwrap(),
        crd,
        "the YAML says what was written"
    );
    yaml
}

#[test]
fn the_definition_is_that_of_the_types() {
    let yaml = yaml();
    assert!(yaml.len() < MAX_BYTES, "{} bytes", yaml.len());
    let head = "# Made from operator/src/crd by `make generate`.\n";
    assert_generated(
        "crds/archiveruns.archive.s3bundler.dev.yaml",
        &format!("{head}{yaml}"),
    );
}

#[test]
fn the_chart_installs_the_same_definition() {
    let head = "{{- /* Made from operator/src/crd by `make generate`. */ -}}\n{{- if \
        .Values.crds.install }}\n";
    let keep = "{{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: \
        keep\n{{- end }}\n";
    // Nothing in the definition's own text is a template.
    let yaml = yaml().replace("{{", "{{ \"{{\" }}");
    let metadata = "\nmetadata:\n";
    assert_eq!(
        yaml.matches(metadata).count(),
        1,
        "one place for the annotation"
    );
    let yaml = yaml.replace(metadata, &format!("{metadata}{keep}"));
    assert_generated(
        "charts/s3bundler/templates/crd.yaml",
        &format!("{head}{yaml}{{{{- end }}}}\n"),
    );
}

/// Session tags of EKS Pod Identity ("Grant Pods access to AWS resources based on tags", EKS user
/// guide).
const CLUSTER: &str = "${aws:PrincipalTag/eks-cluster-name}";
const NAMESPACE: &str = "${aws:PrincipalTag/kubernetes-namespace}";

/// One policy for all namespaces: those of grouper and workers, with the tags in the place of
/// cluster, namespace and prefix.
#[test]
fn one_policy_for_all_namespaces_is_those_of_grouper_and_workers() {
    let prefix = format!("{CLUSTER}/{NAMESPACE}");
    let words = [
        ("CLUSTER", CLUSTER),
        ("NAMESPACE", NAMESPACE),
        ("PREFIX", &prefix),
    ];
    let statements = [("Grouper", "grouper.json"), ("Worker", "worker.json")].map(|(who, file)| {
        let policy = Policy::of_deployment(file, &words);
        let mut policy: Value = serde_json::from_str(policy.as_str()).unwrap();
        let mut statements = std::mem::take(policy["Statement"].as_array_mut().unwrap());
        for statement in &mut statements {
            statement["Sid"] = format!("{who}{}", statement["Sid"].as_str().unwrap()).into();
        }
        statements
    });
    let policy = json!({"Version": "2012-10-17", "Statement": statements.concat()});
    assert_generated("deploy/iam/abac.json", &format!("{policy:#}\n"));
}
