use clap::{CommandFactory as _, Parser as _};

use super::*;
use crate::args::Cli;

#[test]
fn a_retry_pass_takes_what_goes_with_requests() {
    let given = [
        "--encryption",
        "sse-kms",
        "--kms-key-id",
        "k",
        "--tag",
        "a=b",
        "--source-owner",
        "111111111111",
    ];
    assert!(Cli::try_parse_from(RETRY.iter().chain(&given)).is_ok());
    for bad in [
        ["--source-owner", "1"],
        ["--destination-owner", "x"],
        ["--tag", "a"],
        ["--encryption", "none"],
    ] {
        assert!(
            Cli::try_parse_from(RETRY.iter().chain(&bad)).is_err(),
            "{bad:?}"
        );
    }
}

const RETRY: [&str; 8] = [
    "s3bundler",
    "group",
    "--name",
    "r",
    "--destination",
    "s3://b/p",
    "--retry-pass",
    "1",
];

#[test]
fn a_retry_pass_needs_no_inventory_and_takes_nothing_that_the_claim_says() {
    assert!(Cli::try_parse_from(RETRY).is_ok());
    assert!(Cli::try_parse_from(RETRY.iter().copied().chain(["--queue", "q"])).is_ok());
    let cli = Cli::command();
    let group = cli.find_subcommand("group").expect("a command");
    let of_claim = |arg: &&clap::Arg| {
        let heading = arg.get_help_heading();
        let origin = [
            "inventory",
            "inventory_latest",
            "max_inventory_age",
            "manifests",
        ];
        origin.contains(&arg.get_id().as_str())
            || matches!(heading, Some("Grouping" | "Selection" | "Archives"))
    };
    let mut asked = 0;
    for arg in group
        .get_arguments()
        .filter(of_claim)
        .filter(|arg| arg.get_id() != "manifest_storage_class")
    {
        let possible = arg.get_possible_values();
        let value = match arg.get_id().as_str() {
            "inventory" | "inventory_latest" | "manifests" => "s3://b/manifest.json".to_owned(),
            "format" => "tar".to_owned(),
            _ => possible
                .first()
                .map_or_else(|| "1".to_owned(), |value| value.get_name().to_owned()),
        };
        let option = format!("--{}", arg.get_long().expect("a long name"));
        let error = Cli::try_parse_from(RETRY.iter().copied().chain([option.as_str(), &value]))
            .expect_err(&option);
        assert_eq!(
            error.kind(),
            clap::error::ErrorKind::ArgumentConflict,
            "{error}"
        );
        assert!(error.to_string().contains(&option), "{error}");
        asked += 1;
    }
    assert_eq!(asked, CLAIMED.len());
}

#[test]
fn passes_count_from_one() {
    let with = |pass| Cli::try_parse_from(RETRY[..7].iter().copied().chain([pass]));
    assert!(with("2").is_ok());
    for bad in ["0", "-1", "x", "4294967296"] {
        assert!(with(bad).is_err(), "{bad}");
    }
    let without = Cli::try_parse_from(&RETRY[..6]).expect_err("neither inventory nor pass");
    assert!(without.to_string().contains("--inventory"), "{without}");
}
