//! Why a request failed that has no answer: what the SDK's errors and their causes say.

/// What the SDK wraps causes in, and says nothing with.
const WRAPPERS: [&str; 3] = ["dispatch failure", "io error", "other"];

/// An error and all its causes on one line, with what to do where it is always the same. The SDK's
/// own `DisplayErrorContext` goes on with everything it knows, such as raw answers of credential
/// services.
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        cause = error.source();
        let next = error.to_string();
        // Wrappers often say what they wrap.
        if (cause.is_some() && WRAPPERS.contains(&next.as_str())) || text.ends_with(&next) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&next);
    }
    if is_distrust(error) {
        text.push_str("; AWS_CA_BUNDLE names a PEM file with the authority to trust");
    }
    if is_unknown_host(error) {
        text.push_str("; check the host of the endpoint URL (or of the proxy) and the region");
    }
    text
}

/// Whether a server's certificate is not trusted, which rustls tells in these words.
pub fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    mentions(error, "invalid peer certificate")
}

/// Whether a host does not exist, or a proxy wants a password: if nothing has answered before,
/// nothing will.
pub fn is_misconfigured(error: &(dyn std::error::Error + 'static)) -> bool {
    is_unknown_host(error) || mentions(error, "proxy authorization required")
}

/// Whether a host name does not exist. A resolver that does not answer, which may pass, is reported
/// in other words. Those of getaddrinfo are all there is: "gai_strerror(3)" of glibc, musl and
/// macOS.
fn is_unknown_host(error: &(dyn std::error::Error + 'static)) -> bool {
    [
        "name or service not known",
        "no address associated with hostname",
        "name does not resolve",
        "nodename nor servname",
    ]
    .iter()
    .any(|words| mentions(error, words))
}

fn mentions(error: &(dyn std::error::Error + 'static), words: &str) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.to_string().to_ascii_lowercase().contains(words) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
