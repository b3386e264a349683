use super::*;

fn claim(etag: &str, max_objects: u64) -> RunClaim {
    RunClaim::new(
        "r".parse().expect("a name"),
        InventoryRef {
            manifest: S3Address::new("inv", "x/manifest.json"),
            etag: etag.to_owned(),
            creation_timestamp: Some(1),
        },
        SelectOptions::default(),
        GroupOptions {
            max_objects,
            ..GroupOptions::default()
        },
        ArchiveOptions::default(),
        "laptop".to_owned(),
    )
}

#[test]
fn a_claim_resumes_only_the_same_run() {
    let ours = claim("e", 10);
    let found = RunClaim::parse(&ours.to_json()).expect("reads back");
    assert_eq!(
        RunClaim::parse_of(&ours.to_json(), &ours.run).expect("its own"),
        found
    );
    let another = "another".parse().expect("a name");
    assert!(matches!(
        RunClaim::parse_of(&ours.to_json(), &another),
        Err(RecordError::OtherRun(_))
    ));
    assert_eq!(
        ours.difference(&RunClaim {
            run: another,
            ..found.clone()
        }),
        Some("another run")
    );
    assert_eq!(found, ours);
    assert_eq!(
        ours.difference(&RunClaim {
            owner: "other".to_owned(),
            ..found
        }),
        None
    );
    assert_eq!(ours.difference(&claim("f", 10)), Some("another inventory"));
    assert_eq!(ours.difference(&claim("e", 11)), Some("other group limits"));
    assert_ne!(ours.options_digest, claim("e", 11).options_digest);
}

#[test]
fn a_resource_resumes_its_own_claim_and_that_of_the_command_line() {
    let of = |owner: &str| RunClaim {
        owner: owner.to_owned(),
        ..claim("e", 10)
    };
    let own = resource_owner("team-a", "logs", "test");
    assert_eq!(own, "ArchiveRun team-a/logs in cluster test");
    for (ours, found, difference) in [
        (own.as_str(), own.as_str(), None),
        (
            &own,
            "ArchiveRun team-b/logs in cluster test",
            Some("another resource"),
        ),
        (
            &own,
            "ArchiveRun team-a/logs in cluster two",
            Some("another resource"),
        ),
        (&own, "s3bundler group", None),
        ("s3bundler group", &own, None),
    ] {
        assert_eq!(of(ours).difference(&of(found)), difference, "{found}");
    }
}

#[test]
fn a_summary_reads_back_and_later_formats_are_refused() {
    let mut summary = RunSummary::empty("r".parse().expect("a name"));
    summary.left_out.insert(LeftOut::Glacier, 3);
    assert_eq!(
        RunSummary::parse(&summary.to_json()).expect("reads back"),
        summary
    );
    let text = String::from_utf8(summary.to_json()).expect("JSON");
    assert!(
        !text.contains("pass"),
        "the run's own summary has the bytes that it always had: {text}"
    );
    let pass = RunSummary {
        pass: 2,
        ..summary.clone()
    };
    assert_eq!(
        RunSummary::parse(&pass.to_json()).expect("reads back"),
        pass
    );
    let of = |stage| RunSummary::parse_of(&pass.to_json(), &pass.run, stage);
    assert_eq!(of(Stage::Pass(2)).expect("its own"), pass);
    for stage in [Stage::OWN, Stage::Pass(1), Stage::Redo(2)] {
        assert!(
            matches!(of(stage), Err(RecordError::OtherStage(Stage::Pass(2)))),
            "{stage}"
        );
    }
    let another = RunSummary::parse_of(
        &pass.to_json(),
        &"another".parse().expect("a name"),
        Stage::Pass(2),
    );
    assert!(matches!(another, Err(RecordError::OtherRun(_))));
    summary.format = 3;
    assert!(matches!(
        RunSummary::parse(&summary.to_json()),
        Err(RecordError::Format(3))
    ));
    assert!(RunSummary::parse(b"{}").is_err());
}

#[test]
fn the_rows_of_a_retry_pass_are_told_by_reason() {
    let run: RunName = "r".parse().expect("a name");
    let of_retry = RunSummary {
        objects: 5,
        ..RunSummary::of_pass(run.clone(), 1)
    };
    assert_eq!(of_retry.retried_reasons(), [Reason::Retry]);
    assert_eq!(of_retry.first_retried_rows(9), [(Reason::Retry, 5)].into());
    assert_eq!(of_retry.first_retried_rows(2), [(Reason::Retry, 2)].into());
    let of_two = RunSummary {
        format: FORMAT_2,
        reasons: vec![Reason::Retry, Reason::AccessDenied],
        rows_by_reason: [(Reason::Retry, 2), (Reason::AccessDenied, 3)].into(),
        ..of_retry
    };
    assert_eq!(
        of_two.first_retried_rows(3),
        [(Reason::Retry, 2), (Reason::AccessDenied, 1)].into()
    );
    assert_eq!(
        RunSummary::parse(&of_two.to_json()).expect("reads back"),
        of_two
    );
    assert!(
        RunSummary {
            objects: 5,
            ..RunSummary::empty(run.clone())
        }
        .retried_reasons()
        .is_empty()
    );
    let redo = RunSummary {
        format: FORMAT_2,
        redo: 1,
        replaces: vec![Replaced {
            group: "r.000000".parse().expect("a name"),
            receipt: "r.000000~a1~c0~f1~b1~Retry1".to_owned(),
            rows: 2,
            digest: RowDigest::default(),
            taken: [(Reason::Retry, 1)].into(),
        }],
        ..RunSummary::of_pass(run, 2)
    };
    assert_eq!(
        (redo.stage(), redo.retried_reasons().len()),
        (Stage::Redo(1), 0)
    );
    assert_eq!(
        RunSummary::parse(&redo.to_json()).expect("reads back"),
        redo
    );
}
