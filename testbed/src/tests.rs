use super::*;

#[test]
fn one_server_for_both_is_one_endpoint_and_two_are_two() {
    let s3 = Access::new("http://127.0.0.1:1", "key", "secret");
    assert!(
        exports(&s3, None).starts_with(
            "export AWS_ENDPOINT_URL=http://127.0.0.1:1\nexport AWS_REGION=us-east-1\n"
        )
    );
    assert!(!exports(&s3, None).contains("AWS_ENDPOINT_URL_SQS"));
    let sqs = Access::new("http://127.0.0.1:2", "key", "secret");
    assert!(exports(&s3, Some(&sqs)).contains("export AWS_ENDPOINT_URL_SQS=http://127.0.0.1:2\n"));
}
