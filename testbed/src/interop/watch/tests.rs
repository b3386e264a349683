use serde_json::json;

use super::*;

#[test]
fn an_object_that_is_cut_off_is_left_out() {
    let all = objects("{\"a\": 1}\n{\n  \"b\": 2\n}\n{\"c\":").unwrap();
    assert_eq!(all, [json!({"a": 1}), json!({"b": 2})]);
}

#[test]
fn what_is_not_json_is_an_error() {
    assert!(objects("{} error").is_err());
}
