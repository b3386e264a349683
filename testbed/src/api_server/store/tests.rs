#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use http::HeaderMap;

use super::*;

fn asked(uri: &str) -> Asked {
    Asked::of(&uri.parse().unwrap(), &HeaderMap::new()).unwrap()
}

fn pod(name: &str, spec: u32) -> Value {
    json!({"metadata": {"name": name, "namespace": "a", "labels": {"run": "logs"}}, "spec": {"n": spec}})
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|it| it["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[test]
fn an_object_gets_a_version_with_every_change_and_a_generation_with_its_spec() {
    let mut store = Store::default();
    let first = store.put("pods", pod("p", 1));
    let mut same = first.clone();
    same["status"] = json!({"phase": "Running"});
    let second = store.put("pods", same.clone());
    same["spec"] = json!({"n": 2});
    let third = store.put("pods", same);
    let of = |object: &Value| {
        let metadata = &object["metadata"];
        let [version, generation] =
            ["resourceVersion", "generation"].map(|it| metadata[it].to_string());
        format!("{version} {generation}")
    };
    assert_eq!(
        [of(&first), of(&second), of(&third)],
        ["\"1\" 1", "\"2\" 1", "\"3\" 2"]
    );
    assert_eq!(first["metadata"]["uid"], third["metadata"]["uid"]);
}

#[test]
fn lists_have_pages_and_namespaces() {
    let mut store = Store::default();
    for name in ["p", "q", "r"] {
        store.put("pods", pod(name, 1));
    }
    store.put("podsets", pod("s", 1));
    let page = store.list(&asked("/api/v1/pods?limit=2"));
    assert_eq!(
        (names(&page), &page["metadata"]["continue"]),
        (vec!["p", "q"], &json!("2"))
    );
    let page = store.list(&asked("/api/v1/pods?limit=2&continue=2"));
    assert_eq!(
        (names(&page), &page["metadata"]["continue"]),
        (vec!["r"], &Value::Null)
    );
    assert!(names(&store.list(&asked("/api/v1/namespaces/b/pods"))).is_empty());
}

#[test]
fn a_watch_shows_what_happened_since_its_version_and_after() {
    let mut store = Store::default();
    store.put("pods", pod("p", 1));
    store.put("pods", pod("q", 1));
    let mut watch = store
        .watch(asked(
            "/api/v1/pods?watch=true&resourceVersion=1&labelSelector=run",
        ))
        .unwrap();
    store.put("jobs", pod("j", 1));
    store.delete("pods", "a", "p");
    let mut seen = Vec::new();
    while let Ok(line) = watch.try_recv() {
        let event: Value = serde_json::from_slice(&line).unwrap();
        seen.push(format!(
            "{} {}",
            event["type"], event["object"]["metadata"]["name"]
        ));
    }
    assert_eq!(seen, [r#""ADDED" "q""#, r#""DELETED" "p""#]);
    for n in 0..KEPT {
        store.put("jobs", pod(&n.to_string(), 1));
    }
    let expired = store.watch(asked("/api/v1/pods?watch=true&resourceVersion=1"));
    assert!(expired.unwrap_err().starts_with(b"{\"type\":\"ERROR\""));
}

#[test]
fn an_object_with_a_finalizer_goes_once_that_is_taken_off() {
    let mut store = Store::default();
    let mut object = pod("p", 1);
    object["metadata"]["finalizers"] = json!(["f"]);
    store.put("pods", object);
    let marked = store.delete("pods", "a", "p").unwrap();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert!(store.get("pods", "a", "p").is_some());
}
