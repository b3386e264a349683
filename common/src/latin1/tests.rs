use aws_smithy_runtime_api::http::Response;

use super::*;

#[test]
fn values_that_are_not_utf8_are_converted_from_latin1() {
    let mut answer = http::Response::new(());
    let values = [
        ("a", &b"Gr\xf6\xdfe"[..]),
        ("b", "Größe".as_bytes()),
        ("c", b"plain"),
        ("c", b"\xe4"),
    ];
    for (name, value) in values {
        answer
            .headers_mut()
            .append(name, http::HeaderValue::from_bytes(value).expect("a value"));
    }
    let answer = Response::try_from(answer).expect("an answer");
    let headers = converted(answer.headers()).expect("headers");
    let found: Vec<_> = headers.iter().collect();
    assert_eq!(
        found,
        [("a", "Größe"), ("b", "Größe"), ("c", "plain"), ("c", "ä")]
    );
}
