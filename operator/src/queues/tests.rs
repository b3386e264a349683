use super::*;

#[test]
fn queue_names_carry_the_uid_and_fit_with_that_of_the_dead_letters() {
    let uid = "0a1b2c3d-4e5f-6789-abcd-ef0123456789";
    let run = |name: &str| name.parse().expect("a name");
    assert_eq!(
        queue_name("team-a", &run("logs-2026"), uid),
        "s3bundler-team-a-logs-2026-0a1b2c3d4e5f"
    );
    let long = queue_name(&"n".repeat(63), &run(&"r".repeat(48)), uid);
    assert_eq!(long.len() + DEAD_LETTERS.len(), MAX_NAME);
    assert!(long.ends_with("-0a1b2c3d4e5f"), "{long}");
}
