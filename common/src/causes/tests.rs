use std::io;

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Wrapped {
    text: &'static str,
    #[source]
    cause: io::Error,
    answer: &'static str,
}

#[test]
fn an_error_is_told_with_its_causes_once_and_without_what_was_answered() {
    let wrapped = |text, cause: io::Error| Wrapped {
        text,
        cause,
        answer: "<SecretAccessKey>",
    };
    for (error, told) in [
        (
            wrapped("dispatch failure", io::Error::other("connection refused")),
            "connection refused",
        ),
        (
            wrapped(
                "a: b",
                io::Error::other(wrapped("b", io::Error::other("c"))),
            ),
            "a: b: c",
        ),
        (
            wrapped(
                "dns error",
                io::Error::other("failed to lookup address information: Name or service not known"),
            ),
            "dns error: failed to lookup address information: Name or service not known; check \
             the host of the endpoint URL (or of the proxy) and the region",
        ),
        (
            wrapped(
                "connect",
                io::Error::other("invalid peer certificate: UnknownIssuer"),
            ),
            "connect: invalid peer certificate: UnknownIssuer; AWS_CA_BUNDLE names a PEM file \
             with the authority to trust",
        ),
    ] {
        assert_eq!(with_causes(&error), told);
        assert!(format!("{error:?}").contains(error.answer));
    }
}
