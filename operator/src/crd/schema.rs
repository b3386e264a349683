//! Schemas of fields: what schemars makes of their types, in the form that Kubernetes wants.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use s3bundler_contract::Reason;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// Longest list, and most entries of a map, in a type of Kubernetes that sets no bound itself:
/// CEL's cost is estimated.
const MAX_ENTRIES: u32 = 64;
/// Longest text in such a type: a qualified label name has 253 + 1 + 63 characters.
const MAX_TEXT: u32 = 317;

/// A set of up to `ITEMS` texts of up to `LENGTH` characters.
pub(super) fn set<const ITEMS: u32, const LENGTH: u32>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": ITEMS,
        "items": {"type": "string", "minLength": 1, "maxLength": LENGTH},
        "x-kubernetes-list-type": "set",
    })
}

/// A set of up to 16 names as S3 spells storage classes: without the comma that separates those of
/// `--storage-class`.
pub(super) fn storage_classes(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = set::<16, 64>(generator);
    schema.ensure_object()["items"]["pattern"] = json!("^[A-Z0-9_]+$");
    schema
}

/// A set of reasons for which objects fail.
pub(super) fn retry_reasons(_: &mut SchemaGenerator) -> Schema {
    let reasons: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": reasons.len(),
        "items": {"type": "string", "enum": reasons},
        "x-kubernetes-list-type": "set",
    })
}

/// A number, or a percentage with up to four decimals.
pub(super) fn count_or_percent(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "minimum": 0,
        "maxLength": 8,
        "pattern": r"^(100|[0-9]{1,2}(\.[0-9]{1,4})?)%$",
    })
}

/// An instant in RFC 3339. The pattern keeps to years and offsets that every reader knows.
pub(super) fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "format": "date-time",
        "maxLength": 40,
        "pattern": r"^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$",
    })
}

/// The conditions of a status: one of each type.
pub(super) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": Condition::json_schema(generator),
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    });
    without_descriptions(schema.ensure_object());
    schema
}

/// The schema of a type of Kubernetes without its descriptions, which would make the definition too
/// large for `kubectl apply`, and with bounds.
pub(super) fn bare<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    without_descriptions(schema.ensure_object());
    bound(schema.ensure_object());
    schema
}

fn without_descriptions(schema: &mut Map<String, Value>) {
    schema.remove("description");
    each_part(schema, without_descriptions);
}

fn bound(schema: &mut Map<String, Value>) {
    let limit = match schema.get("type").and_then(Value::as_str) {
        Some("array") => Some(("maxItems", json!(MAX_ENTRIES))),
        Some("string") => Some(("maxLength", json!(MAX_TEXT))),
        Some("object") if schema.contains_key("additionalProperties") => {
            Some(("maxProperties", json!(MAX_ENTRIES)))
        }
        Some("integer") if schema.get("format") == Some(&json!("int32")) => {
            Some(("maximum", json!(i32::MAX)))
        }
        _ => None,
    };
    if let Some((keyword, value)) = limit {
        schema.entry(keyword).or_insert(value);
    }
    each_part(schema, bound);
}

/// Calls `act` with the schema of every property, item and map value right below `schema`.
pub(super) fn each_part(schema: &mut Map<String, Value>, act: fn(&mut Map<String, Value>)) {
    for (keyword, value) in schema {
        match (keyword.as_str(), value) {
            ("items" | "additionalProperties", Value::Object(part)) => act(part),
            ("properties", Value::Object(parts)) => parts
                .values_mut()
                .filter_map(Value::as_object_mut)
                .for_each(act),
            _ => {}
        }
    }
}
