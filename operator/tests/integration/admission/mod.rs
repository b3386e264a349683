//! The cases of [`cases`], as far as they can be proven without an API server: that they cover
//! every rule, and that whatever is accepted can be read. `tests/cluster` asks the real one.

mod cases;

use std::collections::BTreeSet;

use cases::cases;
use s3bundler_operator::crd::{self, ArchiveRun};
use serde_json::{Value, json};

fn schema() -> Value {
    let crd = serde_json::to_value(crd::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Calls `act` with every schema in `schema`, itself included, and its path.
fn each_part(schema: &Value, path: &str, act: &mut dyn FnMut(&str, &Value)) {
    act(path, schema);
    for (name, part) in schema["properties"].as_object().into_iter().flatten() {
        each_part(part, &format!("{path}.{name}"), act);
    }
    for keyword in ["items", "additionalProperties"] {
        if schema[keyword].is_object() {
            each_part(&schema[keyword], &format!("{path}[]"), act);
        }
    }
}

#[test]
fn every_rule_has_a_case_that_it_refuses() {
    let mut messages = BTreeSet::new();
    each_part(&schema(), "", &mut |_, part| {
        for rule in part["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            messages.insert(rule["message"].as_str().unwrap().to_owned());
        }
    });
    let refused: BTreeSet<&str> = cases().iter().filter_map(|case| case.refused).collect();
    for message in &messages {
        assert!(
            refused.iter().any(|part| message.contains(part)),
            "no case for: {message}"
        );
    }
    assert_eq!(messages.len(), 25, "rules come and go with their cases");
}

#[test]
fn names_tell_cases_apart() {
    let cases = cases();
    let of_cases: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    let of_objects: BTreeSet<_> = cases
        .iter()
        .map(|case| case.object["metadata"]["name"].to_string())
        .collect();
    assert_eq!(
        (of_cases.len(), of_objects.len()),
        (cases.len(), cases.len())
    );
}

#[test]
fn what_is_accepted_can_be_read_and_written_back() {
    for case in cases() {
        let accepted = case
            .refused
            .is_none()
            .then(|| case.update.clone())
            .flatten();
        let created = (case.refused.is_none() || case.update.is_some()).then_some(case.object);
        for object in created.into_iter().chain(accepted) {
            let run: ArchiveRun = serde_json::from_value(object)
                .unwrap_or_else(|cause| panic!("{}: {cause}", case.name));
            let again: ArchiveRun =
                serde_json::from_value(serde_json::to_value(&run).unwrap()).unwrap();
            assert_eq!(run, again, "{}", case.name);
            run.spec.source.origin().unwrap();
            run.spec.source.select().unwrap();
            run.spec.destination.layout().unwrap();
            run.spec.group.options().unwrap();
            run.spec.archive.options(&run.spec.destination).unwrap();
            run.spec.workers.scratch.size().unwrap();
            run.spec.grouper.scratch.size().unwrap();
        }
    }
}

/// CEL's cost is estimated from these bounds, and etcd keeps what people write.
#[test]
fn every_list_map_and_text_is_bounded() {
    let mut unbounded = Vec::new();
    each_part(
        &schema()["properties"]["spec"],
        "spec",
        &mut |path, part| {
            let bound = match part["type"].as_str() {
                Some("array") => "maxItems",
                Some("object") if part["additionalProperties"].is_object() => "maxProperties",
                Some("string") if part["enum"].is_null() => "maxLength",
                // Of 32 bits, or the API server would keep what the types cannot read.
                Some("integer") if part["format"] == "int32" => "maximum",
                _ => return,
            };
            if part[bound].is_null() {
                unbounded.push(format!("{path}: {bound}"));
            }
        },
    );
    assert!(unbounded.is_empty(), "{unbounded:#?}");
}

#[test]
fn the_schema_is_plain() {
    each_part(&schema(), "", &mut |path, part| {
        for keyword in [
            "nullable", "$ref", "oneOf", "allOf", "not", "anyOf", "title",
        ] {
            assert!(part[keyword].is_null(), "{path}: {keyword}");
        }
        let preserved = &part["x-kubernetes-preserve-unknown-fields"];
        assert!(preserved.is_null(), "{path}: {preserved}");
        assert!(
            path.is_empty()
                || !(part["type"].is_null() && part["x-kubernetes-int-or-string"].is_null()),
            "{path}"
        );
    });
}

/// A default of a whole object is applied as it is, and then looked at by rules: it has to be as
/// full as the defaults of the fields would make it.
#[test]
fn defaults_are_written_in_full() {
    fn filled(schema: &Value) -> Value {
        let fields = schema["properties"].as_object().into_iter().flatten();
        let defaults = fields.filter(|(_, part)| !part["default"].is_null());
        Value::Object(
            defaults
                .map(|(name, part)| (name.clone(), part["default"].clone()))
                .collect(),
        )
    }
    each_part(&schema(), "", &mut |path, part| {
        if part["default"].is_object() && path != ".status" {
            assert_eq!(part["default"], filled(part), "{path}");
        }
    });
}

#[test]
fn before_the_operator_looks_a_run_is_pending() {
    let status = schema()["properties"]["status"]["default"].clone();
    let run = json!({"apiVersion": "archive.s3bundler.dev/v1alpha1", "kind": "ArchiveRun", "metadata": {},
        "spec": cases::smallest("x")["spec"], "status": status});
    let run: ArchiveRun = serde_json::from_value(run).unwrap();
    let condition = &run.status.unwrap().conditions[0];
    let told = (
        condition.type_.as_str(),
        condition.status.as_str(),
        condition.reason.as_str(),
    );
    assert_eq!(told, ("Ready", "Unknown", "Pending"));
    assert_eq!(
        serde_json::to_value(&condition.last_transition_time).unwrap(),
        "1970-01-01T00:00:00Z"
    );
}
