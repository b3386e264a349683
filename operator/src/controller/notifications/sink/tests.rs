#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use super::*;

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn refused(urls: &[(String, String)], headers: &[(String, String)]) -> String {
    let error = Sink::all(urls, headers).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Usage);
    error.to_string()
}

#[test]
fn sinks_have_names_of_their_own_and_addresses_without_secrets() {
    let url = "https://events.example/s3bundler?team=storage";
    let sinks = Sink::all(
        &[pair("ops", url), pair("audit-1", "http://broker.ns")],
        &[],
    )
    .unwrap();
    let names: Vec<_> = sinks.iter().map(Sink::name).collect();
    assert_eq!(names, ["ops", "audit-1"]);
    assert_eq!(sinks[0].url.to_string(), url);

    for name in ["", "Ops", "-ops", "ops-", "a.b", &"a".repeat(64)] {
        let error = refused(&[pair(name, url)], &[]);
        assert!(error.contains("not a DNS label"), "{error}");
    }
    let twice = refused(&[pair("ops", url), pair("ops", url)], &[]);
    assert!(twice.contains("\"ops\""), "{twice}");
    for url in [
        "",
        "events.example",
        "/s3bundler",
        "ftp://events.example",
        "https://user:hunter2@events.example",
    ] {
        let error = refused(&[pair("ops", url)], &[]);
        assert!(error.contains("the URL of ops"), "{url}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let many: Vec<_> = (0..=MOST).map(|n| pair(&format!("s{n}"), url)).collect();
    assert!(refused(&many, &[]).contains("17 sinks"));
    let unknown = refused(&[pair("ops", url)], &[pair("audit", "/tmp")]);
    assert!(unknown.contains("there is no sink audit"), "{unknown}");
}

#[test]
fn headers_are_files_of_a_folder_as_a_mounted_secret_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &[u8]| fs::write(folder.path().join(name), value).unwrap();
    fs::create_dir(folder.path().join("..2026_11_23")).unwrap();
    write("Authorization", b"Bearer t0ken\n");
    let urls = [pair("ops", "https://events.example")];
    let folders = [pair("ops", folder.path().to_str().unwrap())];
    let sinks = Sink::all(&urls, &folders).unwrap();
    let headers = |sink: &Sink| {
        let headers = sink.headers().unwrap().into_iter();
        headers
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(headers(&sinks[0]), ["authorization: Bearer t0ken"]);
    // The Secret is renewed.
    write("Authorization", b"Bearer another");
    assert_eq!(headers(&sinks[0]), ["authorization: Bearer another"]);

    for (name, value) in [("X-Note", &b"a\r\nb: c"[..]), ("a b", b"x"), ("X", b"\xff")] {
        write(name, value);
        let error = refused(&urls, &folders);
        assert!(
            error.contains(name) && error.contains("is not a header"),
            "{error}"
        );
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    drop(folder);
    assert!(refused(&urls, &folders).contains("cannot read"));
}

#[test]
fn what_the_owner_of_a_run_is_shown_has_no_address_in_it() {
    for (undelivered, shown, outcome) in [
        (Undelivered::Status(503), "HTTP 503", Outcome::Throttled),
        (
            Undelivered::Status(307),
            "HTTP 307 (redirects are not followed)",
            Outcome::Rejected,
        ),
        (
            Undelivered::NoAnswer("connection to 10.0.0.1 refused".to_owned()),
            "no answer",
            Outcome::NoAnswer,
        ),
        (
            Undelivered::Headers("cannot read /etc/x".to_owned()),
            "its headers cannot be read",
            Outcome::NoAnswer,
        ),
    ] {
        assert_eq!(undelivered.to_string(), shown);
        assert_eq!(Undelivered::outcome(&Err(undelivered)), outcome, "{shown}");
    }
    assert_eq!(Undelivered::outcome(&Ok(())), Outcome::Ok);
}
