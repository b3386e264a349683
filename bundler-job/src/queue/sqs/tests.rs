use aws_sdk_sqs::types::{BatchResultErrorEntry, SendMessageBatchResultEntry};
use s3bundler_contract::S3Address;

use super::*;

#[test]
fn the_policy_about_a_kind_of_error_is_the_queues() {
    for (code, status, expected) in [
        (
            "AWS.SimpleQueueService.NonExistentQueue",
            400,
            QueueErrorKind::Missing,
        ),
        ("QueueDoesNotExist", 400, QueueErrorKind::Missing),
        ("QueueDeletedRecently", 400, QueueErrorKind::Missing),
        ("AccessDenied", 403, QueueErrorKind::Denied),
        ("AccessDeniedException", 400, QueueErrorKind::Denied),
        ("InvalidClientTokenId", 403, QueueErrorKind::Denied),
        ("ExpiredTokenException", 400, QueueErrorKind::Denied),
        ("InvalidToken", 400, QueueErrorKind::Denied),
        ("OptInRequired", 403, QueueErrorKind::Denied),
        ("RequestTimeTooSkewed", 403, QueueErrorKind::Denied),
        ("UnrecognizedClientException", 400, QueueErrorKind::Denied),
        ("KMS.AccessDeniedException", 400, QueueErrorKind::Denied),
        ("KMS.KMSInvalidStateException", 400, QueueErrorKind::Denied),
        ("KmsDisabled", 400, QueueErrorKind::Denied),
        ("KmsThrottled", 400, QueueErrorKind::Transient),
        ("RequestLimitExceeded", 400, QueueErrorKind::Transient),
        ("TooManyRequestsException", 400, QueueErrorKind::Transient),
        ("RequestThrottled", 403, QueueErrorKind::Transient),
        ("ThrottlingException", 400, QueueErrorKind::Transient),
        (
            "AWS.SimpleQueueService.MessageNotInflight",
            400,
            QueueErrorKind::Gone,
        ),
        ("ReceiptHandleIsInvalid", 404, QueueErrorKind::Gone),
        ("OverLimit", 403, QueueErrorKind::Transient),
        ("InternalFailure", 500, QueueErrorKind::Transient),
        ("NotImplemented", 501, QueueErrorKind::Rejected),
        ("SomethingNew", 400, QueueErrorKind::Rejected),
    ] {
        let answer = Answer {
            operation: "ReceiveMessage",
            status,
            code,
            message: "",
            origin: Origin::Service,
        };
        assert_eq!(
            QueueErrorKind::from(classify(&answer)),
            expected,
            "{code} {status}"
        );
    }
    for status in [403, 404, 429, 503] {
        let page = Answer {
            operation: "ReceiveMessage",
            status,
            code: "",
            message: "",
            origin: Origin::Foreign,
        };
        assert_eq!(
            QueueErrorKind::from(classify(&page)),
            QueueErrorKind::Transient,
            "{status}"
        );
    }
}

fn sent(id: usize) -> SendMessageBatchResultEntry {
    let entry = SendMessageBatchResultEntry::builder()
        .id(id.to_string())
        .message_id("m")
        .md5_of_message_body("x");
    entry.build().expect("complete")
}

fn failed(id: usize, code: &str, at_fault: bool) -> BatchResultErrorEntry {
    BatchResultErrorEntry::builder()
        .id(id.to_string())
        .code(code)
        .sender_fault(at_fault)
        .build()
        .expect("complete")
}

#[test]
fn entries_of_a_batch_are_done_sent_again_or_refused() {
    let output = SendMessageBatchOutput::builder()
        .successful(sent(0))
        .failed(failed(1, "InternalError", false))
        .failed(failed(2, "InvalidMessageContents", true))
        .failed(failed(3, "RequestThrottled", true))
        .failed(failed(4, "KmsAccessDenied", true))
        .build()
        .expect("complete");
    let answer = BatchAnswer::of(&[0, 1, 2, 3, 4, 5], &output);
    assert_eq!(answer.again, [1, 3, 5]);
    assert_eq!(
        answer.refused.map(|(n, kind, _)| (n, kind)),
        Some((2, QueueErrorKind::Rejected))
    );
    let denied = BatchAnswer::of(&[4], &output);
    assert_eq!(
        denied.refused.map(|(n, kind, _)| (n, kind)),
        Some((4, QueueErrorKind::Denied))
    );
}

#[test]
fn a_body_has_only_characters_that_sqs_takes_and_reads_back() {
    let key: String = (0..=0xffff_u32)
        .chain([0x0010_ffff])
        .filter_map(char::from_u32)
        .collect();
    let manifest = ManifestRef::new(S3Address::new("b", key), None);
    let body = body_of(&manifest);
    let taken =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..='\u{10ffff}');
    assert!(body.chars().all(taken));
    assert_eq!(
        s3bundler_contract::message::parse(&body).expect("ours"),
        [manifest]
    );
}

#[test]
fn seconds_are_rounded_up_so_that_nothing_becomes_zero() {
    let all = [0, 1, 999, 1000, 1001].map(|ms| whole_seconds(Duration::from_millis(ms)));
    assert_eq!(all, [0, 1, 1, 1, 2]);
    assert_eq!(whole_seconds(Duration::MAX), i32::MAX);
}
