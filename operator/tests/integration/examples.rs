//! The examples in deploy/examples say only what an ArchiveRun understands.

use std::collections::BTreeSet;

use s3bundler_operator::crd::{self, ArchiveRun};
use serde_json::Value;

const MINIMAL: &str = include_str!("../../../deploy/examples/archiverun-minimal.yaml");
const FULL: &str = include_str!("../../../deploy/examples/archiverun-full.yaml");

fn written(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap()
}

/// What a program that reads the example and writes it again would make of it.
fn read(example: &Value) -> Value {
    let run: ArchiveRun = serde_json::from_value(example.clone()).unwrap();
    serde_json::to_value(run).unwrap()
}

/// Whether everything in `part` is in `whole`.
fn holds(whole: &Value, part: &Value, path: &str) {
    match part {
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, part)| holds(&whole[name], part, &format!("{path}.{name}")));
        }
        other => assert_eq!(whole, other, "{path}"),
    }
}

#[test]
fn no_field_of_an_example_is_lost() {
    for example in [MINIMAL, FULL] {
        let example = written(example);
        holds(&read(&example), &example, "");
    }
}

#[test]
fn a_minimal_run_is_all_defaults() {
    let run = read(&written(MINIMAL));
    let schema = serde_json::to_value(crd::crd()).unwrap();
    let spec = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    for (name, field) in spec.as_object().unwrap() {
        if !field["default"].is_null() {
            assert_eq!(
                run["spec"][name], field["default"],
                "{name}: the program's default is the schema's"
            );
        }
    }
}

#[test]
fn the_full_example_has_every_field() {
    fn fields(value: &Value, path: &str, depth: usize, found: &mut BTreeSet<String>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            found.insert(format!("{path}{name}"));
            if depth > 0 {
                fields(value, &format!("{path}{name}."), depth - 1, found);
            }
        }
    }
    fn known(schema: &Value, path: &str, depth: usize, all: &mut BTreeSet<String>) {
        for (name, part) in schema["properties"].as_object().into_iter().flatten() {
            all.insert(format!("{path}{name}"));
            if depth > 0 && !["resources", "affinity"].contains(&name.as_str()) {
                known(part, &format!("{path}{name}."), depth - 1, all);
            }
        }
    }

    let example = written(FULL);
    let mut found = BTreeSet::new();
    fields(&example["spec"], "", 3, &mut found);

    let schema = serde_json::to_value(crd::crd()).unwrap();
    let spec = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut all = BTreeSet::new();
    known(spec, "", 3, &mut all);

    let missing: Vec<&String> = all.difference(&found).collect();
    // Those that exclude another one of the example, and what the grouper has as the workers do.
    let (left_out, forgotten): (Vec<&String>, Vec<&String>) =
        missing.into_iter().partition(|path| {
            [
                "source.inventory.manifest",
                "source.manifests",
                "workers.scratch.hostPath",
                "grouper.podTemplate.",
            ]
            .iter()
            .any(|start| path.starts_with(start))
        });
    assert!(forgotten.is_empty(), "{forgotten:#?}");
    assert!(left_out.len() > 3, "{left_out:#?}");
}
