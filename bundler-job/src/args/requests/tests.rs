use clap::Parser as _;
use s3bundler_contract::S3Address;

use super::*;
use crate::args::Cli;

/// What becomes of these options.
fn requests(options: &[&str]) -> Result<RequestOptions, Failure> {
    let words = [
        "s3bundler",
        "verify",
        "--name",
        "r",
        "--destination",
        "s3://b/p",
    ];
    let cli = Cli::try_parse_from(words.iter().chain(options)).expect("options");
    cli.global
        .s3_options(Some(&S3Address::new("b", "p")))
        .map(|options| options.requests)
}

#[test]
fn a_kms_key_needs_an_encryption_that_uses_it() {
    let key = || Some("alias/a".parse().expect("a key"));
    for (options, expected) in [
        (&[][..], Encryption::BucketDefault),
        (&["--encryption", "sse-s3"], Encryption::SseS3),
        (&["--encryption", "sse-kms"], Encryption::SseKms(None)),
        (
            &["--encryption", "sse-kms", "--kms-key-id", "alias/a"],
            Encryption::SseKms(key()),
        ),
        (
            &["--encryption", "dsse-kms", "--kms-key-id", "alias/a"],
            Encryption::DsseKms(key()),
        ),
    ] {
        let requests = requests(options).expect("options that go together");
        assert_eq!(
            (requests.encryption, requests.destination.as_deref()),
            (expected, Some("b")),
            "{options:?}"
        );
    }
    for options in [
        &["--kms-key-id", "alias/a"][..],
        &["--kms-key-id", "a", "--encryption", "sse-s3"],
        &["--tag", "a=1", "--tag", "a=2"],
    ] {
        let failure = requests(options).expect_err("options that do not go together");
        assert_eq!(
            failure.exit,
            s3bundler_contract::ExitCode::Usage,
            "{options:?}"
        );
    }
}
