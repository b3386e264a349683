use serde_json::json;

use super::*;

fn asked(uri: &str) -> Option<Asked> {
    Asked::of(&uri.parse().expect("a URI"), &HeaderMap::new())
}

#[test]
fn a_request_is_counted_by_verb_resource_and_subresource() {
    for (method, uri, label) in [
        (Method::GET, "/api/v1/pods?watch=true", "WATCH pods"),
        (Method::GET, "/api/v1/pods?limit=500", "LIST pods"),
        (Method::GET, "/api/v1/namespaces/team-a", "GET namespaces"),
        (
            Method::GET,
            "/api/v1/namespaces/team-a/serviceaccounts/w",
            "GET serviceaccounts",
        ),
        (
            Method::PATCH,
            "/apis/archive.s3bundler.dev/v1alpha1/namespaces/a/archiveruns/r/status",
            "PATCH archiveruns/status",
        ),
        (
            Method::POST,
            "/apis/events.k8s.io/v1/namespaces/a/events",
            "POST events",
        ),
    ] {
        assert_eq!(
            asked(uri).map(|asked| asked.label(&method)).as_deref(),
            Some(label),
            "{uri}"
        );
    }
    assert_eq!(asked("/healthz"), None);
}

#[test]
fn labels_select_objects() {
    let object = json!({"metadata": {"labels": {"run": "logs", "component": "worker"}}});
    for (selector, expected) in [
        ("", true),
        ("run", true),
        ("run%3Dlogs", true),
        ("run%3D%3Dlogs", true),
        ("run%2Ccomponent%3Dworker", true),
        ("run%3Dother", false),
        ("absent", false),
    ] {
        let asked = asked(&format!("/api/v1/pods?labelSelector={selector}")).expect("pods");
        assert_eq!(asked.selects(&object), expected, "{selector}");
    }
}
