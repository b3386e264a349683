//! The CustomResourceDefinition of [`ArchiveRun`].

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::{Map, Value, json};

use super::rule;
use super::run::ArchiveRun;
use super::schema::each_part;

/// The CustomResourceDefinition of [`ArchiveRun`].
pub fn crd() -> CustomResourceDefinition {
    let mut crd = json!(ArchiveRun::crd());
    if let Some(schema) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        tidy(schema);
        schema["x-kubernetes-validations"] = json!(rule::of_the_run());
        schema["properties"]["status"]["default"] = before_the_first_look();
    }
    serde_json::from_value(crd).expect("a definition stays one when its schema is tidied")
}

/// What the status says before the operator has said anything, so that no tool takes a new run for
/// a finished one. The time is that of a condition that never changed, as Gateway API has it.
fn before_the_first_look() -> Value {
    json!({"conditions": [{
        "type": "Ready",
        "status": "Unknown",
        "reason": "Pending",
        "message": "waiting for the operator",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]})
}

/// What schemars and kube leave behind and Kubernetes has no use for: `nullable` on every optional
/// field (an absent one is absent), titles, defaults of null, and line breaks in descriptions.
fn tidy(schema: &mut Value) {
    fn part(schema: &mut Map<String, Value>) {
        schema.remove("nullable");
        schema.remove("title");
        if schema.get("default").is_some_and(Value::is_null) {
            schema.remove("default");
        }
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        each_part(schema, part);
    }
    if let Value::Object(schema) = schema {
        part(schema);
    }
}
