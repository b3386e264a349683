use super::*;
use proptest::prelude::*;

fn event(name: &str, key: &str) -> String {
    format!(
        r#"{{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"{name}","s3":{{"bucket":{{"name":"b"}},"object":{{"key":"{key}","size":1,"eTag":"e"}}}}}}"#
    )
}

#[test]
fn our_own_messages_read_back_and_the_seeds_are_understood() {
    let manifest = ManifestRef::new(S3Address::new("b", "k \"ü\""), Some("e".into()));
    assert_eq!(
        parse(&manifest.to_json()).expect("ours"),
        std::slice::from_ref(&manifest)
    );
    let counted = manifest.with_content(3, "0cc175b9c0f1b6a831c399e269772661".to_owned());
    assert!(
        counted
            .to_json()
            .ends_with(r#""Rows":3,"MD5":"0cc175b9c0f1b6a831c399e269772661"}"#)
    );
    assert_eq!(parse(&counted.to_json()).expect("ours"), [counted]);
    let seed = parse(r#"{"Bucket":"b","Key":"k","Later":{"x":1}}"#).expect("the seed's");
    assert_eq!(seed, [ManifestRef::new(S3Address::new("b", "k"), None)]);
    let with_names_of_events =
        r#"{"Bucket":"b","Key":"k","source":7,"Message":{"a":1},"Event":[],"detail-type":null}"#;
    assert_eq!(parse(with_names_of_events).expect("the seed's"), seed);
}

#[test]
fn what_a_manifest_records_of_its_content_is_in_its_message() {
    let manifest = ManifestRef::new(S3Address::new("b", "k"), Some("e".into()));
    let recorded = Recorded {
        rows: Some(3),
        md5: Some("0cc175b9c0f1b6a831c399e269772661".to_owned()),
    };
    let message = manifest.clone().with_recorded(recorded.clone());
    assert_eq!(message.recorded(), recorded);
    assert_eq!(
        message,
        manifest
            .clone()
            .with_content(3, "0cc175b9c0f1b6a831c399e269772661".to_owned())
    );
    assert_eq!(
        manifest.clone().with_recorded(Recorded::default()),
        manifest
    );
}

#[test]
fn s3_events_name_decoded_keys_of_created_objects() {
    let body = format!(
        r#"{{"Records":[{},{},{}]}}"#,
        event("ObjectCreated:Put", "a/b+c%2Bd.index"),
        event("ObjectRemoved:Delete", "x"),
        event("ObjectCreated:CompleteMultipartUpload", "y")
    );
    let keys: Vec<_> = parse(&body)
        .expect("an event")
        .into_iter()
        .map(|it| it.key)
        .collect();
    assert_eq!(keys, ["a/b c+d.index", "y"]);
}

#[test]
fn records_of_other_services_are_unusable_also_beside_a_right_one() {
    for foreign in [
        r#"{"eventVersion":"1.05","eventSource":"iam.amazonaws.com","eventName":"ListRoles"}"#,
        r#"{"eventSource":"aws:kinesis","eventName":"aws:kinesis:record","kinesis":{"data":"aGVsbG8="}}"#,
        r#"{"eventSource":"aws:ses","ses":{"mail":{}}}"#,
        r#"{"EventSource":"aws:sns","Sns":{"Type":"Notification","Message":"{}"}}"#,
        r#"{"eventSource":"aws:sqs","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}"#,
        r#"{"eventSource":7}"#,
        "null",
    ] {
        let alone = read(&format!(r#"{{"Records":[{foreign}]}}"#)).expect("JSON");
        assert!(
            alone.manifests.is_empty() && alone.unusable.len() == 1,
            "{foreign}: {alone:?}"
        );
        let right = event("ObjectCreated:Put", "k");
        let beside = read(&format!(r#"{{"Records":[{foreign},{right}]}}"#)).expect("JSON");
        assert!(
            matches!(beside.unusable[..], [MessageError::ForeignRecord(0)]),
            "{foreign}: {beside:?}"
        );
        assert_eq!(
            beside
                .manifests
                .iter()
                .map(|it| it.key.as_str())
                .collect::<Vec<_>>(),
            ["k"],
            "{foreign}"
        );
        assert!(
            parse(&format!(r#"{{"Records":[{foreign},{right}]}}"#)).is_err(),
            "{foreign}"
        );
    }
}

#[test]
fn events_through_sns_and_of_eventbridge_are_understood() {
    let sns = |inner: &str| {
        serde_json::json!({"Type": "Notification", "TopicArn": "arn:aws:sns:r:1:t", "Message": inner}).to_string()
    };
    let bridge = |kind: &str, key: &str| {
        serde_json::json!({
            "version": "0", "source": "aws.s3", "detail-type": kind,
            "detail": {"bucket": {"name": "b"}, "object": {"key": key, "size": 1, "etag": "e"}},
        })
        .to_string()
    };
    let plain = format!(
        r#"{{"Records":[{}]}}"#,
        event("ObjectCreated:Put", "a+b%2B.index")
    );
    for (body, key) in [
        (sns(&plain), "a b+.index"),
        (bridge("Object Created", "a+b%2B.index"), "a+b%2B.index"),
        (sns(&bridge("Object Created", "a b.index")), "a b.index"),
    ] {
        let message = read(&body).expect("an event");
        assert!(message.is_event && message.unusable.is_empty(), "{body}");
        let manifest = ManifestRef::new(S3Address::new("b", key), Some("e".into()));
        assert_eq!(message.manifests, [manifest], "{body}");
    }
    let ours = read(&sns(r#"{"Bucket":"b","Key":"k.dlq"}"#)).expect("ours");
    assert!(!ours.is_event && ours.manifests.len() == 1, "{ours:?}");
    assert!(
        parse(&bridge("Object Deleted", "k"))
            .expect("an event")
            .is_empty()
    );
    assert!(
        parse(&sns(r#"{"Event":"s3:TestEvent"}"#))
            .expect("a test event")
            .is_empty()
    );
    for body in [
        sns("lunch at noon?"),
        sns(&sns(&sns(&plain))),
        r#"{"Type":"SubscriptionConfirmation","Message":"You have chosen"}"#.to_owned(),
        r#"{"source":"aws.ec2","detail-type":"Object Created","detail":{}}"#.to_owned(),
        r#"{"source":"aws.s3","detail-type":"Object Created","detail":{}}"#.to_owned(),
        r#"{"source":"aws.s3","detail-type":"AWS API Call via CloudTrail","detail":{"eventName":"PutObject"}}"#
            .to_owned(),
    ] {
        assert!(read(&body).is_err(), "{body}");
    }
}

#[test]
fn the_test_event_names_nothing() {
    let body = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"b","RequestId":"x","HostId":"y"}"#;
    assert_eq!(parse(body).expect("a test event"), []);
}

#[test]
fn a_message_nobody_can_use_is_an_error() {
    let broken = format!(r#"{{"Records":[{}]}}"#, event("ObjectCreated:Put", "%zz"));
    let list = format!(r#"["b","k"{}]"#, ",null".repeat(10));
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "7",
        r#"{"Bucket":"b"}"#,
        r#"{"Bucket":"","Key":"k"}"#,
        r#"{"Bucket":"b","Key":7}"#,
        r#"{"Records":{}}"#,
        &broken,
        &list,
    ] {
        assert!(parse(body).is_err(), "{body}");
    }
}

proptest! {
    #[test]
    fn any_text_parses_or_fails_without_panic(body in ".{0,200}") {
        let _ = parse(&body);
    }
}
