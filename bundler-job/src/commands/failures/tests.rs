use super::*;

#[test]
fn the_worst_decides_the_exit_code_and_the_first_are_shown() {
    let mut failures = Failures::default();
    for (n, exit) in [
        ExitCode::Unreadable,
        ExitCode::Permission,
        ExitCode::Download,
        ExitCode::Upload,
    ]
    .into_iter()
    .enumerate()
    {
        failures.add(&Failure::new(exit, format!("cause {n}")));
        failures.add(&Failure::new(exit, "cause 0"));
    }
    assert_eq!(failures.count(), 8);
    let failure = failures.into_result("4 of 9").expect_err("failures");
    assert_eq!(
        (failure.exit, failure.message.as_str()),
        (
            ExitCode::Permission,
            "4 of 9\n  cause 0\n  cause 1\n  cause 2"
        )
    );
    assert!(Failures::default().into_result("none").is_ok());
}
